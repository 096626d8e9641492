"""Articles as normalize writes them, records as a careful reader sees them, and what tests of workers ask of both."""

import json
import time
import urllib.request

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from . import schemas
from .namespace import store, to_message
from .waiting import until


def ident(number):
    return f"{number:032x}"


def article(number, revision, **members):
    """An article/1 of one id; `number` names the id, `revision` is its revision in µs."""
    return schemas.ordered("article/1", {
        "id": ident(number), "revision": revision, "sourceTime": 1933740131000,
        "path": f"_news/2031-04-12-article-{number}.md", "category": "news", "type": "article", "locale": "en",
        "title": f"Article {number}", "publishedDateTime": "2031-04-12T05:30:00Z",
        "originalUrl": f"https://www.harbour-gazette.example/{number}?utm_source=feed",
        "webUrl": f"https://www.harbour-gazette.example/{number}",
        "provider": {"name": "Harbour Gazette", "domain": "harbour-gazette.example"}, "topics": ["Ferries"],
        "quality": 86, "qualityParts": [{"rule": "event", "points": members.get("quality", 86)}], "rules": 1, **members})


def retraction(number, revision):
    return {"id": ident(number), "revision": revision, "sourceTime": 1933740131000, "retracted": True}


def message(ns, item, headers=()):
    """(key, value, timestamp, headers) of an article."""
    return (item["id"], json.dumps(item, separators=(",", ":")), None,
            [*ns.headers("article/1", item["revision"]), *headers])


def put(ns, stream, messages, timeout_s=60, check=None):
    """ns.produce() with one producer for the whole test: a new one waits half a second for its first batch. Facets, which
    no worker makes yet, must be as deploy/schemas say (check=False: they are wrong on purpose); other streams with
    check=True."""
    if not hasattr(ns, "kept_producer"):
        ns.kept_producer = ns.producer()
    producer, failed = ns.kept_producer, []
    for key, value, *rest in messages:
        timestamp_ms, headers = (*rest, None, None)[:2]
        if check or (check is None and stream == "facets"):
            schemas.check_sent(ns, stream, key, value, headers)
        store(producer, ns.topic[stream], key, value, failed, timestamp_ms, headers)
        producer.poll(0)
    left = producer.flush(timeout_s)
    assert left == 0 and not failed, f"{left} messages not delivered in time, {len(failed)} refused: {failed[:3]}"


def read(ns, stream, raw=False, timeout_s=30, check=True):
    """ns.read() without its pauses: every message from the oldest to the end of this moment."""
    consumer, found = ns.consumer(), []
    try:
        marks = ns.watermarks(stream, consumer)
        open_ends = {p: high for p, (low, high) in marks.items() if high > low}
        consumer.assign([TopicPartition(ns.topic[stream], p, marks[p][0]) for p in open_ends])
        last = time.monotonic()
        while open_ends:
            message = consumer.poll(0.5)
            assert time.monotonic() - last < timeout_s, f"no message of {ns.topic[stream]}, open: {open_ends}"
            if message is None:
                continue
            last = time.monotonic()
            if message.error():
                if message.error().code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(message.error())
                open_ends.pop(message.partition(), None)
                continue
            if message.offset() < marks[message.partition()][1]:
                if check:
                    schemas.check(ns, stream, message)
                found.append(message if raw else to_message(message))
    finally:
        consumer.close()
    return sorted(found, key=lambda m: (m.partition(), m.offset()) if raw else (m.partition, m.offset))


def put_articles(ns, *articles):
    put(ns, "normalized", [message(ns, item) for item in articles])


def put_many(ns, numbers, revision, **members):
    put(ns, "normalized", (message(ns, article(n, revision, **members)) for n in numbers))


def revision_of(record):
    return int(record.headers["nm-revision"])


def latest(ns, check=True):
    """{id: the record with the greatest nm-revision, as a Message}: what a reader that keeps the newest has."""
    kept = {}
    for record in read(ns, "records", check=check):
        key = record.key.decode()
        if key not in kept or revision_of(record) >= revision_of(kept[key]):
            kept[key] = record
    return kept


def titles(ns, check=True):
    """{number: title of its newest record, None where that is a tombstone}."""
    return {int(key, 16): record.value and json.loads(record.value)["title"]
            for key, record in latest(ns, check).items()}


def count(ns, stream):
    """How many messages the stream has taken."""
    return sum(ns.ends(stream).values())


def wait_count(ns, stream, least, timeout_s=30):
    until(lambda: count(ns, stream) >= least, timeout_s,
          lambda: f"{ns.topic[stream]} holds at least {least} messages: {count(ns, stream)}")


def log_lines(worker, event=None):
    """The worker's JSON log lines, those of one event where it is given."""
    lines = []
    for line in worker.log_text().splitlines():
        try:
            parsed = json.loads(line)
        except ValueError:
            continue
        if event in (None, parsed.get("event")):
            lines.append(parsed)
    return lines


def wait_log(worker, event, least=1, timeout_s=15):
    """Until the worker has logged that event `least` times; the lines."""
    until(lambda: len(log_lines(worker, event)) >= least, timeout_s,
          lambda: f"{worker.name} logs {event}\n{worker.log_tail()}")
    return log_lines(worker, event)


def address_of(worker, timeout_s=20):
    """http://host:port of its admin pages."""
    return wait_log(worker, "admin", timeout_s=timeout_s)[0]["msg"].split()[2].rstrip(":")


def samples(address):
    """{series: value} of the metrics at an admin address."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=5) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        lines = [line.rpartition(" ") for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def retries(worker):
    """How often the worker dropped its work because a dependency failed. Its log tells many of them in one line."""
    try:
        page = samples(address_of(worker))
    except OSError:
        return 0
    return sum(value for name, value in page.items() if name.startswith("newsmill_retries_total{"))


def wait_ready(worker, timeout_s=20):
    """Until the worker says at its admin address that it is ready: joined, its positions known."""
    address = address_of(worker, timeout_s)

    def ready():
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    until(ready, timeout_s, lambda: f"{worker.name} is ready\n{worker.log_tail()}")


def stop(worker, timeout_s=15):
    """SIGTERM; it must drain."""
    worker.term()
    code = worker.wait(timeout_s)
    assert code == 0, f"exit code {code} after SIGTERM\n{worker.log_tail()}"


def refused(worker, *words, timeout_s=20):
    """The worker must end with 2 and say why in one sentence with these words."""
    code = worker.wait(timeout_s)
    assert code == 2, f"exit code {code}\n{worker.log_tail()}"
    last = log_lines(worker, "stop")
    text = last[-1]["msg"] if last else worker.log_text()
    for word in words:
        assert word in text, f"'{word}' is not in: {text}"
    return text
