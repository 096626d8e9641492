"""A worker that stands still in the middle of a batch, longer than its session, and goes on when others have its partitions.

What it knows is old by then. Where something of it went out (it stood still after it had looked at the clock), it must
look again, whatever makes it drop its batches, so that the last record by offset is the newest."""

import json

from support.articles import article, ident, message, put
from support.waiting import until

SESSION = {"kafka": {"consumer": {"session.timeout.ms": "2000", "heartbeat.interval.ms": "250"}, "producer": {"linger.ms": "0"}},
           "runtime": {"batchItems": 1}}
NUMBERS, LAST = range(1, 31), 4  # it stands still when it has begun the fourth
OLD, NEW = "Old by the time it goes out", "What is true now"


def versions(space, revision, title):
    put(space, "normalized", [message(space, article(n, revision, title=f"{title} {n}")) for n in NUMBERS])


def sent(space):
    """{id: [(revision, title)]} of the records, in the order of the stream."""
    found = {ident(n): [] for n in NUMBERS}
    for each in space.read("records"):
        found[each.key.decode()].append((int(each.headers["nm-revision"]), json.loads(each.value)["title"]))
    return found


def goes_on(space, workers):
    """One worker stops itself when it has asked Redis, in the batch of an old version; another one publishes old and new
    versions; then the first one wakes, and joins again."""
    sleeper = workers.start("publish", space.config, env={
        "NM_FAULT": "redis_sent:1/1", "NM_FAULT_STOPS": "1", "NM_FAULT_AFTER": f"{OLD} {LAST}\"", "NM_CONTROL": "late_sender"})
    until(lambda: sleeper.log_text().count("group.assigned"), 30, "it has the partition")
    versions(space, 1000, "First")
    space.wait_done("publish", "normalized")
    versions(space, 2000, OLD)
    until(lambda: sleeper.stopped, 30, "it stands still")
    workers.start("publish", space.config)
    space.wait_done("publish", "normalized")
    versions(space, 3000, NEW)
    space.wait_done("publish", "normalized")
    assert sleeper.resume()
    until(lambda: sleeper.log_text().count("group.assigned") >= 2, 60, "it is back in the group")
    versions(space, 4000, NEW)  # the same once more: whoever has the partition is at work
    space.wait_done("publish", "normalized")
    return sent(space)


def test_what_went_out_late_is_looked_at_again(new_namespace, workers):
    space = new_namespace(partitions=1, options=SESSION).create_topics()
    for name, records in goes_on(space, workers).items():
        assert max(records) == records[-1] and records[-1][1].startswith(NEW), f"{name}: {records}"
