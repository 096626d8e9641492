"""What the runtime does when the operator chose to go on, and when it must stop: gaps, lost state, the breaker, the
bounded window, and a replay that stays in step. normalize is the worker: one raw event, one article."""

import json

import pytest
from confluent_kafka import Producer, TopicPartition
from support.articles import count, log_lines, refused, stop, wait_count, wait_log
from support.waiting import until


def event(n, **members):
    return {"url": f"https://ostmark-post.example/news/{n}", "title": f"Item {n}", **members}


def send(ns, events, partition=0, timestamp_ms=0):
    """Raw events (objects, or bytes as they are) to one partition, in their order."""
    producer = Producer({"bootstrap.servers": ns.kafka.brokers, "acks": "all", "log_level": 0})
    for n, each in enumerate(events):
        value = each if isinstance(each, bytes) else json.dumps(each).encode()
        stamp = {"timestamp": timestamp_ms + n} if timestamp_ms else {}
        producer.produce(ns.topic["raw"], value, f"k{n}", partition=partition, **stamp)
        producer.poll(0)
    assert producer.flush(60) == 0


def articles(ns):
    """{number: the article with the greatest revision}"""
    kept = {}
    for message in ns.read("normalized"):
        article = json.loads(message.value)
        number = int(article["webUrl"].rsplit("/", 1)[1])
        if number not in kept or article["revision"] > kept[number]["revision"]:
            kept[number] = article
    return kept


@pytest.fixture
def one(new_namespace):
    return new_namespace(partitions=1).create_topics()


def worked(ns, workers, n=10):
    worker = workers.start("normalize", ns.config)
    send(ns, [event(i) for i in range(n)])
    ns.wait_done("normalize", "raw")
    stop(worker)


# ---- gaps

def recreate(ns, events):
    ns.recreate("raw")
    send(ns, events)


def test_stream_recreated_and_longer_than_before_is_noticed(one, workers):
    worked(one, workers)
    recreate(one, [event(i) for i in range(100, 150)])
    text = refused(workers.start("normalize", one.config), "recreated", one.topic["raw"] + "/0", "runtime.onGap")
    assert "\n" not in text
    assert sorted(articles(one)) == list(range(10))


@pytest.mark.parametrize("on_gap, first", [("oldest", 100), ("newest", 150)])
def test_stream_recreated_and_the_operator_goes_on(one, workers, on_gap, first):
    worked(one, workers)
    recreate(one, [event(i) for i in range(100, 150)])
    worker = workers.start("normalize", one.config, "--set", f"runtime.onGap={on_gap}")
    assert "recreated" in wait_log(worker, "stream.gap")[0]["msg"]
    one.wait_done("normalize", "raw")
    send(one, [event(150)])
    one.wait_done("normalize", "raw")
    assert sorted(articles(one)) == [*range(10), *range(first, 151)]
    stop(worker)
    again = workers.start("normalize", one.config)  # the gap is over: nothing has to be said twice
    send(one, [event(151)])
    one.wait_done("normalize", "raw")
    assert max(articles(one)) == 151
    stop(again)


def test_retention_past_the_position_and_the_operator_goes_on(one, workers):
    worked(one, workers)
    send(one, [event(i) for i in range(10, 30)])
    admin = one.kafka.admin()
    for future in admin.delete_records([TopicPartition(one.topic["raw"], 0, 20)]).values():
        future.result(30)
    until(lambda: one.watermarks("raw")[0][0] == 20, 20, "the stream begins later")
    refused(workers.start("normalize", one.config), "retention", "runtime.onGap")
    worker = workers.start("normalize", one.config, "--set", "runtime.onGap=oldest")
    one.wait_done("normalize", "raw")
    assert sorted(articles(one)) == [*range(10), *range(20, 30)]
    stop(worker)


# ---- lost state

def forget_everything(ns, redis):
    with redis.client() as client:
        for key in list(client.scan_iter(f"{ns.name}:*", count=1000)):
            client.delete(key)


def test_state_gone_is_rebuilt_from_the_stream(new_namespace, workers, redis):
    ns = new_namespace(partitions=2).create_topics()
    worker = workers.start("normalize", ns.config)
    send(ns, [event(i) for i in range(40)], 0)
    send(ns, [event(i, title=f"Newer {i}") for i in range(20, 60)], 1)
    ns.wait_done("normalize", "raw")
    stop(worker)
    before = articles(ns)
    forget_everything(ns, redis)
    refused(workers.start("normalize", ns.config), "state is gone", "runtime.onStateLoss: rebuild")
    worker = workers.start("normalize", ns.config, "--set", "runtime.onStateLoss=rebuild")
    wait_log(worker, "state.lost", least=2)
    ns.wait_done("normalize", "raw")
    after = articles(ns)
    same = {n: {k: v for k, v in article.items() if k != "revision"} for n, article in before.items()}
    assert {n: {k: v for k, v in article.items() if k != "revision"} for n, article in after.items()} == same
    assert all(after[n]["revision"] > before[n]["revision"] for n in before)
    stop(worker)


# ---- the breaker

def test_breaker_stops_before_anything_of_the_streak_is_sent_or_committed(one, workers):
    send(one, [event(i) for i in range(30)] + [b"no json"] * 400)
    worker = workers.start("normalize", one.config, "--set", "runtime.batchItems=60")
    assert worker.wait(30) == 1
    last = log_lines(worker, "stop")[-1]["msg"]
    assert "runtime.breaker.consecutive" in last and "from offset 30 on" in last and "not_json" in last
    assert count(one, "dead") == 0
    assert int(one.wm(one.group("normalize"), "raw")[0][0]) <= 30
    assert one.committed(one.group("normalize"), "raw")[0] <= 30


def test_breaker_by_ratio(one, workers):
    mixed = [event(i) if i % 4 == 0 else b"no json" for i in range(400)]
    send(one, mixed)
    worker = workers.start("normalize", one.config, "--set", "runtime.breaker.window=100")
    assert worker.wait(30) == 1
    assert "runtime.breaker.ratio" in log_lines(worker, "stop")[-1]["msg"]


def test_bad_events_below_the_limits_do_not_stop_it(one, workers):
    send(one, [b"no json" if i % 3 == 0 else event(i) for i in range(300)] + [b"no json"] * 99 + [event(1000)])
    worker = workers.start("normalize", one.config, "--set", "runtime.batchItems=10")
    one.wait_done("normalize", "raw")
    assert count(one, "dead") == 199
    stop(worker)


def test_streak_at_the_end_of_the_stream_is_sent_without_waiting_for_more(one, workers):
    worker = workers.start("normalize", one.config)
    send(one, [event(1)] + [b"no json"] * 50)
    wait_count(one, "dead", 50, timeout_s=10)
    stop(worker)


# ---- the window

@pytest.mark.parametrize("sets", [["runtime.inFlightItems=7", "runtime.batchItems=3"], ["runtime.inFlightBytes=2048"]])
def test_tiny_window_loses_nothing(new_namespace, workers, sets):
    ns = new_namespace(partitions=2).create_topics()
    for partition in (0, 1):
        send(ns, [event(i) for i in range(partition * 400, partition * 400 + 400)], partition)
    worker = workers.start("normalize", ns.config, *[part for each in sets for part in ("--set", each)])
    ns.wait_done("normalize", "raw")
    assert sorted(articles(ns)) == list(range(800))
    stop(worker)


def test_window_full_for_long_pauses_and_goes_on(one, workers, kafka):
    """Reports do not come for longer than a pause needs: the consumer is polled, and nothing is lost."""
    sets = ["runtime.inFlightItems=20", "runtime.batchItems=10", "log.level=debug", "kafka.producer.linger.ms=2500"]
    worker = workers.start("normalize", one.config, *[part for each in sets for part in ("--set", each)])
    send(one, [event(i) for i in range(60)])
    wait_log(worker, "window.full", timeout_s=30)
    one.wait_done("normalize", "raw")
    assert sorted(articles(one)) == list(range(60))
    stop(worker)


# ---- replays

HOUR_MS = 3_600_000
START_MS = 1_767_225_600_000  # 2026-01-01


def test_replay_keeps_partitions_in_step(new_namespace, workers):
    """One partition has a month of events that are quickly done, the other one the same month in heavy ones."""
    ns = new_namespace(partitions=2).create_topics()
    producer = Producer({"bootstrap.servers": ns.kafka.brokers, "acks": "all", "log_level": 0})
    heavy = "word " * 4000
    for n in range(3000):
        producer.produce(ns.topic["raw"], json.dumps(event(n)), "a", partition=0, timestamp=START_MS + n * HOUR_MS // 4)
        producer.produce(ns.topic["raw"], json.dumps(event(10_000 + n, content=heavy)), "b", partition=1,
                         timestamp=START_MS + n * HOUR_MS // 4)
        producer.poll(0)
    assert producer.flush(60) == 0
    sets = ["log.level=debug", f"replay.aheadMs={6 * HOUR_MS}", "runtime.batchItems=20", "runtime.inFlightItems=40"]
    worker = workers.start("normalize", ns.config, *[part for each in sets for part in ("--set", each)])
    ns.wait_done("normalize", "raw")
    assert sorted(articles(ns)) == [*range(3000), *range(10_000, 13_000)]
    # Lines that repeat are told later, so their order says nothing; that all is done says that it went on.
    assert {line["msg"] for line in log_lines(worker, "replay.step")} == {"waiting for slower partitions", "going on"}
    stop(worker)
