"""latency: from a raw event to its record, at a tenth of the rate that the pipeline takes when it is saturated.

One normalize and one publish. First a backlog says how many raw events a second get through both; then events come evenly at a
tenth of that, for --warm-up seconds without being counted: a broker that was just started compiles its code all that time. Sent: when the producer takes an event, before any batching; read: when a consumer in this process has its record.
Both on one clock; every event names a new article, so each has a record of its own.
"""

import itertools
import statistics
import threading
import time

from chaos.events import article_id
from confluent_kafka import TopicPartition
from support.articles import wait_ready
from support.waiting import until

from . import feed
from .machine import Meter
from .report import Figure, Result
from .rig import progress, say, wait_all, wait_progress

SUMMARY = "from raw event to record, percentiles at a tenth of the saturated rate"
P50_MS, P99_MS = 30, 150


def add_arguments(parser):
    parser.add_argument("--seconds", type=int, default=30, help="latency: how long events are counted (default 30)")
    parser.add_argument("--warm-up", type=int, default=45, help="latency: how long they come before that (default 45)")
    parser.add_argument("--rate", type=int, help="latency: events a second; default: a tenth of the saturated rate")


class Reader(threading.Thread):
    """Notes when the first record of each id comes: `seen`."""

    def __init__(self, space):
        super().__init__(daemon=True)
        self.consumer = space.consumer(**{"auto.offset.reset": "latest", "fetch.wait.max.ms": 500})
        self.ends = space.ends("records")
        self.topic, self.over, self.seen = space.topic["records"], threading.Event(), {}

    def run(self):
        self.consumer.assign([TopicPartition(self.topic, p, end) for p, end in self.ends.items()])
        while not self.over.is_set():
            message = self.consumer.poll(0.1)
            if message is not None and not message.error():
                self.seen.setdefault(message.key(), time.monotonic())
        self.consumer.close()


def _saturated(rig, space, n_events):
    """(raw events a second that one normalize and one publish get through, without the time that they take to start; both by name)."""
    feed.Feed(space, "normalize", n_events).send(n_events)
    team = {worker: rig.workers.start(worker, space.config) for worker in ("normalize", "publish")}
    wait_progress(space, "publish", n_events // 10, team["publish"], 600)
    began, had = time.monotonic(), progress(space, "publish")
    for worker, process in team.items():
        wait_all(space, worker, process, 600)
    rate = (n_events - had) / (time.monotonic() - began)
    for process in team.values():
        wait_ready(process)
    return rate, team


def _send(space, producer, rate, seconds, first):
    """{url: time at which it was sent}, evenly spaced."""
    sent, began = {}, time.monotonic()
    for n in itertools.count():
        due = began + n / rate
        if due > began + seconds:
            break
        while (left := due - time.monotonic()) > 0:
            producer.poll(min(left, 0.05))
        url, value = feed.raw_event(first + n, 0)
        sent[url] = time.monotonic()
        producer.produce(space.topic["raw"], value, url)
    assert producer.flush(30) == 0, "not every event was delivered"
    return sent


def _wait_records(space, reader, n):
    until(lambda: len(reader.seen) >= n, 30, lambda: f"{n} records come, {len(reader.seen)} did; "
          f"normalize finished {progress(space, 'normalize')}")


def _waits_ms(sent, seen):
    """Milliseconds of every event that has a record."""
    ids = {article_id(url).encode(): at for url, at in sent.items()}
    return [(seen[name] - at) * 1000 for name, at in ids.items() if name in seen]


def run(rig, options):
    space = rig.space()
    saturated, team = _saturated(rig, space, 60_000)
    rate = options.rate or max(1, int(saturated / 10))
    say(f"latency: {saturated:.0f} raw events/s saturated, {rate} now")
    reader = Reader(space)
    reader.start()
    producer = space.producer(**{"linger.ms": 0})  # one for all: the first events of a producer wait for its metadata
    warmed = len(_send(space, producer, rate, options.warm_up, 1_000_000))
    _wait_records(space, reader, warmed)
    meter = Meter(**{worker: process.pid for worker, process in team.items()}, **rig.pids())
    sent = _send(space, producer, rate, options.seconds, 2_000_000)
    _wait_records(space, reader, warmed + len(sent))
    cpu, _ = meter.spent()
    reader.over.set()
    reader.join()
    waits, n_sent = _waits_ms(sent, reader.seen), len(sent)
    result = Result("latency", {"load": f"{n_sent:,} events at {rate}/s, one normalize and one publish; saturated: {saturated:.0f}/s"})
    if len(waits) != n_sent:
        result.failures.append(f"{n_sent - len(waits)} of {n_sent} events have no record")
    cuts = statistics.quantiles(waits, n=1000, method="inclusive")
    result.figures += [Figure("p50", "ms", [cuts[499]], P50_MS), Figure("p90", "ms", [cuts[899]]), Figure("p99", "ms", [cuts[989]], P99_MS),
                       Figure("p99.9", "ms", [cuts[998]]), Figure("longest", "ms", [max(waits)])]
    result.figures += [Figure(f"{name}: CPU", "µs/event", [seconds / n_sent * 1e6]) for name, seconds in cpu.items()]
    return result
