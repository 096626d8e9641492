"""Whole runs over a fixed input, of a worker or of the bare pass-through, and what they cost."""

import dataclasses
import itertools
import time

from support.waiting import until
from support.workers import INPUTS, Worker, environment, program

from . import feed
from .machine import Meter, usage
from .rig import OUTPUT, stored, wait_all

_numbers = itertools.count()


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one run, from the start of the process to the end of its work; µs an event that was consumed."""
    client_us: float
    broker_us: float
    redis_us: float
    rate: float
    peak_mib: float


def _cost(process, meter, n_events, began_s):
    last = usage(process.pid)
    cpu, _ = meter.spent()
    return Cost(last.cpu_s / n_events * 1e6, cpu["broker"] / n_events * 1e6, cpu["redis"] / n_events * 1e6,
                n_events / (last.at_s - began_s), last.peak_mib)


def fill(rig, worker, n_articles, n_events):
    """A namespace whose inputs hold so many events."""
    space = rig.space()
    feed.Feed(space, worker, n_articles).send(n_events)
    return space


def run_worker(rig, space, worker, timeout_s=600):
    meter, began_s = Meter(**rig.pids()), time.monotonic()
    process = rig.workers.start(worker, space.config)
    wait_all(space, worker, process, timeout_s)
    cost = _cost(process, meter, stored(space, worker), began_s)
    process.term()
    assert process.wait(15) == 0, f"{worker} ended with {process.code}\n{process.log_tail()}"
    return cost


def run_bare(rig, space, worker, timeout_s=600):
    """The same input through passthrough.c, into the worker's output stream."""
    n_events, out = stored(space, worker), OUTPUT[worker]
    meter, began_s = Meter(**rig.pids()), time.monotonic()
    before, reader = sum(space.ends(out).values()), space.consumer()
    process = Worker("passthrough", [program("passthrough"), "-c", str(space.config), "--group", f"bare{next(_numbers)}", "--out",
                                     space.topic[out], *(space.topic[stream] for stream in INPUTS[worker])],
                     rig.workers.folder / "passthrough.log", environment())
    rig.workers.all.append(process)

    def done():
        assert process.alive, f"passthrough ended with {process.code}\n{process.log_tail()}"
        return sum(space.ends(out, reader).values()) - before >= n_events

    try:
        until(done, timeout_s, f"passthrough passes {n_events} events", every_s=0.05)
    finally:
        reader.close()
    cost = _cost(process, meter, n_events, began_s)
    process.term()
    assert process.wait(15) == 0, f"passthrough ended with {process.code}\n{process.log_tail()}"
    return cost
