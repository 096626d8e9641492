"""The runtime while its servers die, hang, forget or serve somebody else: nothing is lost, and it goes on by itself.

Random kills at every point are the business of tests/chaos; here each fault is one known situation.
"""

import json
import signal
import threading

import pytest

from support.articles import (article, count, ident, latest, log_lines, message, put, put_articles, put_many, read,
                              refused, retries, revision_of, stop, titles, wait_count, wait_ready, wait_log)
from support.waiting import until

TOTAL = 6000


@pytest.fixture
def two(new_namespace):
    return new_namespace(partitions=2).create_topics()


@pytest.fixture
def one(new_namespace):
    return new_namespace(partitions=1).create_topics()


def wm_keys(ns):
    return [f"{ns.name}:wm:{ns.group('publish')}:{ns.topic['normalized']}:{p}" for p in range(ns.partitions)]


# Few events in flight and reports that take their time: busy long enough for a fault. One fetch brings all of a
# partition: a worker whose broker dies while the next fetch is under way has nothing to do, and nothing to retry.
SLOW = ("--set", "runtime.batchItems=50", "--set", "runtime.inFlightItems=100", "--set", "kafka.producer.linger.ms=30",
        "--set", "kafka.consumer.fetch.message.max.bytes=10000000")


def in_the_middle(ns, workers, *arguments, times=1):
    """A worker that is busy with TOTAL articles (each comes so many times), some of which are done."""
    for _ in range(times):
        put_many(ns, range(TOTAL), 1000)
    worker = workers.start("publish", ns.config, *SLOW, *arguments)
    wait_count(ns, "records", 300)
    return worker


def wait_retry(ns, worker, least=1):
    """Until it has noticed so often since the last call; a worker that was faster than the fault gets more to do."""
    seen = getattr(worker, "retries_seen", 0)
    until(lambda: retries(worker) >= seen + least or put_many(ns, range(4), 1000), 20,
          lambda: f"{worker.name} notices\n{worker.log_tail()}", every_s=0.05)
    worker.retries_seen = retries(worker)
    return log_lines(worker, "retry")


def all_there(ns, worker, timeout_s=60):
    ns.wait_done("publish", "normalized", timeout_s)
    assert sorted(titles(ns)) == list(range(TOTAL))
    assert count(ns, "dead") == 0
    stop(worker)


# ---- Redis

def test_redis_killed_and_restarted(two, workers, redis):
    worker = in_the_middle(two, workers)
    for _ in range(3):
        redis.kill()
        wait_retry(two, worker)
        before = count(two, "records")
        redis.start()
        wait_count(two, "records", min(before + 200, TOTAL))
    all_there(two, worker)


def test_redis_stopped_longer_than_the_time_limit(two, workers, redis):
    worker = in_the_middle(two, workers, "--set", "redis.commandTimeoutMs=300")
    redis.process.send_signal(signal.SIGSTOP)
    try:
        lines = wait_retry(two, worker, 5)
        assert "commandTimeoutMs" in lines[0]["msg"]
        assert len(lines) <= 2, "the same again is counted, not written"
    finally:
        redis.process.send_signal(signal.SIGCONT)
    all_there(two, worker)


def test_redis_that_never_comes_back_does_not_keep_a_worker_from_stopping(two, workers, redis):
    worker = in_the_middle(two, workers)
    redis.kill()
    wait_retry(two, worker)
    stop(worker)
    redis.start()
    worker = workers.start("publish", two.config)
    all_there(two, worker)


@pytest.mark.parametrize("command", [("SCRIPT", "FLUSH"), ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"),
                                     ("CONFIG", "SET", "maxmemory", "1")])
def test_redis_forgets_scripts_closes_connections_or_is_full(two, workers, redis, command):
    worker = in_the_middle(two, workers)
    with redis.client() as client:
        client.execute_command(*command)
        wait_retry(two, worker)
        client.config_set("maxmemory", "0")
    all_there(two, worker)


def test_redis_becomes_a_replica_and_primary_again(two, workers, redis):
    """A failover that the worker lives through: READONLY is nobody's fault."""
    worker = in_the_middle(two, workers)
    with redis.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        wait_retry(two, worker)
        client.execute_command("REPLICAOF", "NO", "ONE")
    all_there(two, worker)


def test_redis_with_a_clock_behind_what_was_sent_is_waited_for(two, workers, redis):
    """Revisions are its time: after a failover to a slow clock they would be smaller than those that are on the stream."""
    worker = workers.start("publish", two.config)
    with redis.client() as client:
        ahead_us = (client.time()[0] + 6) * 1000000
        put_many(two, [1], ahead_us)
        two.wait_done("publish", "normalized")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        put_many(two, [2], 1000)
        wait_count(two, "records", 2)
        assert client.time()[0] * 1000000 >= ahead_us, "it did not wait"
    assert any("the clock of Redis is" in line["msg"] for line in log_lines(worker, "retry"))
    assert revision_of(latest(two)[ident(2)]) >= ahead_us
    stop(worker)


def test_redis_emptied_under_a_working_worker(two, workers, redis):
    worker = in_the_middle(two, workers)
    until(lambda: sum(offset or 0 for offset in two.committed(two.group("publish"), "normalized").values()) > 0, 15,
          "offsets are committed")
    with redis.client() as client:
        client.flushall()
    put_many(two, range(4), 1000)  # in case that it was done
    refused(worker, "watermark", "state is gone")


def test_redis_rolled_back_applies_and_sends_the_lost_part_again(one, workers, redis):
    worker = workers.start("publish", one.config)
    put_many(one, range(100), 1000)
    one.wait_done("publish", "normalized")
    stop(worker)
    snapshot = redis.snapshot()
    worker = workers.start("publish", one.config)
    wait_ready(worker)  # what comes later is not caught up with, so the marks count
    put_many(one, range(100, 200), 1000)  # new ids
    put_many(one, range(50, 60), 1001, title="changed")
    put_many(one, range(60, 70), 1001)  # newer, and looks the same: no record was sent for these
    one.wait_done("publish", "normalized")
    before = one.ends("records")[0]
    assert before == 210
    stop(worker)
    redis.rollback(snapshot)
    worker = workers.start("publish", one.config)
    one.wait_done("publish", "normalized")
    # all 120 events above the old watermark are applied again, and no mark suppresses one of them
    until(lambda: one.ends("records")[0] >= before + 120, 20, lambda: f"{one.ends('records')[0] - before} sent again")
    lines = wait_log(worker, "state.rollback")
    assert "100" in lines[0]["msg"] and "220" in lines[0]["msg"]
    found = titles(one)
    assert sorted(found) == list(range(200))
    assert all(found[n] == ("changed" if 50 <= n < 60 else f"Article {n}") for n in found)
    records = read(one, "records")
    newest_lost = max(revision_of(r) for r in records if r.offset < before)
    assert min(revision_of(r) for r in records if r.offset >= before) > newest_lost
    with redis.client() as client:
        assert client.hget(f"{one.name}:record:{{{ident(150)}}}", "sent") is not None
    put_many(one, range(100, 200), 1000)  # the marks work again
    one.wait_done("publish", "normalized")
    assert one.ends("records")[0] == before + 120
    stop(worker)


def test_redis_rolled_back_under_a_working_worker(one, workers, redis):
    put_many(one, range(TOTAL), 1000)
    worker = workers.start("publish", one.config, *SLOW)
    wait_count(one, "records", 300)
    snapshot = redis.snapshot()
    before = count(one, "records")
    wait_count(one, "records", min(before + 1500, TOTAL))
    redis.rollback(snapshot)
    wait_retry(one, worker)
    all_there(one, worker)
    assert count(one, "records") > TOTAL
    assert log_lines(worker, "state.rollback")
    with redis.client() as client:  # what Redis holds is what was sent last
        for record in list(latest(one).values())[::100]:
            state = client.hgetall(f"{one.name}:record:{{{record.key.decode()}}}")
            assert state[b"rev"] == state[b"srev"] == record.headers["nm-revision"]


def test_redis_rolled_back_under_an_idle_worker(one, workers, redis):
    """No event comes, and yet the lost part is applied again."""
    worker = workers.start("publish", one.config)
    put_many(one, range(10), 1000)
    one.wait_done("publish", "normalized")
    snapshot = redis.snapshot()
    put_many(one, range(10, 20), 1000)
    one.wait_done("publish", "normalized")
    redis.rollback(snapshot)
    wait_log(worker, "state.rollback", timeout_s=5)
    one.wait_done("publish", "normalized")
    with redis.client() as client:
        assert all(client.exists(f"{one.name}:record:{{{ident(n)}}}") for n in range(20))
    stop(worker)


# ---- the watermark is somebody else's

def test_watermark_moved_forward_by_somebody_else(one, workers, redis):
    """Another owner went on: the worker reads it again and loses nothing that is above."""
    put_many(one, range(100), 1000)
    worker = workers.start("publish", one.config)
    one.wait_done("publish", "normalized")
    key = wm_keys(one)[0]
    with redis.client() as client:
        text = client.get(key).decode().split(" ")
        client.set(key, " ".join([text[0], str(int(text[1]) + 1), *text[2:]]))  # the same place, another writing
        put_many(one, range(100, 200), 1000)
        one.wait_done("publish", "normalized")
        assert sorted(titles(one)) == list(range(200))
        lines = wait_retry(one, worker)
        assert "another instance moved it" in lines[0]["msg"]
        assert client.get(key).decode().split(" ")[0] == "200"
    assert not log_lines(worker, "state.rollback")
    stop(worker)


# Writes wm anew at the same place, once for each place that the owner moved it to: the place that is known comes and goes.
MEDDLE = """
local words = redis.call('GET', KEYS[1])
if not words then return ARGV[1] end
local place, time, rest = words:match('^(%d+) (%d+)(.*)$')
if place ~= ARGV[1] then redis.call('SET', KEYS[1], string.format('%s %.0f%s', place, time + 1, rest)) end
return place"""


def test_watermark_moved_again_and_again(two, workers, redis):
    """After each step that the worker takes, somebody else writes wm, so that its next one fails; yet it goes on step by step."""
    worker = in_the_middle(two, workers)
    over = threading.Event()

    def meddle():
        place = {}
        with redis.client() as client:
            while not over.wait(0.01):
                for key in wm_keys(two):
                    place[key] = client.eval(MEDDLE, 1, key, place.get(key, ""))

    thread = threading.Thread(target=meddle)
    thread.start()
    try:
        wait_retry(two, worker, 3)
        before = two.done("publish", "normalized")
        assert before < TOTAL - 200, "it is still at work"
        until(lambda: two.done("publish", "normalized") >= before + 200, 90,
              lambda: f"wm goes on from {before}: {two.done('publish', 'normalized')}\n{worker.log_tail()}")
        wait_retry(two, worker, 3)
    finally:
        over.set()
        thread.join()
    all_there(two, worker)


# ---- Kafka

def test_broker_killed_and_away_for_longer_than_a_delivery_may_take(two, workers, kafka):
    """The delivery timeout is 4 s here (two thirds of the session timeout): reports fail, and nothing counts."""
    worker = in_the_middle(two, workers, times=2)
    kafka.kill()
    try:
        wait_log(worker, "retry", timeout_s=20)
    finally:
        kafka.start()
    all_there(two, worker)
    again = workers.start("publish", two.config)
    put_articles(two, article(TOTAL, 1000))
    two.wait_done("publish", "normalized")
    assert len(titles(two)) == TOTAL + 1
    stop(again)


def test_a_worker_stops_in_time_while_the_broker_is_away(two, workers, kafka):
    """Neither its last records nor its last commit can be delivered: it says so and ends, within runtime.stopMs."""
    worker = in_the_middle(two, workers)
    kafka.kill()
    try:
        stop(worker)
    finally:
        kafka.start()
    assert "stop.undrained" in worker.log_text()
    all_there(two, workers.start("publish", two.config))


def test_output_topic_deleted_under_a_working_worker(one, workers):
    worker = workers.start("publish", one.config)
    put_many(one, range(10), 1000)
    one.wait_done("publish", "normalized")
    name = one.topic["records"]
    admin = one.kafka.admin()
    admin.delete_topics([name])[name].result(30)
    put_many(one, range(10, 20), 1000)
    refused(worker, name, "newsmill streams apply")
    assert int(one.wm(one.group("publish"), "normalized")[0][0]) == 10
    with one.redis.client() as client:
        assert not client.keys(f"{one.name}:try:*"), "a refusal is no crash, however often a supervisor starts it again"


def test_output_topic_deleted_and_noticed_before_the_next_batch(one, workers):
    """The producer knows already that the topic is gone: nothing is ever outstanding, and yet the worker must stop."""
    worker = workers.start("publish", one.config, "--set", "kafka.common.topic.metadata.refresh.interval.ms=200",
                           "--set", "log.level=debug")
    put_many(one, range(10), 1000)
    one.wait_done("publish", "normalized")
    name = one.topic["records"]
    admin = one.kafka.admin()
    admin.delete_topics([name])[name].result(30)
    until(lambda: f"{name} partition count changed from 1 to 0" in worker.log_text(), 20, "the producer knows")
    put_many(one, range(10, 20), 1000)
    refused(worker, name, "newsmill streams apply", timeout_s=10)


def test_input_topic_deleted_under_a_working_worker_is_said_aloud(one, workers):
    worker = workers.start("publish", one.config)
    put_many(one, range(10), 1000)
    one.wait_done("publish", "normalized")
    admin = one.kafka.admin()
    admin.delete_topics([one.topic["normalized"]])[one.topic["normalized"]].result(30)
    line = wait_log(worker, "kafka.topic", timeout_s=5)[0]
    assert line["level"] == "warn" and one.topic["normalized"] in line["msg"] and "streams apply" in line["msg"]
    stop(worker)  # although closing the consumer of a deleted topic hangs in librdkafka 2.0.2


# ---- frozen

def test_worker_frozen_for_longer_than_its_session_leaves_no_old_news(two, workers):
    """While it stands still another one takes over and goes on; what it sends when it wakes is never the last word."""
    frozen = in_the_middle(two, workers)
    other = workers.start("publish", two.config)
    assert frozen.pause()
    put_many(two, range(TOTAL), 1001, title="newer")
    two.wait_done("publish", "normalized", 60)
    frozen.resume()
    put_many(two, range(10), 1002, title="newest")
    two.wait_done("publish", "normalized", 60)
    for worker in (frozen, other):
        stop(worker)
    found = titles(two)
    assert len(found) == TOTAL
    assert {title for n, title in found.items() if n < 10} == {"newest"}
    assert {title for n, title in found.items() if n >= 10} == {"newer"}


# ---- batches that fail as a whole

def test_failed_batch_is_taken_back_whole(one, workers, redis):
    """A key of another type in our namespace: fatal, nothing of the batch counts; once mended, it goes on."""
    key = f"{one.name}:record:{{{ident(7)}}}"
    with redis.client() as client:
        client.lpush(key, "foreign")
        put_many(one, range(20), 1000)
        worker = workers.start("publish", one.config)
        assert worker.wait(20) == 1
        assert "WRONGTYPE" in worker.log_text()
        assert not any(one.committed(one.group("publish"), "normalized").values())
        client.delete(key)
    worker = workers.start("publish", one.config)
    one.wait_done("publish", "normalized")
    assert sorted(titles(one)) == list(range(20))
    stop(worker)


def test_message_of_another_namespace_in_the_middle_commits_what_was_before(one, workers):
    put_many(one, range(30), 1000)
    key, value, timestamp, _ = message(one, article(30, 1000))
    put(one, "normalized", [(key, value, timestamp, [("nm-ns", "other")])])
    put_many(one, range(31, 40), 1000)
    refused(workers.start("publish", one.config, "--set", "runtime.batchItems=10"), "namespace 'other'", "offset 30")
    assert sorted(titles(one)) == list(range(30))
    assert int(one.wm(one.group("publish"), "normalized")[0][0]) == 30


def test_json_of_records_is_what_redis_holds(one, workers, redis):
    """The published bytes and the state agree after a run with a fault in it."""
    worker = workers.start("publish", one.config, "--set", "runtime.batchItems=20")
    put_many(one, range(200), 1000)
    wait_count(one, "records", 40)
    redis.restart_after_kill()
    one.wait_done("publish", "normalized")
    stop(worker)
    with redis.client() as client:
        for record in latest(one).values():
            state = client.hgetall(f"{one.name}:record:{{{record.key.decode()}}}")
            assert json.loads(state[b"a"][16:])["title"] == json.loads(record.value)["title"]
            # a composition that looked the same took a revision and was not sent
            assert state[b"rev"] == state[b"srev"] and int(state[b"srev"]) >= revision_of(record)


def test_redis_that_hangs_at_the_start_is_waited_for_without_the_watchdog(one, workers, redis):
    """The smallest runtime.stallMs that the other limits allow."""
    sets = ["redis.connectTimeoutMs=500", "redis.commandTimeoutMs=2500", "runtime.stallMs=3001"]
    redis.process.send_signal(signal.SIGSTOP)
    try:
        worker = workers.start("publish", one.config, *[part for each in sets for part in ("--set", each)])
        until(lambda: retries(worker) >= 2, 30, "it tries again")
    finally:
        redis.process.send_signal(signal.SIGCONT)
    put_many(one, range(10), 1000)
    one.wait_done("publish", "normalized")
    assert sorted(titles(one)) == list(range(10))
    stop(worker)
