"""heat: what a signal costs, and whether a million of them end in the heat that plain arithmetic gives.

--heat-articles articles, then --signals signals of the three days before now: of all kinds, from two sources, shuffled, most of them for few
articles, some for articles that come later, one in ten with a signalId and sent twice. Measured is from the start of heat over the backlog of
signals to its end. Then every article's heat is computed again from what lies in the streams, as it is when all that fades by then has
faded; its last facet must say the same.
"""

import itertools
import json
import time

from support.articles import ident
from support.facets import story
from support.heat import DAY, articles, compare, faded, signals
from support.waiting import until

from .machine import Meter, usage
from .report import Figure, Result
from .rig import say

SUMMARY = "CPU of heat and of Redis a signal, and every article's heat against plain arithmetic"
MOST_US = 25
LATER = 50  # one article in so many comes after its signals


def add_arguments(parser):
    parser.add_argument("--signals", type=int, default=1_000_000, help="heat: signals (default 1,000,000)")
    parser.add_argument("--heat-articles", type=int, default=100_000, help="heat: articles (default 100,000)")


def _stories(space, n_articles):
    """The first thousand lead stories of three, with the next two thousand below them."""
    for lead in range(min(1000, n_articles // 4)):
        members = (1000 + 2 * lead, 1001 + 2 * lead)
        for number, data in ((lead, story(lead, *members)), *((member, story(lead)) for member in members)):
            value = {"id": ident(number), "facet": "related", "revision": 10, "data": data}
            yield value["id"], json.dumps(value), None, space.headers("facet/1", 10)


def run(rig, options):
    n_signals, n_articles, now = options.signals, options.heat_articles, int(time.time())
    result = Result("heat", {"input": f"{n_signals:,} signals and {n_signals // 10:,} repeated ones for {n_articles:,} articles; one process"})
    space = rig.space()
    later = [number for number in range(n_articles) if number % LATER == 0]
    space.produce("normalized", articles(space, (n for n in range(n_articles) if n % LATER), now - 4 * DAY), timeout_s=300)
    space.produce("facets", _stories(space, n_articles), timeout_s=300)
    process = rig.workers.start("heat", space.config)
    for stream in ("normalized", "facets"):
        space.wait_done("heat", stream, 1800)
    process.term()
    assert process.wait(30) == 0
    space.produce("signals", signals("heat", n_signals, n_articles, now), timeout_s=600)
    say("heat: the signals are stored")
    meter, began_s, n_all = Meter(**rig.pids()), time.monotonic(), n_signals + n_signals // 10
    process = rig.workers.start("heat", space.config)
    space.wait_done("heat", "signals", 1800)
    cpu, _ = meter.spent()
    cost, spent_s = usage(process.pid), time.monotonic() - began_s
    space.produce("normalized", articles(space, later, now - 4 * DAY), timeout_s=300)
    space.wait_done("heat", "normalized", 1800)
    ended = [until(lambda: faded(space), 600, "what fades by now has faded", every_s=1)]
    with rig.redis.client() as client:
        memory = client.info("memory")["used_memory"]
    process.term()
    assert process.wait(30) == 0
    wrong = compare(space, n_articles, [*ended, int(time.time())])
    result.failures += [f"{len(wrong)} of {n_articles} articles have another heat"] * bool(wrong) + list(itertools.islice(wrong, 5))
    result.figures += [Figure("client CPU", "µs/signal", [cost.cpu_s / n_all * 1e6], MOST_US), Figure("Redis CPU", "µs/signal", [cpu["redis"] / n_all * 1e6]),
                       Figure("broker CPU", "µs/signal", [cpu["broker"] / n_all * 1e6]), Figure("rate", "signals/s", [n_all / spent_s]),
                       Figure("peak memory", "MiB", [cost.peak_mib], 96), Figure("Redis memory", "bytes/article", [memory / n_articles]),
                       Figure("articles with another heat than computed", "", [len(wrong)], 0)]
    rig.forget(space)
    return result
