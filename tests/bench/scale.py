"""scale: how long any partition stands still when instances join, leave, or are killed, while input always waits.

Each worker by itself, on a backlog that is there before it starts and must not run out before the last change: two instances,
four, one (three leave at once by SIGTERM), two, and then one of the two is killed with -9. Before the first change nothing is done to
them for as long: what a partition waits for the others' events anyway. A change is over when
everybody was given partitions anew and every partition has moved on since.
An output is dated by the broker (LogAppendTime) and counted for the input partition that it came from, since outputs of one stand in
all partitions of the next stream: the gap is the longest time between two outputs of one input partition. Articles with events in
several raw partitions are left out there. The events are those of the fault tests, and so are the model and the checker: nothing may be
lost or wrong.
"""

import collections
import dataclasses
import itertools
import json
import time

from chaos import checker, events, model
from support.articles import log_lines
from support.waiting import until
from support.workers import INPUTS

from .report import Figure, Result
from .rig import OUTPUT, say, stored, wait_all

SUMMARY = "longest standstill of a partition while instances join, leave and are killed under saturated input"
GAP_S = 3
SESSION_S = 15      # what is shipped
MOVED = 300         # events that every partition must finish before a change is over
STREAMS = {"normalize": "raw", "publish": "normalized"}


def add_arguments(parser):
    parser.add_argument("--backlog", type=int, default=1_000_000, help="scale: events that wait at the start (default 1,000,000)")
    parser.add_argument("--seed", type=int, default=1, help="scale: of the events (default 1)")


@dataclasses.dataclass
class Change:
    """From at_s (Unix time) to until_s the fleet had `label` done to it; most: goal for the gap."""
    label: str
    at_s: float
    most: float
    until_s: float = 0.0
    gaps: dict = dataclasses.field(default_factory=dict)  # input partition: longest gap whose middle lies in it


# ---- load

def load(space, seed, n_events):
    source = itertools.islice(events.generate(seed, max(1, n_events // 4)), n_events)
    space.produce("raw", ((event.key, event.value, event.timestamp_ms, event.headers) for event in source), timeout_s=120,
                  **{"compression.type": "lz4", "linger.ms": 20})


# ---- the fleet

class Fleet:
    """Instances of one worker, and what was done to them."""

    def __init__(self, rig, space, worker):
        self.rig, self.space, self.worker = rig, space, worker
        self.ends = space.ends(STREAMS[worker])
        self.team, self.left, self.changes, self.failures = [], [], [], []

    def positions(self):
        marks = self.space.wm(self.space.group(self.worker), STREAMS[self.worker])
        return {p: int(words[0]) if words else 0 for p, words in marks.items()}

    def join(self, n):
        self.team += [self.rig.workers.start(self.worker, self.space.config) for _ in range(n)]

    def leave(self, n):
        self.left += self.team[:n]
        for process in self.team[:n]:
            process.term()
        del self.team[:n]

    def kill(self):
        assert self.team.pop(0).kill(), f"{self.worker} ended before it was killed"

    def change(self, label, act, most=GAP_S, timeout_s=60, rebalances=True):
        """Does it, and waits until who left has ended, every instance was given partitions anew, and then every partition moved on."""
        assigned = {process: len(log_lines(process, "group.assigned")) for process in self.team}
        change = Change(label, time.time(), most)
        act()

        def settled():
            return not any(process.alive for process in self.left) and (not rebalances or all(
                len(log_lines(process, "group.assigned")) > assigned.get(process, 0) for process in self.team))

        until(settled, timeout_s, lambda: f"{self.worker}: everybody has partitions after: {label}", every_s=0.1)
        before = self.positions()

        def over():
            now = self.positions()
            return all(now[p] >= min(before[p] + MOVED, self.ends[p]) for p in now)

        until(over, timeout_s, lambda: f"{self.worker}: every partition moves on after: {label}; from {before} to {self.positions()}",
              every_s=0.2)
        change.until_s = time.time()
        self.changes.append(change)
        say(f"scale {self.worker}: {label}: over after {change.until_s - change.at_s:.1f} s")

    def run(self):
        self.change("two instances start", lambda: self.join(2), most=None)
        self.change("nothing is done to two", lambda: None, rebalances=False)
        self.change("two join two", lambda: self.join(2))
        self.change("three of four leave", lambda: self.leave(3))
        self.change("one joins one", lambda: self.join(1))
        self.change("kill -9 of one of two", self.kill, most=SESSION_S + GAP_S)
        dry = [p for p, position in self.positions().items() if position >= self.ends[p]]
        if dry:
            self.failures.append(f"{self.worker}: partitions {dry} had no input left before the last change was over; raise --backlog")
        self.join(1)
        wait_all(self.space, self.worker, self.team[0], 1500, every_s=0.5)
        self.leave(len(self.team))
        self.failures += [f"{self.worker} ended with {process.wait(15)}\n{process.log_tail(12)}" for process in self.left
                          if process.wait(15) != 0]


# ---- gaps

def origins(space):
    """{article id: raw partition} of the articles whose events all lie in one, and what must come out of all of them."""
    found = collections.defaultdict(set)

    def noted():
        for message in space.read_batches("raw", check=False):
            if message.headers and events.EXPECT in message.headers:
                pass
            elif not message.value:
                key = message.key.decode()
                found[key if model.ID.fullmatch(key) else events.article_id(key)].add(message.partition)
            else:
                facts = json.loads(message.value)
                found[facts.get("id") or events.article_id(facts["url"].split("?")[0])].add(message.partition)
            yield message

    expected = model.expect(noted())
    return {name: next(iter(partitions)) for name, partitions in found.items() if len(partitions) == 1}, expected


def arrivals(space, worker, origin):
    """{input partition: times of its outputs, s, in order}. A record comes from the partition of its own number."""
    times = collections.defaultdict(list)
    for message in space.read_batches(OUTPUT[worker], raw=True, check=False):
        partition = origin.get(message.key().decode()) if worker == "normalize" else message.partition()
        if partition is not None:
            times[partition].append(message.timestamp()[1] / 1000)
    for of_one in times.values():
        of_one.sort()
    return times


def note_gaps(changes, times):
    for partition, of_one in times.items():
        for before, after in itertools.pairwise(of_one):
            for change in changes:
                if change.at_s <= (before + after) / 2 < change.until_s:
                    change.gaps[partition] = max(change.gaps.get(partition, 0), after - before)


def figures(fleet, times, n_done):
    worker = fleet.worker
    for change in fleet.changes:
        if change.most is not None:
            samples = list(change.gaps.values()) or [0.0]
            note = f"{len(samples)} partitions"
            yield Figure(f"{worker}: {change.label}", "s without output", [max(samples)], change.most, note)
            yield Figure(f"{worker}: {change.label}, by partition", "s", samples)
    first = min(of_one[0] for of_one in times.values())
    last = max(of_one[-1] for of_one in times.values())
    yield Figure(f"{worker}: whole run", "events/s", [n_done / (last - first)])


def run(rig, options):
    result = Result("scale", {"backlog": f"{options.backlog:,} raw events, seed {options.seed}; 8 partitions, session {SESSION_S} s"})
    broker_time = {"message.timestamp.type": "LogAppendTime"}
    space = rig.space({"normalized": broker_time, "records": broker_time}, registries=False)
    load(space, options.seed, options.backlog)
    say(f"scale: {stored(space, 'normalize'):,} events stored")
    fleets = []
    for worker in INPUTS:  # publish reads what normalize wrote, so both run whatever --worker says
        fleets.append(Fleet(rig, space, worker))
        fleets[-1].run()
        result.failures += fleets[-1].failures
    origin, expected = origins(space)
    for fleet in fleets:
        times = arrivals(space, fleet.worker, origin)
        note_gaps(fleet.changes, times)
        result.figures += figures(fleet, times, stored(space, fleet.worker))
    say("scale: checking what came out")
    found = checker.check(space, expected, compaction=False)
    result.figures += [Figure("checker: lost", "messages", [len(found.lost)], 0),
                       Figure("checker: wrong", "messages", [len(found.wrong)], 0),
                       Figure("checker: records read", "messages", [found.records_read]),
                       Figure("checker: sent twice", "messages", [found.duplicates])]
    if not found.good:
        result.failures.append(found.show())
    return result
