"""The fault tests by name, short (seconds, in tests/run) and long (the figures that the project promises).

    tests/chaos/run --long                         every scenario and every negative control, about 40 minutes
    tests/chaos/run kill --seed 7                  the short form of one; --long for its long form
    tests/chaos/run kill --events 50000 --kills 80
    tests/chaos/run --control setnx_skip           one negative control
"""

import argparse
import dataclasses
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

from support.servers import Kafka, Redis, kafka_answers

from .driver import Run, Scenario

# The same settings with and without a deliberate mistake: batches that wait a while for their delivery reports.
SLOW_REPORTS = {"runtime": {"batchItems": 200, "batchMs": 20}, "kafka": {"producer": {"linger.ms": "100"}}}

# Batches large enough that an instance whose reports come late does not fall behind.
LARGE_BATCHES = {"runtime": {"batchItems": 1000, "batchMs": 2}}

SHORT = {scenario.name: scenario for scenario in (
    Scenario("kill", events=5000, kills=16),
    Scenario("redis", events=3000, redis_restarts=4),
    Scenario("rollback", events=3000, rollbacks=4, crash_share=0.25),
    Scenario("broker", events=3000, broker_kills=2),
    Scenario("zombie", events=3000, zombies=4, stops=2),
    Scenario("join", events=3000, joins=6),
    Scenario("calm", events=6000, instances=3, late_ms=400, options=LARGE_BATCHES),
    Scenario("mixed", events=5000, kills=8, redis_restarts=1, rollbacks=2, broker_kills=1, zombies=2, joins=3),
)}

_MUCH = {"backlog": 20_000, "limit_s": 3600, "quiet_s": 300}
LONG = {scenario.name: scenario for scenario in (
    Scenario("kill", events=200_000, facet_share=0.3, kills=200, options=SLOW_REPORTS, **_MUCH),
    Scenario("redis", events=60_000, redis_restarts=20, **_MUCH),
    Scenario("rollback", events=60_000, rollbacks=20, crash_share=0.25, **_MUCH),
    Scenario("broker", events=60_000, broker_kills=10, **_MUCH),
    Scenario("zombie", events=60_000, zombies=10, stops=3, zombie_s=20, session_ms=6000, instances=3, **_MUCH),
    Scenario("join", events=60_000, joins=40, **_MUCH),
    Scenario("calm", events=60_000, instances=3, late_ms=400, options=LARGE_BATCHES, **_MUCH),
    Scenario("mixed", events=100_000, kills=200, redis_restarts=10, rollbacks=20, broker_kills=10, zombies=10,
             crash_share=0.25, zombie_s=20, session_ms=6000, joins=20, instances=3, **_MUCH),
)}

# Each deliberate mistake with the fault that shows it, and the crash points at which it does harm. Leads composed by
# whoever sees a change need none: instances that work at the same time are enough.
_KILL = Scenario("kill", events=5000, kills=16, quiet_s=40, options=SLOW_REPORTS)
_BACK = Scenario("rollback", events=3000, rollbacks=4, quiet_s=20)
CONTROLS = {
    "commit_before_report": dataclasses.replace(_KILL, points=("committed",)),
    "stored_offsets": dataclasses.replace(_KILL, points=("polled", "redis_sent", "redis_done", "produced")),
    "setnx_skip": dataclasses.replace(_KILL, points=("redis_done", "produced")),
    "committed_only": _BACK,
    "retry_batch": _BACK,
    "lead_by_anyone": SHORT["calm"],
}
SLICES = 5  # runs of a control at most: the short form's kills five times, or the long form's 200 in five parts


def control(name, long=False):
    """The scenario of a negative control. The long form is a fifth of the long good run, with its crash points."""
    scenario = CONTROLS[name]
    if long:
        good = LONG[scenario.name]
        scenario = dataclasses.replace(good, events=good.events // SLICES, kills=good.kills // SLICES,
                                       rollbacks=good.rollbacks // SLICES, quiet_s=scenario.quiet_s)
    return dataclasses.replace(scenario, control=name)


def run_once(scenario, seed, kafka, redis, folder):
    run = Run(scenario, seed, kafka, redis, pathlib.Path(folder))
    try:
        return run.run()
    finally:
        run.close()


def run_control(name, seed, kafka, redis, folder, long=False):
    """Runs a control with one seed after another until the checker sees lost or wrong messages. All results."""
    results = []
    for n in range(SLICES):
        results.append(run_once(control(name, long), seed + n, kafka, redis, pathlib.Path(folder) / f"{name}-{n}"))
        if results[-1].caught:
            break
    return results


# ---- command line

def arguments():
    parser = argparse.ArgumentParser(prog="tests/chaos/run", description="Fault tests on a real Kafka and a real Redis.")
    parser.add_argument("scenario", nargs="*", choices=[[], *SHORT], metavar="SCENARIO",
                        help=f"{', '.join(SHORT)}; none: all of them, and every control")
    parser.add_argument("--control", action="append", choices=list(CONTROLS), default=[],
                        help="a negative control in place of scenarios")
    parser.add_argument("--long", action="store_true", help="the long form")
    parser.add_argument("--seed", type=int, help="default: random; it is printed")
    parser.add_argument("--events", type=int)
    parser.add_argument("--kills", type=int)
    parser.add_argument("--keep", action="store_true", help="keep logs and servers' folders; failed runs are kept anyway")
    return parser.parse_args()


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Session:
    """The servers of one call, and what came out."""

    def __init__(self, options):
        self.options = options
        self.seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1_000_000)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="newsmill-chaos-"))
        self.kafka, self.redis = Kafka(), Redis()
        self.bad = 0

    def servers(self):
        if not kafka_answers(self.kafka) if self.kafka.brokers else True:
            self.kafka.start()
        if not self.redis.alive:
            self.redis.start()
        return self.kafka, self.redis

    def scenario(self, name):
        wanted = (LONG if self.options.long else SHORT)[name]
        more = {field: value for field in ("events", "kills") if (value := getattr(self.options, field)) is not None}
        folder = self.folder / name
        result = run_once(dataclasses.replace(wanted, **more), self.seed, *self.servers(), folder)
        say(f"{'good' if result.good else 'BAD '}  {result.line()}")
        if not result.good:
            self.bad += 1
            (folder / "findings.txt").write_text(result.report_all())
            say(f"{result.report()}\nlogs and all findings: {folder}")
        elif not self.options.keep:
            shutil.rmtree(folder, ignore_errors=True)

    def control(self, name):
        results = run_control(name, self.seed, *self.servers(), self.folder, self.options.long)
        for result in results:
            say(f"{'caught' if result.caught else 'not seen'}  {result.line()}")
        if not results[-1].caught:
            self.bad += 1
            say(f"BAD: the checker did not catch {name}")

    def close(self):
        keep = self.options.keep
        self.kafka.close(keep=keep)
        self.redis.close(keep=keep)
        if not keep and not self.bad:
            shutil.rmtree(self.folder, ignore_errors=True)


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.environ.setdefault("NM_BUILD", "build-chaos")
    session = Session(options)
    say(f"seed {session.seed}, logs in {session.folder}")
    try:
        scenarios = options.scenario or ([] if options.control else list(SHORT))
        controls = options.control or ([] if options.scenario else list(CONTROLS))
        for name in scenarios:
            session.scenario(name)
        for name in controls:
            session.control(name)
    finally:
        session.close()
    good = [f"{len(scenarios)} runs: nothing lost, nothing wrong"] * bool(scenarios)
    good += [f"{len(controls)} controls: each caught"] * bool(controls)
    say("; ".join(good) if not session.bad else f"{session.bad} of {len(scenarios) + len(controls)} failed")
    return 1 if session.bad else 0


if __name__ == "__main__":
    sys.exit(main())
