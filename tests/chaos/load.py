"""Sends the events of a run (events.py, facets.py) while its faults are at work."""

import itertools
import random
import time

from confluent_kafka import KafkaException
from support.namespace import store
from support.workers import INPUTS

from . import events, facets


class Load:
    """Chunks of raw events, steadily or in bursts, each followed by its share of facets."""

    def __init__(self, run):
        self.run, self.scenario, self.counts = run, run.scenario, run.counts
        self.rng = random.Random(f"load {run.seed}")
        self.producer, self.refused = run.space.producer(), []
        self.consumer = run.space.consumer()
        n_articles = self.scenario.events // 3
        self.events = events.generate(run.seed, n_articles)
        self.facets = facets.generate(run.seed, n_articles)

    def send_all(self, acting):
        """Until no fault of `acting` (threads) is at work any more; then the rest at once. Without faults all at the
        scenario's rate."""
        self._send(min(500, self.scenario.events))
        sent_s = time.monotonic()
        while self._steady(acting):
            burst = self.rng.choice((1, 1, 1, 20))
            wait_s = self.rng.uniform(0.01, 0.05) * burst
            rate = self.scenario.rate * (1 if self.counts["events"] >= self._share_due() else 4)
            # A pipeline that does not go on is given something all the same: it may be waiting for that.
            if self._waiting() < self.scenario.backlog or time.monotonic() > sent_s + 1:
                sent_s = time.monotonic()
                self._send(max(1, int(rate * wait_s)))
            end = time.monotonic() + wait_s
            while (left := end - time.monotonic()) > 0 and not self.run.over.is_set():
                self.producer.poll(min(left, 0.02))
        if not self.run.over.is_set():
            self._send(self.scenario.events - self.counts["events"])
        if self.producer.flush(120) or self.refused:
            self.run.failures.append(f"load: not everything was delivered: {self.refused[:2]}")
        self.consumer.close()

    def _steady(self, acting):
        wanted = any(thread.is_alive() for thread in acting) if acting else self.counts["events"] < self.scenario.events
        return wanted and not self.run.over.is_set()

    def _waiting(self):
        """Events that the slower of the workers has before it; 0 when the broker does not say."""
        try:
            return max(sum(sum(self.run.space.ends(stream, self.consumer).values()) for stream in streams)
                       - self.run.progress(name) for name, streams in INPUTS.items())
        except (KafkaException, AssertionError):
            return 0

    def _share_due(self):
        """How many events should have been sent when the faults done so far are so many of those planned."""
        plan = self.scenario.plan()
        done = sum(min(self.counts[kind], n) for kind, n in plan.items())
        return self.scenario.events * done // max(1, sum(plan.values()))

    def _send(self, n):
        for event in itertools.islice(self.events, max(0, n)):
            self._produce("raw", event.key, event.value, event.timestamp_ms, event.headers)
            self.counts["events"] += 1
            if self.counts["facets"] < self.counts["events"] * self.scenario.facet_share:
                facet = next(self.facets)
                self._produce("facets", facet.key, facet.value, 0, self.run.space.headers("facet/1", facet.revision))
                self.counts["facets"] += 1
            if self.counts["events"] % 500 == 0:
                self.producer.poll(0)

    def _produce(self, stream, key, value, timestamp_ms, headers):
        store(self.producer, self.run.space.topic[stream], key, value, self.refused, timestamp_ms, headers)
