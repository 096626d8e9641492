"""An event that ends the process (a bug that nobody knows yet) must not stop the fleet: it is found, becomes one dead
letter `crashed`, and everything around it is published."""

import json
import signal

from confluent_kafka import KafkaException
from support.articles import log_lines
from support.waiting import until

POISON = "a word that no processor survives"


def events(n, bad):
    for i in range(n):
        title = f"{POISON} {i}" if i in bad else f"Item {i}"
        yield json.dumps({"url": f"https://ostmark-post.example/news/{i}", "title": title}).encode()


def is_done(ns):
    try:
        return ns.committed(ns.group("normalize"), "raw") == ns.ends("raw")
    except KafkaException:  # the group's coordinator is not known yet
        return False


def run_until_done(ns, workers, limit=16):
    """Starts a worker again and again, as a supervisor does, until everything is finished; how often it died."""
    died = 0
    while True:
        worker = workers.start("normalize", ns.config, "--set", "runtime.batchItems=50",
                               env={"NM_POISON": POISON})
        until(lambda: not worker.alive or is_done(ns), 60, "the worker dies or everything is done")
        if worker.alive:
            return worker, died
        assert worker.code == -signal.SIGABRT, worker.log_tail()
        died += 1
        assert died < limit, "the fleet is stuck"


def test_event_that_ends_the_process_becomes_a_dead_letter(new_namespace, workers):
    ns = new_namespace(partitions=1).create_topics()
    bad = {33}
    ns.produce("raw", [(b"k", value, 0, None) for value in events(200, bad)])
    worker, died = run_until_done(ns, workers)
    dead = ns.read("dead")
    assert [message.headers["nm-code"] for message in dead] == [b"crashed"]
    assert sorted(int(message.headers["nm-offset"]) for message in dead) == sorted(bad)
    assert all(POISON.encode() in message.value for message in dead)
    titles = {json.loads(message.value)["title"] for message in ns.read("normalized")}
    assert titles == {f"Item {i}" for i in range(200) if i not in bad}
    assert died == 5  # twice in a batch, three times alone
    worker.term()
    assert worker.wait() == 0


def test_clean_restarts_are_not_taken_for_crashes(new_namespace, workers):
    ns = new_namespace(partitions=1).create_topics()
    for _ in range(4):
        worker = workers.start("normalize", ns.config)
        until(lambda: log_lines(worker, "group.assigned"), 20, "it is assigned")
        until(lambda: ns.wm(ns.group("normalize"), "raw")[0], 20, "it has a position")
        worker.term()
        assert worker.wait() == 0
    ns.produce("raw", [(b"k", value, 0, None) for value in events(20, set())])
    worker = workers.start("normalize", ns.config)
    until(lambda: is_done(ns), 30, "everything is done")
    assert not log_lines(worker, "crash.guard")
    worker.term()
    assert worker.wait() == 0
