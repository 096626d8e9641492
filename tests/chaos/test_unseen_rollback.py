"""Rollbacks of Redis that look like nothing to whoever has to notice them.

The lost timeline left messages behind: an article whose version Redis does not remember. Two partitions make it matter.
A re-crawl on one of them is applied before an older version on the other one is applied again, so that the older
version is stale now, and the re-crawl is nothing new. The newest revision on the stream must be the content of the
re-crawl all the same.

* The worker dies with the Redis that loses its last writes, before its next commit of offsets to Kafka: the next
  owner finds a wm and a commit that agree.
* The worker is idle: no event comes that would make it speak with Redis.
* The worker lives, and wm of the partition with the re-crawl is what it was: only the other partition lost something.
"""

import json

from confluent_kafka import Producer
from support.waiting import until

URL = "https://ostmark-post.example/2025/1/story-1"


def send(ns, partition, *facts):
    producer = Producer({"bootstrap.servers": ns.kafka.brokers, "acks": "all", "log_level": 0})
    for each in facts:
        producer.produce(ns.topic["raw"], json.dumps(each), each["url"], partition=partition)
    assert producer.flush(30) == 0


def version(title, second):
    return {"url": URL, "title": title, "publishedDateTime": "2025-01-01T00:00:00Z",
            "modifiedDateTime": f"2025-01-01T00:00:{second:02d}Z"}


def newest_title(ns):
    best = (0, None)
    for message in ns.read("normalized"):
        article = json.loads(message.value)
        if article["webUrl"] == URL:
            best = max(best, (int(message.headers["nm-revision"]), article["title"]))
    return best[1]


def before_the_rollback(new_namespace, workers):
    """A worker that has sent content a, then (forgotten by the snapshot) content b of another partition."""
    ns = new_namespace(partitions=2, options={"runtime": {"commitMs": 60000}}).create_topics()
    worker = workers.start("normalize", ns.config)
    send(ns, 0, version("content a", 10))
    until(lambda: newest_title(ns) == "content a", 30, "the first version is sent")
    until(lambda: positions(ns) == ["1", "0"], 30, "wm is past the first version")
    snapshot = ns.redis.snapshot()
    filler = [{"url": f"https://ostmark-post.example/filler/{n}", "title": f"filler {n}"} for n in range(3000)]
    send(ns, 1, *filler, version("content b", 20))
    until(lambda: newest_title(ns) == "content b", 60, "the second version is sent")
    until(lambda: positions(ns) == ["1", "3001"], 30, "wm is past the second version")
    return ns, worker, snapshot


def positions(ns):
    return [words and words[0] for words in ns.wm(ns.group("normalize"), "raw").values()]


def wait_all_done(ns):
    until(lambda: positions(ns) == ["2", "3001"], 60, lambda: f"everything is done again: {positions(ns)}")


def test_the_worker_dies_with_redis(new_namespace, workers):
    ns, worker, snapshot = before_the_rollback(new_namespace, workers)
    worker.kill()
    ns.redis.rollback(snapshot)
    send(ns, 0, version("content a", 30))
    workers.start("normalize", ns.config)
    wait_all_done(ns)
    assert newest_title(ns) == "content a"


def test_the_worker_is_idle(new_namespace, workers):
    ns, _, snapshot = before_the_rollback(new_namespace, workers)
    ns.redis.rollback(snapshot)
    until(lambda: positions(ns) == ["1", "3001"], 20, lambda: f"what was lost is done again: {positions(ns)}")


def test_only_the_other_partition_lost_something(new_namespace, workers):
    ns, worker, snapshot = before_the_rollback(new_namespace, workers)
    worker.pause()  # shorter than a session: it keeps its partitions
    send(ns, 0, version("content a", 30))
    ns.redis.rollback(snapshot)
    worker.resume()
    wait_all_done(ns)
    assert newest_title(ns) == "content a"
