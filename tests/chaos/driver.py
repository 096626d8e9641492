"""Runs the pipeline, breaks it at seeded moments, waits until it has come to rest, and has the checker look.

A Run owns one namespace, its workers, and threads: one loads events, one restarts what died, and one for each kind of
fault (faults.py). Events keep coming, steadily and in bursts, until the last fault is done, so that faults hit workers
that are at work. Then the pipeline must come to rest by itself, and a second one, without faults, reads the same raw
stream to compare with. Everything random comes from the run's seed; what the operating system does in between does
not, so a seed repeats the plan of a run, not each instant of it.
"""

import collections
import dataclasses
import random
import signal
import threading
import time

from support.namespace import Namespace, merged
from support.waiting import TooLate, until
from support.workers import INPUTS, Workers

from . import checker, facets, model
from .load import Load

POINTS = ("polled", "redis_sent", "redis_done", "produced", "reported", "marked", "wm_written", "committed",
          "assigned", "revoked")
STOP_POINTS = tuple(point for point in POINTS if point not in ("assigned", "revoked"))
STOP_MS = 10000
FACETS = {"publish": {"maxRelated": facets.MAX_RELATED}}


@dataclasses.dataclass
class Scenario:
    """What is done to the pipeline, and how often. `control`: a deliberate mistake of the chaos build."""
    name: str
    events: int = 3000        # raw ones, at least; more come while faults are not done
    facet_share: float = 0.7  # facets for each of them
    rate: int = 1500          # events a second, on average, while no more than `backlog` are waiting
    backlog: int = 4000
    kills: int = 0            # half from outside at random instants, half at code points
    redis_restarts: int = 0   # kill -9, nothing lost
    rollbacks: int = 0        # Redis put back to an old snapshot under living workers
    crash_share: float = 0.0  # share of the rollbacks at which every worker is killed too
    broker_kills: int = 0
    zombies: int = 0          # a worker stopped for zombie_s, longer than the session, then woken
    stops: int = 0            # the same by itself at a code point, so often a process at most
    joins: int = 0            # an instance leaves by SIGTERM, another one joins
    instances: int = 2
    partitions: int = 4
    session_ms: int = 2000
    zombie_s: float = 4.0
    late_ms: int = 0          # one instance of each worker sends so much later than it composes
    control: str = ""
    points: tuple = POINTS
    options: dict = dataclasses.field(default_factory=dict)  # of the option file, on top of the random ones
    quiet_s: int = 120        # longest time to come to rest after the last fault
    limit_s: int = 1800

    def plan(self):
        """How many faults of each kind, by the names under which they are counted."""
        return {kind: getattr(self, kind)
                for kind in ("kills", "redis_restarts", "rollbacks", "broker_kills", "zombies", "joins")}


@dataclasses.dataclass
class Result:
    scenario: Scenario
    seed: int
    counts: collections.Counter
    findings: checker.Findings = None
    failures: list = dataclasses.field(default_factory=list)  # what went wrong besides lost or wrong messages
    seconds: float = 0.0
    check_s: float = 0.0

    @property
    def good(self):
        return not self.failures and self.findings is not None and self.findings.good

    @property
    def caught(self):
        """For a negative control: the checker itself saw lost or wrong messages."""
        return self.findings is not None and not self.findings.good

    def line(self):
        faults = " ".join(f"{name}={n}" for name, n in sorted(self.counts.items()) if n)
        found = self.findings or checker.Findings()
        control = f" control={self.scenario.control}" if self.scenario.control else ""
        return (f"chaos {self.scenario.name}{control} seed={self.seed} {faults} "
                f"records={found.records_read} duplicates={found.duplicates} compacted={found.after_compaction} "
                f"touches={found.touches} dead={found.dead_read} lost={len(found.lost)} wrong={len(found.wrong)} "
                f"failures={len(self.failures)} seconds={self.seconds:.0f} check_s={self.check_s:.0f}")

    def report(self):
        lines = [self.line()]
        if self.findings is not None and not self.findings.good:
            lines.append(self.findings.show())
        return "\n".join(lines + [f"failure: {text}" for text in self.failures[:8]])

    def report_all(self):
        found = self.findings or checker.Findings()
        return "\n".join([self.line(), *(f"failure: {text}" for text in self.failures), found.show(n=None)])


def wait_rest(space, deadline):
    """Until every worker has read all of its streams. A stream grows while the workers before it work, and publish sends
    touches to itself; what it sent for an event is on the stream before its position is behind that event."""
    for _ in range(2):
        for name, streams in INPUTS.items():
            for stream in streams:
                space.wait_done(name, stream, max(1, deadline - time.monotonic()))


class Run:
    def __init__(self, scenario, seed, kafka, redis, folder):
        self.scenario, self.seed, self.kafka, self.redis = scenario, seed, kafka, redis
        self.rng = random.Random(f"{scenario.name} {scenario.control} {seed}")
        self.counts = collections.Counter()
        self.failures = []
        self.over = threading.Event()    # everything ends now
        self.ended = threading.Event()   # every worker did
        self.quiet = threading.Event()   # no more faults: restart workers without crash points
        self.lock = threading.RLock()
        self.team = {name: [] for name in INPUTS}  # the instances that should be running
        self.space = Namespace(kafka, redis, folder / "ns", partitions=scenario.partitions, options=merged(merged(FACETS, self._options()), scenario.options))
        self.workers = Workers(folder / "logs")

    def _options(self):
        """Small batches: more of them, so more instants at which something can be cut in two."""
        return {
            "kafka": {"consumer": {"session.timeout.ms": str(self.scenario.session_ms),
                                   "heartbeat.interval.ms": str(max(100, self.scenario.session_ms // 8))},
                      "producer": {"linger.ms": str(self.rng.choice((1, 5, 20, 50)))}},
            "runtime": {"batchItems": self.rng.choice((10, 20, 50, 200)), "batchMs": self.rng.choice((2, 20)),
                        "commitMs": self.rng.choice((50, 200, 500)), "stopMs": STOP_MS},
        }

    # ---- workers

    def environment(self):
        env = {}
        if self.scenario.control:
            env["NM_CONTROL"] = self.scenario.control
        if self.scenario.kills and not self.quiet.is_set() and self.rng.random() < 0.9:
            # One point a process, so that its death can be told apart. Points of the rebalance are passed once in a
            # while only, those of a batch all the time.
            point = self.rng.choice(self.scenario.points)
            self._arm(env, point, self.rng.choice((2, 4) if point in ("assigned", "revoked") else (5, 20, 60)))
        elif self.scenario.stops:
            self._arm(env, self.rng.choice(STOP_POINTS), self.rng.choice((50, 150)))
            env["NM_FAULT_STOPS"] = str(self.scenario.stops)
        return env

    def _arm(self, env, point, rate):
        env.update(NM_FAULT=f"{point}:1/{rate}", NM_FAULT_SEED=str(self.rng.randrange(1 << 30)))

    def start(self, name):
        with self.lock:
            env = self.environment()
            late = ["--set", f"kafka.producer.linger.ms={self.scenario.late_ms}"] if self._wants_late(name) else []
            worker = self.workers.start(name, self.space.config, *late, env=env)
            worker.late = bool(late)
            worker.point = env.get("NM_FAULT", "").split(":")[0]
            worker.leaving = worker.killed = False
            self.team[name].append(worker)
            return worker

    def _wants_late(self, name):
        return self.scenario.late_ms and not any(worker.late for worker in self.team[name])

    def living(self, name=None):
        """Instances at work: alive, not stopped, not leaving."""
        with self.lock:
            return [worker for team, members in self.team.items() if name in (None, team) for worker in members
                    if worker.alive and not worker.paused and not worker.leaving]

    def kill(self, worker):
        """kill -9 from outside; counts when it hit."""
        with self.lock:
            worker.killed = True
            if worker.kill():
                self.counts["killed_outside"] += 1
                self.counts["kills"] += 1

    def _reap(self):
        """Restarts at once what died, and notes deaths that nobody ordered."""
        while not self.over.wait(0.01):
            with self.lock:
                for name, members in self.team.items():
                    for worker in [w for w in members if not w.alive]:
                        members.remove(worker)
                        self._note_end(worker)
                        if not worker.leaving:
                            self.start(name)

    def _wake(self):
        """Wakes what stopped itself at a code point, zombie_s later."""
        asleep = {}
        while not self.ended.wait(0.05):
            with self.lock:
                for worker in [w for members in self.team.values() for w in members]:
                    if not worker.paused and worker.stopped:
                        worker.paused = True
                        asleep[worker] = time.monotonic() + self.scenario.zombie_s
                for worker in [w for w, end in asleep.items() if time.monotonic() >= end]:
                    del asleep[worker]
                    if worker.resume():
                        self.counts["stopped_inside"] += 1
                        self.counts[f"at_{worker.point}"] += 1

    def _note_end(self, worker):
        if worker.code == -signal.SIGKILL:
            if not worker.killed:
                self.counts["killed_inside"] += 1
                self.counts[f"at_{worker.point}"] += 1
                self.counts["kills"] += 1
        elif worker.code == 0 and worker.leaving:
            pass
        else:
            self.failures.append(f"{worker.name} ended with {worker.code}: {worker.log.name}\n{worker.log_tail(12)}")
            self.counts["unexpected_ends"] += 1

    def leave(self, worker):
        """SIGTERM; the worker must have drained and ended with 0 in time."""
        with self.lock:
            worker.leaving = True
            worker.term()
        try:
            until(lambda: not worker.alive, STOP_MS / 1000 + 2, "")
        except TooLate:
            self.failures.append(f"{worker.name} did not stop within {STOP_MS} ms after SIGTERM\n{worker.log_tail(12)}")
            self.kill(worker)
        # Its exit code is looked at by _note_end().

    # ---- progress

    def progress(self, name):
        """Sum of the offsets in wm of a worker, -1 when Redis does not answer."""
        return self.space.done(name)

    def await_progress(self, name, beyond, timeout_s=15):
        """Until the worker has moved on; gives up after a while, a fault may hit one that is stuck too."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and not self.over.is_set():
            now = self.progress(name)
            if now > beyond:
                return now
            self.over.wait(0.005)
        return beyond

    def wanted(self, kind):
        """Whether more faults of this kind are due."""
        return not self.over.is_set() and self.counts[kind] < self.scenario.plan()[kind]

    def _load(self, acting):
        try:
            Load(self).send_all(acting)
        except Exception as error:  # pylint: disable=broad-except
            self.failures.append(f"load: {error!r}")

    # ---- the whole

    def run(self, compaction=True, reference=True):
        from . import faults  # faults.py speaks of Run
        began = time.monotonic()
        findings, check_began = None, None
        try:
            self.space.create_topics()
            acting = [threading.Thread(target=self._guarded, args=(actor,), daemon=True) for actor in faults.actors(self)]
            for name in INPUTS:
                for _ in range(self.scenario.instances):
                    self.start(name)
            reaper = threading.Thread(target=self._reap, daemon=True)
            if self.scenario.stops:
                threading.Thread(target=self._wake, daemon=True).start()
            threads = [*acting, threading.Thread(target=self._load, args=(acting,), daemon=True)]
            for thread in [reaper, *threads]:
                thread.start()
            self._await_threads(threads, began)
            self._calm_down()
            self._come_to_rest()
            self.over.set()
            reaper.join()
            self._stop()
            check_began = time.monotonic()
            findings = self._check(compaction, reference)
        except TooLate as error:
            self.failures.append(f"too late: {error}")
        finally:
            self.over.set()
            self.ended.set()
            self.workers.close()
        now = time.monotonic()
        return Result(self.scenario, self.seed, self.counts, findings, self.failures, now - began,
                      now - (check_began or now))

    def _check(self, compaction, reference):
        expected = model.expect(self.space.read("raw"), self.space.read_batches("facets", check=False))
        for kind, n in (("events", expected.n_events), ("facets", expected.n_facets)):
            surplus = n - self.counts[kind]
            if surplus < 0 or (surplus and not self.counts["broker_kills"]):
                self.failures.append(f"the stream holds {n} {kind} of {self.counts[kind]}")
            self.counts["sent_twice"] += surplus
        records = self._reference(expected) if reference else None
        return checker.check(self.space, expected, records, compaction)

    def _reference(self, expected):
        """{id: record without revision, None for a tombstone} of a second pipeline on the same raw stream and the same
        facets, without faults; the model must agree with that one first."""
        space = Namespace(self.kafka, self.redis, self.space.folder / "reference", partitions=self.scenario.partitions,
                          options=FACETS, streams={"raw": self.space.topic["raw"]})
        try:
            space.create_topics()
            space.produce("facets", facets.copies(self.space, space))
            members = [self.workers.start(name, space.config) for name in INPUTS]
            wait_rest(space, time.monotonic() + self.scenario.quiet_s)
            for worker in members:
                worker.term()
            if any([worker.wait(STOP_MS / 1000 + 5) for worker in members]):
                self.failures.append("a worker of the run without faults did not end with 0")
            findings = checker.check(space, expected, None, compaction=False)
            if not findings.good:
                self.failures.append(f"the run without faults is not what the model says:\n{findings.show()}")
            return {name: None if value is None else checker.same_but_revision(value)
                    for name, (_, value, _) in findings.newest.items()}
        finally:
            space.close()

    def _guarded(self, actor):
        try:
            actor()
        except Exception as error:  # pylint: disable=broad-except
            self.failures.append(f"{getattr(actor, '__name__', actor)}: {error!r}")

    def _await_threads(self, threads, began):
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)
                if time.monotonic() - began > self.scenario.limit_s:
                    raise TooLate(f"faults and load after {self.scenario.limit_s} s: {dict(self.counts)}")

    def _calm_down(self):
        """No more faults: workers that carry crash points are replaced by ones without (a kill like any other)."""
        self.quiet.set()
        with self.lock:
            armed = [w for members in self.team.values() for w in members
                     if w.point and w.alive and not self.scenario.stops]
        for worker in armed:
            self.kill(worker)

    def _come_to_rest(self):
        try:
            wait_rest(self.space, time.monotonic() + self.scenario.quiet_s)
        except TooLate as error:
            self.failures.append(f"did not come to rest: {error}")

    def _stop(self):
        """SIGTERM to all at once; each must drain and end with 0."""
        members = [worker for team in self.team.values() for worker in team]
        for worker in members:
            worker.leaving = True
            worker.term()
        for worker in members:
            if worker.wait(STOP_MS / 1000 + 5) != 0:
                self._note_end(worker)

    def close(self):
        self.workers.close()
        self.space.close()

