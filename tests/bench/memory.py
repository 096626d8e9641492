"""memory: resident memory of one worker that starts with a backlog, and how it grows while more of the same comes.

The worker starts with a round of --events stored (a million by default); two more are stored, one after the other, each when the one before is
finished to the end, and faster than it works. It is sampled several times a second. Peak is VmHWM. Growth compares the last two rounds:
the same articles with the same events, so what grows is a leak or fragmentation. (Parts of one round can't be compared: what publish tells
itself comes last and weighs most.)
"""

import statistics

from support.workers import INPUTS

from . import feed
from .machine import usage
from .report import Figure, Result
from .rig import option_values, say, stored, wait_all

SUMMARY = "peak resident memory of a worker that starts with a backlog, and its growth per million events"
PEAK_MIB, GROWTH_MIB = 96, 1
ARTICLES = {"normalize": 100_000, "publish": 50_000}
ROUNDS = 3
# Options that bound what a worker holds; their values are told with the figures.
BOUNDS = ("runtime.inFlightItems", "runtime.inFlightBytes", "runtime.batchItems", "runtime.batchBytes")


def add_arguments(parser):
    parser.add_argument("--events", type=int, default=1_000_000, help="memory: backlog of a round (default 1,000,000)")


def _backlog(space, worker, source, n_events):
    for part in range(10):
        source.send(n_events // 10)
        if part % 5 == 4:
            say(f"memory {worker}: {stored(space, worker):,} events stored")


def _watch(space, worker, process):
    """Everything that is stored: (samples of VmRSS, in MiB; peak so far)."""
    samples = []
    wait_all(space, worker, process, 1200, lambda _: samples.append(usage(process.pid).rss_mib), every_s=0.2)
    peak = usage(process.pid).peak_mib
    say(f"memory {worker}: a round is finished, peak {peak:.1f} MiB, median {statistics.median(samples):.1f} MiB")
    return samples, peak


def _one(rig, worker, n_events, result):
    space = rig.space()
    source = feed.Feed(space, worker, ARTICLES[worker])
    _backlog(space, worker, source, n_events)
    result.settings[worker] = ", ".join(f"{name} {value}" for name, value in option_values(space, worker, BOUNDS).items())
    process = rig.workers.start(worker, space.config)
    began = usage(process.pid).at_s
    rounds = [_watch(space, worker, process)]
    for _ in range(1, ROUNDS):
        _backlog(space, worker, source, n_events)
        rounds.append(_watch(space, worker, process))
    last = usage(process.pid)
    done = stored(space, worker)
    medians = [statistics.median(samples) for samples, _ in rounds]
    result.figures += [
        Figure(f"{worker}: peak, {n_events:,} events", "MiB", [rounds[0][1]], PEAK_MIB),
        Figure(f"{worker}: peak, all rounds", "MiB", [last.peak_mib], PEAK_MIB),
        Figure(f"{worker}: growth", "MiB per M events", [(medians[-1] - medians[-2]) / (done / ROUNDS) * 1e6], GROWTH_MIB,
               "medians of the last two rounds"),
        Figure(f"{worker}: resident at work", "MiB", [mib for samples, _ in rounds for mib in samples]),
        Figure(f"{worker}: finished", "events/s", [done / (last.at_s - began)], note=f"{done:,} of {', '.join(INPUTS[worker])}"),
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
