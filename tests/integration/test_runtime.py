"""The runtime by its quiet days: what comes out and under which names, stopping, starting, sharing.

publish is the worker under test, because what goes in and out of it is simple; normalize shows the same from raw on.
"""

import json
import signal
import threading
import urllib.request

import pytest
from confluent_kafka import KafkaException, TopicPartition

from support.articles import (address_of, article, count, ident, latest, log_lines, message, put, put_articles, put_many,
                              read, revision_of, samples, stop, titles, wait_count, wait_log, wait_ready)
from support.waiting import until
from support.workers import tool


def test_records_have_key_headers_and_partition_of_their_article(ns, workers):
    worker = workers.start("publish", ns.config)
    put_many(ns, range(40), 1000)
    ns.wait_done("publish", "normalized")
    records = read(ns, "records")
    assert sorted(r.key.decode() for r in records) == sorted(ident(n) for n in range(40))
    homes = {m.key: m.partition for m in read(ns, "normalized")}
    for record in records:
        value = json.loads(record.value)
        assert set(record.headers) == {"nm-schema", "nm-ns", "nm-revision"}
        assert record.headers["nm-schema"] == b"record/1"
        assert record.headers["nm-ns"] == ns.name.encode()
        assert revision_of(record) == value["revision"] > 1_600_000_000_000_000  # Redis' clock, in microseconds
        assert list(value)[:2] == ["id", "revision"] and value["id"] == record.key.decode()
        assert value["published"] is True and value["heat"] == value["quality"] == 86
        assert not {"sourceTime", "qualityParts", "rules"} & set(value)
        assert record.partition == homes[record.key]
    assert count(ns, "dead") == 0
    stop(worker)


def test_normalize_and_publish_from_raw_to_record(ns, workers):
    workers.start("normalize", ns.config)
    workers.start("publish", ns.config)
    url = "https://www.harbour-gazette.example/2031/04/12/ferry-timetable?utm_source=feed"
    event = {"url": url, "title": "Ferry &amp; tram timetables merge", "publishedDateTime": "2026-01-12T07:30:00+02:00"}
    put(ns, "raw", [(url, json.dumps(event)), ("bad", "{no json"), (None, "")])
    ns.wait_done("normalize", "raw")
    ns.wait_done("publish", "normalized")
    kept = latest(ns)
    assert list(kept) == ["136ab291632faf53215323ed8744d7a4"]
    assert json.loads(kept[ident(0x136ab291632faf53215323ed8744d7a4)].value)["title"] == "Ferry & tram timetables merge"
    dead = read(ns, "dead")
    assert sorted(letter.value for letter in dead) == [b"", b"{no json"]
    assert workers.stop() == [0, 0]


def test_recrawl_of_a_reported_event_is_not_sent_again(new_namespace, workers):
    ns = new_namespace(partitions=1).create_topics()
    url = "https://www.harbour-gazette.example/a"

    def crawl(title, timestamp_ms):
        put(ns, "raw", [(url, json.dumps({"url": url, "title": title}), timestamp_ms)])

    def start_and_catch_up(number):
        """What lies on the stream when a worker takes it up is sent again where in doubt; what comes later is not."""
        worker = workers.start("normalize", ns.config)
        put(ns, "raw", [("f", json.dumps({"url": f"https://www.harbour-gazette.example/other-{number}", "title": "x"}))])
        ns.wait_done("normalize", "raw")
        return worker

    def articles():
        return [article for message in read(ns, "normalized") if (article := json.loads(message.value))["webUrl"] == url]

    for start in range(2):
        worker = start_and_catch_up(start)
        for again in range(3):
            crawl("A", 1_700_000_000_000 + start * 100 + again)
            ns.wait_done("normalize", "raw")
        assert len(articles()) == 1
        stop(worker)
    worker = start_and_catch_up(2)
    crawl("B", 1_700_000_001_000)
    crawl("A", 1_700_000_002_000)  # back again: a version of its own
    crawl("old", 1_600_000_000_000)
    ns.wait_done("normalize", "raw")
    stop(worker)
    found = articles()
    assert [item["title"] for item in found] == ["A", "B", "A"]
    revisions = [item["revision"] for item in found]
    assert revisions == sorted(set(revisions))
    assert {item["publishedDateTime"] for item in found} == {"2023-11-14T22:13:20Z"}  # the first one stays


def test_sigterm_drains_commits_and_the_next_start_sends_nothing(ns, workers):
    worker = workers.start("publish", ns.config, "--set", "runtime.commitMs=60000")
    put_many(ns, range(50), 1000)
    wait_count(ns, "records", 50)
    put_many(ns, range(50, 100), 1000)
    wait_count(ns, "records", 100)
    stop(worker)  # at once: what is delivered is not committed yet
    ends = ns.ends("normalized")
    assert ns.committed(ns.group("publish"), "normalized") == ends
    assert {p: int(words[0]) for p, words in ns.wm(ns.group("publish"), "normalized").items()} == ends
    second = workers.start("publish", ns.config)
    put_many(ns, [100], 1000)
    wait_count(ns, "records", 101)
    stop(second)
    assert count(ns, "records") == 101


def test_partitions_are_committed_before_they_are_given_up(new_namespace, workers):
    ns = new_namespace(partitions=2).create_topics()
    sets = ["--set", "runtime.commitMs=60000", "--set", "log.level=debug"]
    first = workers.start("publish", ns.config, *sets)
    put_many(ns, range(50), 1000)
    wait_count(ns, "records", 50)
    put_many(ns, range(50, 100), 1000)
    wait_count(ns, "records", 100)
    second = workers.start("publish", ns.config, *sets)
    begin = [line for line in wait_log(second, "partition.begin", least=2, timeout_s=20)
             if line["stream"] == ns.topic["normalized"]][0]
    assert begin["offset"] == ns.ends("normalized")[begin["partition"]]
    assert f"committed {begin['offset']}," in begin["msg"]
    stop(first)
    stop(second)


def test_sigterm_in_the_middle_of_a_backlog_neither_loses_nor_repeats(ns, workers):
    """A drained worker leaves nothing half done, so the next one begins exactly behind it."""
    total, step = 40000, 2000
    put_many(ns, range(total), 1000)
    starts = 0
    while (before := count(ns, "records")) < total:
        starts += 1
        assert starts <= total // step
        worker = workers.start("publish", ns.config, "--set", "runtime.batchItems=200")
        wait_count(ns, "records", min(before + step, total))
        stop(worker)
    assert starts > 2
    keys = [record.key for record in read(ns, "records")]
    assert len(keys) == len(set(keys)) == total


def test_sigint_is_a_sigterm(ns, workers):
    worker = workers.start("publish", ns.config)
    wait_log(worker, "group.assigned")
    worker.process.send_signal(signal.SIGINT)
    assert worker.wait() == 0


def test_second_sigterm_ends_a_worker_that_hangs(ns, workers, redis):
    """Redis hangs and the time limit is long, so that the first signal cannot be served."""
    worker = workers.start("publish", ns.config, "--set", "redis.commandTimeoutMs=60000", "--set",
                           "runtime.stallMs=90000", "--set", "runtime.stopMs=60000")
    put_many(ns, range(4), 1000)
    wait_count(ns, "records", 4)
    redis.process.send_signal(signal.SIGSTOP)
    try:
        put_many(ns, range(4, 8), 1000)
        until(lambda: waits_for_redis(worker, redis), 10, "the worker waits for Redis")
        worker.term()
        until(lambda: not worker.term(), 20, "another signal ends it", every_s=0.1)
        assert worker.code == 1
    finally:
        redis.process.send_signal(signal.SIGCONT)
    assert sum(offset or 0 for offset in ns.committed(ns.group("publish"), "normalized").values()) <= 4
    second = workers.start("publish", ns.config)
    ns.wait_done("publish", "normalized")
    assert sorted(titles(ns)) == list(range(8))
    stop(second)


def test_stop_ms_ends_a_worker_that_hangs(ns, workers, redis):
    worker = workers.start("publish", ns.config, "--set", "redis.commandTimeoutMs=60000", "--set",
                           "runtime.stallMs=90000", "--set", "runtime.stopMs=500")
    put_many(ns, [1], 1000)
    wait_count(ns, "records", 1)
    redis.process.send_signal(signal.SIGSTOP)
    try:
        put_many(ns, range(2, 6), 1000)
        # it has asked Redis when there is more in the socket than before; a signal before that would drain at once
        until(lambda: waits_for_redis(worker, redis), 10, "the worker waits for Redis")
        worker.term()
        assert worker.wait(10) == 1
        assert "stopMs" in worker.log_text()
    finally:
        redis.process.send_signal(signal.SIGCONT)


def waits_for_redis(worker, redis):
    """True while the worker's connection to Redis has bytes that Redis has not read."""
    with open(f"/proc/{worker.pid}/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    local = f":{redis.port:04X}"
    return any(row[1].endswith(local) and int(row[4].split(":")[1], 16) > 0 for row in rows)


def committed(ns, group):
    """{partition: offset}; {} while the coordinator of the group is not known yet."""
    try:
        return ns.committed(group, "normalized")
    except KafkaException:
        return {}


def test_start_newest_oldest_and_a_time(new_namespace, workers):
    ns = new_namespace(partitions=2).create_topics()
    put(ns, "normalized", [(ident(n), json.dumps(article(n, 1000)), 1_700_000_000_000 + n * 1000)
                              for n in range(20)])
    first = workers.start("publish", ns.config, "--set", "runtime.start=newest")
    until(lambda: all(ns.wm(ns.group("publish"), "normalized").values()), 15, "every partition has a watermark")
    put_many(ns, [100], 1000)
    ns.wait_done("publish", "normalized")
    stop(first)
    assert sorted(titles(ns)) == [100]

    # a group of its own each: the runtime's group.id wins over the worker's name
    for group, start, want in [("time", "2023-11-14T22:13:30Z", set(range(10, 20)) | {100}),
                               ("future", "2099-01-01", set()), ("old", "oldest", set(range(20)) | {100})]:
        with ns.redis.client() as client:
            for key in client.scan_iter(f"{ns.name}:record:*"):
                client.delete(key)
        before, name = ns.ends("records"), f"{group}.{ns.name}"
        worker = workers.start("publish", ns.config, "--set", f"runtime.start={start}", "--set",
                               f"kafka.consumer.group.id={name}")
        until(lambda: committed(ns, name) == ns.ends("normalized"), 15, "all is read")
        assert all(ns.wm(name, "normalized").values())
        stop(worker)
        sent = {int(record.key, 16) for record in read(ns, "records") if record.offset >= before[record.partition]}
        assert sent == want, start


def test_two_instances_share_and_the_survivor_takes_over(new_namespace, workers):
    ns = new_namespace(partitions=4).create_topics()
    first = workers.start("publish", ns.config)
    second = workers.start("publish", ns.config)
    shares = lambda worker: [line["msg"].split()[0] for line in log_lines(worker, "group.assigned")]  # noqa: E731
    until(lambda: shares(first)[-1:] == shares(second)[-1:] == ["6"], 20,
          "each has two of four partitions of each of its three streams")
    put_many(ns, range(200), 1000)
    ns.wait_done("publish", "normalized")
    assert count(ns, "records") == 200
    put_many(ns, range(200, 3000), 1000)
    wait_count(ns, "records", 400)
    assert first.kill()
    put_many(ns, range(3000, 3200), 1000)
    ns.wait_done("publish", "normalized", timeout_s=30)
    assert sorted(titles(ns)) == list(range(3200))
    stop(second)


def test_idle_instances_take_over_at_once_when_the_owner_leaves(new_namespace, workers):
    ns = new_namespace(partitions=1).create_topics()
    all_three = [workers.start("publish", ns.config) for _ in range(3)]
    put_many(ns, [0], 1000)
    for number, worker in enumerate(all_three, 1):
        ns.wait_done("publish", "normalized")
        stop(worker)
        put_many(ns, [number], 1000)
    assert sorted(titles(ns)) == [0, 1, 2]


def test_a_third_instance_joins_and_leaves_without_loss_or_repetition(new_namespace, workers):
    ns = new_namespace(partitions=3).create_topics()
    workers.start("publish", ns.config)
    put_many(ns, range(6000), 1000)
    for _ in range(3):
        other = workers.start("publish", ns.config)
        wait_log(other, "group.assigned")
        stop(other)
    ns.wait_done("publish", "normalized")
    keys = [record.key for record in read(ns, "records")]
    assert len(keys) == len(set(keys)) == 6000
    assert workers.stop() == [0]


@pytest.mark.parametrize("committed", [True, False])
def test_markers_of_transactions_are_passed_over(new_namespace, workers, committed):
    """A crawler may write in transactions. Their markers take offsets, and no consumer ever sees one."""
    ns = new_namespace(partitions=1).create_topics()
    crawler = ns.producer(**{"transactional.id": ns.name})
    crawler.init_transactions(30)

    def transaction(number):
        crawler.begin_transaction()
        key, value, _, headers = message(ns, article(number, 1000))
        crawler.produce(ns.topic["normalized"], value, key, headers=headers)
        crawler.flush(30)
        crawler.commit_transaction(30) if committed else crawler.abort_transaction(30)

    transaction(1)
    worker = workers.start("publish", ns.config)
    ns.wait_done("publish", "normalized", timeout_s=20)
    transaction(2)
    ns.wait_done("publish", "normalized", timeout_s=20)
    assert tool("wait", "-c", ns.config, "--timeout", "20s").returncode == 0
    assert int(ns.wm(ns.group("publish"), "normalized")[0][0]) == ns.ends("normalized")[0] == 4
    assert not [row for row in samples(address_of(worker)).items() if "lag_messages" in row[0] and row[1]]
    worker.kill()
    worker = workers.start("publish", ns.config)
    put_many(ns, [3], 1000)
    ns.wait_done("publish", "normalized", timeout_s=20)
    assert sorted(titles(ns)) == ([1, 2, 3] if committed else [3])
    stop(worker)


def test_large_batch_of_one_partition_and_tiny_batches_give_the_same(new_namespace, workers):
    kept = []
    for options in (["runtime.batchItems=1"], ["runtime.batchBytes=1024"],
                    ["runtime.batchItems=100000", "runtime.batchMs=500", "runtime.batchBytes=268435456"]):
        ns = new_namespace(partitions=1).create_topics()
        put_articles(ns, *(article(n % 100, 1000 + n, title=f"title {n}") for n in range(600)))
        sets = [word for option in options for word in ("--set", option)]
        worker = workers.start("publish", ns.config, *sets)
        ns.wait_done("publish", "normalized")
        stop(worker)
        kept.append(titles(ns))
        assert kept[-1] == {n: f"title {500 + n}" for n in range(100)}


def test_foreign_topic_partition_positions_are_left_alone(ns, workers):
    """The group's offsets of other streams are nobody's business."""
    consumer = ns.consumer(group=ns.group("publish"))
    consumer.commit(offsets=[TopicPartition(ns.topic["signals"], 0, 7)], asynchronous=False)
    consumer.close()
    worker = workers.start("publish", ns.config)
    put_many(ns, [1], 1000)
    ns.wait_done("publish", "normalized")
    stop(worker)
    assert ns.committed(ns.group("publish"), "signals")[0] == 7


def test_rebalance_keeps_the_connection_to_redis(ns, workers, redis):
    """Looks at sets and watermarks are nearly always under way here; none of them costs a connection."""
    worker = workers.start("publish", ns.config)
    wait_ready(worker)
    done = threading.Event()

    def slow():
        with redis.client() as client:
            while not done.wait(0.02):
                client.client_pause(120)

    thread = threading.Thread(target=slow)
    thread.start()
    try:
        for _ in range(3):
            other = workers.start("publish", ns.config)
            wait_ready(other, timeout_s=30)
            stop(other)
    finally:
        done.set()
        thread.join()
    put_many(ns, range(20), 1000)
    ns.wait_done("publish", "normalized")
    with urllib.request.urlopen(f"{address_of(worker)}/status", timeout=5) as answer:
        assert json.loads(answer.read())["redis"]["connects"] == 1
    shares = {line["msg"].split()[0] for line in log_lines(worker, "group.assigned")}  # equal lines fold
    assert shares == {"12", "6"}
    stop(worker)
