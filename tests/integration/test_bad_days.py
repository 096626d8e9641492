"""Bad days of an operator: a deploy that fails every event, events of the largest size that nobody can read, and an
input stream that is made anew under working workers."""

import hashlib
import json

import pytest
from confluent_kafka import TopicPartition

from support.articles import count, log_lines, read, refused, stop, wait_log
from support.waiting import until


@pytest.fixture
def one(new_namespace):
    return new_namespace(partitions=1).create_topics()


def event(n, title=None):
    url = f"https://ostmark-post.example/news/{n}"
    return url, json.dumps({"url": url, "title": title or f"Item {n}"})


def numbers(ns):
    return sorted(int(json.loads(m.value)["webUrl"].rsplit("/", 1)[1]) for m in read(ns, "normalized"))


# ---- a deploy

# What reads nothing of our events: every one of them has no URL any more.
BAD = ("--set", "normalize.rules=2", "--set", "normalize.builtInMapping=false", "--set", "normalize.mapping.url=/nowhere",
       "--set", "normalize.mapping.title=/title")


def test_deploy_that_fails_every_event_stops_and_the_mended_one_loses_nothing(new_namespace, workers):
    ns = new_namespace(partitions=2).create_topics()
    good = workers.start("normalize", ns.config)
    ns.produce("raw", [event(n) for n in range(40)])
    ns.wait_done("normalize", "raw")
    stop(good)
    done = ns.committed(ns.group("normalize"), "raw")

    ns.produce("raw", [event(n) for n in range(40, 640)])
    fleet = [workers.start("normalize", ns.config, *BAD) for _ in range(2)]
    for worker in fleet:
        assert worker.wait(40) == 1
        assert "no_url" in (last := log_lines(worker, "stop")[-1]["msg"]) and "runtime.breaker" in last, last
    for _ in range(4):  # as a supervisor does: no start counts as the one after a crash
        again = workers.start("normalize", ns.config, *BAD)
        assert again.wait(40) == 1
        assert not log_lines(again, "crash.guard")
    assert count(ns, "dead") == 0
    assert ns.committed(ns.group("normalize"), "raw") == done
    assert {p: int(words[0]) for p, words in ns.wm(ns.group("normalize"), "raw").items()} == done

    fleet = [workers.start("normalize", ns.config, "--set", "normalize.rules=3") for _ in range(2)]
    ns.wait_done("normalize", "raw")
    assert numbers(ns) == list(range(640))
    assert count(ns, "dead") == 0
    for worker in fleet:
        stop(worker)


def test_limit_that_no_output_keeps_stops_before_anything_is_put_aside(one, workers):
    """A typo in an option is a bad deploy, too: what is too large to send is judged like what cannot be read."""
    one.produce("raw", [event(n) for n in range(300)])
    worker = workers.start("normalize", one.config, "--set", "streams.normalized.maxMessageBytes=4096")
    assert worker.wait(40) == 1
    assert "too_big" in (last := log_lines(worker, "stop")[-1]["msg"]) and "runtime.breaker" in last, last
    assert count(one, "dead") == 0 and count(one, "normalized") == 0
    worker = workers.start("normalize", one.config)
    one.wait_done("normalize", "raw")
    assert numbers(one) == list(range(300))
    stop(worker)


# ---- events of the largest size

RAW_LIMIT = 1114112
ROOM = RAW_LIMIT - 200  # what the raw stream takes of a value, with key and frame


def send_large(ns, *values):
    """Whatever the broker takes: its limit is that of the topic."""
    producer = ns.producer(**{"message.max.bytes": 4000000})
    for value in values:
        producer.produce(ns.topic["raw"], value, b"key")
        assert producer.flush(30) == 0
    return values


@pytest.mark.parametrize("dead_limit, whole", [(2097152, True), (1048576, False), (262144, False)])
def test_largest_event_that_is_no_json_becomes_a_dead_letter(new_namespace, workers, dead_limit, whole):
    ns = new_namespace(partitions=1, options={"streams": {"dead": {"maxMessageBytes": dead_limit}}})
    ns.create_topics(config={"dead": {"max.message.bytes": str(dead_limit)}})
    # below normalize.maxBytes the parser speaks, above it the limit
    values = send_large(ns, b"x" * 1048576, b"x" * ROOM, b"[" * ROOM)
    ns.produce("raw", [event(1)])
    worker = workers.start("normalize", ns.config)
    ns.wait_done("normalize", "raw")
    assert numbers(ns) == [1]
    letters = read(ns, "dead")
    assert [letter.headers["nm-code"].decode() for letter in letters] == ["not_json", "too_big", "too_big"]
    for letter, value in zip(letters, values):
        assert letter.key == b"key"
        if whole:
            assert letter.value == value and "nm-value-bytes" not in letter.headers
        else:
            assert letter.value == value[:65536]
            assert letter.headers["nm-value-bytes"] == str(len(value)).encode()
            assert letter.headers["nm-value-sha256"] == hashlib.sha256(value).hexdigest().encode()
    stop(worker)


# ---- the input stream, under working workers

@pytest.mark.parametrize("n", [5, 50])
def test_stream_recreated_under_a_working_worker_is_noticed(one, workers, n):
    """Shorter or longer than before."""
    worker = workers.start("normalize", one.config)
    one.produce("raw", [event(i) for i in range(10)])
    one.wait_done("normalize", "raw")
    one.recreate("raw")
    one.produce("raw", [event(i) for i in range(100, 100 + n)])
    text = refused(worker, "recreated", one.topic["raw"] + "/0", "runtime.onGap", timeout_s=40)
    assert "\n" not in text
    assert numbers(one) == list(range(10))
    worker = workers.start("normalize", one.config, "--set", "runtime.onGap=oldest")
    one.wait_done("normalize", "raw")
    assert numbers(one) == [*range(10), *range(100, 100 + n)]
    stop(worker)


def test_stream_recreated_under_a_working_worker_that_may_go_on(one, workers):
    worker = workers.start("normalize", one.config, "--set", "runtime.onGap=oldest")
    one.produce("raw", [event(i) for i in range(10)])
    one.wait_done("normalize", "raw")
    one.recreate("raw")
    one.produce("raw", [event(i) for i in range(100, 150)])
    wait_log(worker, "stream.gap", timeout_s=40)
    until(lambda: numbers(one) == [*range(10), *range(100, 150)], 20, lambda: f"all of it, not {numbers(one)}")
    stop(worker)


def settled(ns, *fleet):
    """Everything is processed, and the fleet has just looked whether the streams are the same: the next look is seconds away."""
    ns.wait_done("normalize", "raw")
    for worker in fleet:
        before = len(log_lines(worker, "witness"))
        until(lambda: len(log_lines(worker, "witness")) > before, 20, "a round of looks is over")  # noqa: B023


def recreate_unseen(ns, events, *fleet):
    """Deleted, made again and filled beyond the positions while the workers stand still for less than their session."""
    for worker in fleet:
        assert worker.pause()
    ns.recreate("raw")
    ns.produce("raw", events)
    for worker in fleet:
        worker.resume()


def until_all(ns, wanted):
    """What was read before the worker noticed comes a second time."""
    until(lambda: sorted(set(numbers(ns))) == wanted, 40, lambda: f"all of it, not {sorted(set(numbers(ns)))}")


@pytest.mark.parametrize("instances, partitions", [(1, 1), (1, 4), (2, 4)])
def test_stream_recreated_behind_the_workers_backs_that_may_go_on(new_namespace, workers, instances, partitions):
    ns = new_namespace(partitions=partitions).create_topics()
    fleet = [workers.start("normalize", ns.config, "--set", "runtime.onGap=oldest") for _ in range(instances)]
    ns.produce("raw", [event(i) for i in range(10 * partitions)])
    settled(ns)
    recreate_unseen(ns, [event(i) for i in range(100, 100 + 50 * partitions)], *fleet)
    wait_log(fleet[0], "stream.gap", timeout_s=40)
    until_all(ns, [*range(10 * partitions), *range(100, 100 + 50 * partitions)])
    for worker in fleet:
        stop(worker)


def test_stream_recreated_behind_a_workers_back_stops_it_again_and_again(new_namespace, workers):
    """It went on in the new stream before it noticed, but no start takes that for a position, in none of the partitions."""
    ns = new_namespace(partitions=3).create_topics()
    worker = workers.start("normalize", ns.config, "--set", "log.level=debug")
    ns.produce("raw", [event(i) for i in range(30)])
    settled(ns, worker)
    positions = ns.committed(ns.group("normalize"), "raw")
    recreate_unseen(ns, [event(i) for i in range(100, 250)], worker)
    said = ("another record at offset", "recreated", ns.topic["raw"] + "/", "runtime.onGap")
    refused(worker, *said, timeout_s=40)
    went_on = {p: int(words[0]) for p, words in ns.wm(ns.group("normalize"), "raw").items()}
    assert any(went_on[p] > positions[p] for p in positions), "it did not go on, so this test shows nothing"
    refused(workers.start("normalize", ns.config), *said)
    worker = workers.start("normalize", ns.config, "--set", "runtime.onGap=oldest")
    until_all(ns, [*range(30), *range(100, 250)])
    assert len(log_lines(worker, "stream.gap")) == 3
    stop(worker)


@pytest.mark.parametrize("end", ["kill", "stop", "redis"])
def test_stream_recreated_behind_a_worker_that_ends_before_it_noticed(new_namespace, workers, redis, end):
    """Whoever comes next, or the same process after it lost Redis, asks for the record that the one before had asked for."""
    ns = new_namespace(partitions=2).create_topics()
    worker = workers.start("normalize", ns.config, "--set", "runtime.onGap=oldest", "--set", "log.level=debug")
    ns.produce("raw", [event(i) for i in range(20)])
    settled(ns, worker)
    recreate_unseen(ns, [event(i) for i in range(100, 200)], worker)
    ns.wait_done("normalize", "raw")
    assert not log_lines(worker, "stream.gap"), "it noticed at once, so this test shows nothing"
    if end == "redis":
        with redis.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
    else:
        if end == "kill":
            assert worker.kill()
        else:
            stop(worker)
        worker = workers.start("normalize", ns.config, "--set", "runtime.onGap=oldest")
    until_all(ns, [*range(20), *range(100, 200)])
    stop(worker)


def test_busy_stream_is_looked_at_behind_the_position(one, workers):
    """While it works through the new stream; what lies below wm is of the new one then."""
    worker = workers.start("normalize", one.config, "--set", "runtime.onGap=oldest", "--set", "log.level=debug")
    one.produce("raw", [event(i) for i in range(10)])
    settled(one, worker)
    recreate_unseen(one, [event(i) for i in range(100, 150)], worker)
    sent = []

    def noticed():
        sent.append(1000 + len(sent))
        one.produce("raw", [event(sent[-1])])
        return log_lines(worker, "stream.gap")

    until(noticed, 40, "the recreated stream is noticed")
    assert len(sent) > 3, "it noticed before it was busy"
    until_all(one, [*range(10), *range(100, 150), *sent])
    stop(worker)


def test_retention_overtakes_a_worker_that_stands_still(one, workers):
    worker = workers.start("normalize", one.config)
    one.produce("raw", [event(i) for i in range(10)])
    one.wait_done("normalize", "raw")
    assert worker.pause()
    one.produce("raw", [event(i) for i in range(10, 2000)])
    admin = one.kafka.admin()
    for future in admin.delete_records([TopicPartition(one.topic["raw"], 0, 1990)]).values():
        future.result(30)
    until(lambda: one.watermarks("raw")[0][0] == 1990, 20, "the stream begins later")
    worker.resume()
    text = refused(worker, "retention", one.topic["raw"] + "/0", "1990", "runtime.onGap", timeout_s=40)
    assert "\n" not in text
