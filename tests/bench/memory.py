"""memory: resident memory of one worker that starts with a backlog, and how it grows while it works that off.

One process reads a backlog of three rounds (--events each, a million by default), sampled several times a second. Peak is VmHWM after
the first round. Growth compares the last two: over the same articles again and again nothing may stay behind, so what grows is a leak or
fragmentation.
"""

import statistics

from support.workers import INPUTS

from . import feed
from .machine import usage
from .report import Figure, Result
from .rig import option_values, say, stored, wait_all, wait_progress

SUMMARY = "peak resident memory of a worker that starts with a backlog, and its growth per million events"
PEAK_MIB, GROWTH_MIB = 96, 1
ARTICLES = {"normalize": 100_000, "publish": 50_000}
ROUNDS = 3
# Options that bound what a worker holds; their values are told with the figures.
BOUNDS = ("runtime.inFlightItems", "runtime.inFlightBytes", "runtime.batchItems", "runtime.batchBytes")


def add_arguments(parser):
    parser.add_argument("--events", type=int, default=1_000_000, help="memory: backlog of a round (default 1,000,000)")


def growth(samples):
    """MiB per million events of [(events, MiB)] of a whole number of rounds: between the medians of the last two. The first one
    fills the buffers, and single samples move by several MiB with what lies in librdkafka's queue."""
    last = samples[-1][0] / ROUNDS  # events of a round, what publish writes to itself included
    rounds = [statistics.median(mib for events, mib in samples if last * n < events <= last * (n + 1)) for n in range(ROUNDS)]
    return (rounds[-1] - rounds[-2]) / last * 1e6


def _backlog(space, worker, n_events):
    source = feed.Feed(space, worker, ARTICLES[worker])
    for part in range(10 * ROUNDS):
        source.send(n_events // 10)
        if part % 5 == 4:
            say(f"memory {worker}: {stored(space, worker):,} events stored")


def _watch(space, worker, process, n_events):
    """(peak after the first round, [(events, VmRSS)], seconds)."""
    samples = []
    began = usage(process.pid)

    def each(done):
        samples.append((done, usage(process.pid).rss_mib))

    wait_progress(space, worker, n_events, process, 1200, each, every_s=0.2)
    peak = usage(process.pid).peak_mib
    say(f"memory {worker}: first round finished, peak {peak:.1f} MiB")
    wait_all(space, worker, process, 1200, each, every_s=0.2)
    return peak, samples, usage(process.pid).at_s - began.at_s


def _one(rig, worker, n_events, result):
    space = rig.space()
    _backlog(space, worker, n_events)
    result.settings[worker] = ", ".join(f"{name} {value}" for name, value in option_values(space, worker, BOUNDS).items())
    process = rig.workers.start(worker, space.config)
    peak, samples, seconds = _watch(space, worker, process, n_events)
    last = usage(process.pid)
    steady = [(events, mib) for events, mib in samples if events >= n_events / 4]
    done = samples[-1][0]
    result.figures += [
        Figure(f"{worker}: peak, {n_events:,} events", "MiB", [peak], PEAK_MIB),
        Figure(f"{worker}: peak, all rounds", "MiB", [last.peak_mib], PEAK_MIB),
        Figure(f"{worker}: growth", "MiB per M events", [growth(samples)], GROWTH_MIB,
               "medians of the last two rounds"),
        Figure(f"{worker}: resident at work", "MiB", [mib for _, mib in steady]),
        Figure(f"{worker}: finished", "events/s", [done / seconds], note=f"{done:,} of {', '.join(INPUTS[worker])}"),
        Figure(f"{worker}: client CPU", "µs/event", [last.cpu_s / done * 1e6]),
    ]
    if last.rss_mib > last.peak_mib or process.code is not None:
        result.failures.append(f"{worker}: VmRSS {last.rss_mib} above VmHWM {last.peak_mib}, or ended: {process.code}")
    process.term()
    if process.wait(15) != 0:
        result.failures.append(f"{worker} ended with {process.code}\n{process.log_tail()}")
    rig.forget(space)


def run(rig, options):
    result = Result("memory", {"backlog": f"{ROUNDS} rounds of {options.events:,} events, one process, 8 partitions a stream"})
    for worker in options.worker:
        _one(rig, worker, options.events, result)
    return result
