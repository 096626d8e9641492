"""pass: client CPU of a worker per consumed event, in pairs beside a bare pass-through (pass/passthrough.c).

Each pair has an input and a beginning of its own; which of the two goes first alternates. Both run from their start to the end of
the input; user and system time of the whole process divided by the events. publish: articles and three facets each, in stories of five;
its touches count as consumed. The first pair warms up and is not counted.
"""

from . import work
from .report import Figure, Result
from .rig import say

SUMMARY = "client CPU per consumed event, in pairs beside a bare librdkafka pass-through"
MOST_US, MOST_RATIO = 25, 10
ARTICLES = 20_000


def add_arguments(parser):
    parser.add_argument("--pairs", type=int, default=5, help="pass: pairs that count (default 5)")
    parser.add_argument("--pass-events", type=int, default=200_000, help="pass: events of a run (default 200,000)")


def _pair(rig, worker, n_events, worker_first):
    """(cost of the pass-through, cost of the worker)."""
    space = work.fill(rig, worker, ARTICLES, n_events)
    costs = {}
    for kind in ("worker", "bare") if worker_first else ("bare", "worker"):
        costs[kind] = (work.run_worker if kind == "worker" else work.run_bare)(rig, space, worker)
    rig.forget(space)
    say(f"pass {worker}: {costs['worker'].client_us:.1f} µs beside {costs['bare'].client_us:.1f} µs")
    return costs["bare"], costs["worker"]


def _figures(worker, pairs):
    bare, own = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    yield Figure(f"{worker}: client CPU", "µs/event", [cost.client_us for cost in own], MOST_US)
    yield Figure(f"{worker}: beside the pass-through", "times", [o.client_us / b.client_us for b, o in pairs], MOST_RATIO)
    yield Figure(f"{worker}: pass-through's client CPU", "µs/event", [cost.client_us for cost in bare])
    yield Figure(f"{worker}: broker CPU", "µs/event", [cost.broker_us for cost in own])
    yield Figure(f"{worker}: Redis CPU", "µs/event", [cost.redis_us for cost in own])
    yield Figure(f"{worker}: rate", "events/s", [cost.rate for cost in own])
    yield Figure(f"{worker}: pass-through's rate", "events/s", [cost.rate for cost in bare])
    yield Figure(f"{worker}: peak memory", "MiB", [cost.peak_mib for cost in own])


def run(rig, options):
    result = Result("pass", {"input": f"{options.pass_events:,} events a run, {ARTICLES:,} articles, batches of 500, lz4"})
    for worker in options.worker:
        _pair(rig, worker, min(options.pass_events, 20_000), False)
        pairs = [_pair(rig, worker, options.pass_events, n % 2 == 0) for n in range(options.pairs)]
        result.figures += _figures(worker, pairs)
    return result
