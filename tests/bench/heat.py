"""heat: what a signal costs, and whether a million of them end in the heat that plain arithmetic gives.

--heat-articles articles, then --signals signals of the three days before now: of all kinds, from two sources, shuffled, most of them for few
articles, some for articles that come later, one in ten with a signalId and sent twice. Measured is from the start of heat over the backlog of
signals to its end. Then every article's heat is computed again from what lies in the streams, as it is when all that fades by then has
faded; its last facet must say the same.
"""

import calendar
import collections
import itertools
import json
import random
import time

from support.articles import article, ident
from support.facets import story
from support.waiting import until

from .feed import iso
from .machine import Meter, usage
from .report import Figure, Result
from .rig import say

SUMMARY = "CPU of heat and of Redis a signal, and every article's heat against plain arithmetic"
MOST_US = 25
STEP_S, DAY = 900, 86400
KINDS = {"click": (1000, DAY, 1000), "share": (5000, 2 * DAY, 200), "comment": (3000, 2 * DAY, 200), "mention": (8000, 3 * DAY, 100),
         "view": (100, DAY, 10_000)}  # thousandths of a point, window, cap of a source; workers/heat/README.md
LATER = 50  # one article in so many comes after its signals


def add_arguments(parser):
    parser.add_argument("--signals", type=int, default=1_000_000, help="heat: signals (default 1,000,000)")
    parser.add_argument("--heat-articles", type=int, default=100_000, help="heat: articles (default 100,000)")


def date(at_s):
    return iso(at_s * 1000)


def seconds(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def quality_of(number):
    return 20 + number * 7 % 80


def _articles(space, numbers, now):
    for number in numbers:
        item = article(number, 1000, quality=quality_of(number), publishedDateTime=date(now - 4 * DAY))
        yield item["id"], json.dumps(item), None, space.headers("article/1", 1000)


def _stories(space, n_articles):
    """The first thousand lead stories of three, with the next two thousand below them."""
    for lead in range(min(1000, n_articles // 4)):
        members = (1000 + 2 * lead, 1001 + 2 * lead)
        for number, data in ((lead, story(lead, *members)), *((member, story(lead)) for member in members)):
            value = {"id": ident(number), "facet": "related", "revision": 10, "data": data}
            yield value["id"], json.dumps(value), None, space.headers("facet/1", 10)


def _signals(n_signals, n_articles, now):
    """(number, kind, source, count, time, signalId) of each message; a repeated one follows at once."""
    rng = random.Random("heat")
    for n in range(n_signals):
        number = int(n_articles * rng.random() ** 3)
        one = (number, rng.choice(tuple(KINDS)), rng.choice(("site-eu", "site-us")), rng.randrange(1, 6), now - rng.randrange(3 * DAY),
               f"s{n}" if n % 10 == 0 else None)
        yield one
        if one[5]:
            yield one


def _message(one):
    number, kind, source, count, at, name = one
    value = {"id": ident(number), "kind": kind, "source": source, "count": count, "at": date(at), **({"signalId": name} if name else {})}
    return value["id"], json.dumps(value), at * 1000


def engagement(counts, as_of):
    """Thousandths: counts is {(kind, source): {second: count}}."""
    points = 0
    for (kind, _source), series in counts.items():
        weight, window, cap = KINDS[kind]
        points += weight * min(cap, sum(n for at, n in series.items() if as_of - window < at <= as_of))
    return points


def _read(space):
    """From the streams: {id: quality}, {id: (size, whether it leads)}, {id: {(kind, source): {second of a step: count}}} with each signalId
    once, {id: newest facet of heat}."""
    quality, place, heat, seen = {}, {}, {}, set()
    counts = collections.defaultdict(lambda: collections.defaultdict(collections.Counter))
    for message in space.read("normalized"):
        item = json.loads(message.value)
        quality[item["id"]] = item["quality"]
    for message in space.read("facets"):
        facet = json.loads(message.value)
        if facet["facet"] == "related":
            place[facet["id"]] = facet["data"]["story"]["size"], facet["data"]["story"]["lead"] == facet["id"]
        elif facet["revision"] > heat.get(facet["id"], {"revision": 0})["revision"]:
            heat[facet["id"]] = facet
    for message in space.read("signals"):
        signal = json.loads(message.value)
        name = signal.get("signalId")
        if name in seen:
            continue
        at = seconds(signal["at"])
        counts[signal["id"]][signal["kind"], signal["source"]][at - at % STEP_S] += signal["count"]
        if name:
            seen.add(name)
    return quality, place, counts, heat


def _compare(space, n_articles, ended):
    """What is wrong, in words; of each article's last facet. `ended`: the first and the last second at which all had faded."""
    quality, place, counts, heat = _read(space)
    wrong = [f"{n_articles - len(quality)} articles are missing"] * (len(quality) != n_articles)
    for name, points in quality.items():
        size, leads = place.get(name, (1, True))
        wants = {-1 if not leads else min(10 ** 6, (1000 * (points + 10 * (size - 1)) + engagement(counts.get(name, {}), at - at % STEP_S) + 500) // 1000)
                 for at in ended}
        data = heat.get(name, {"data": {"heat": "none", "asOf": ""}})["data"]
        if data["heat"] not in wants:
            wrong.append(f"article {name}: heat {data['heat']} as of {data['asOf']}, computed {wants}")
    return wrong


def _faded(space):
    """The second at which no timer was due; None: some are."""
    with space.redis.client() as client:
        now = client.time()[0]
        first = [score for p in range(space.partitions) for _, score in client.zrange(f"{space.name}:due:heat:{p}", 0, 0, withscores=True)]
    return now if all(score / 1000 > now for score in first) else None


def run(rig, options):
    n_signals, n_articles, now = options.signals, options.heat_articles, int(time.time())
    result = Result("heat", {"input": f"{n_signals:,} signals and {n_signals // 10:,} repeated ones for {n_articles:,} articles; one process"})
    space = rig.space()
    later = [number for number in range(n_articles) if number % LATER == 0]
    space.produce("normalized", _articles(space, (n for n in range(n_articles) if n % LATER), now), timeout_s=300)
    space.produce("facets", _stories(space, n_articles), timeout_s=300)
    process = rig.workers.start("heat", space.config)
    for stream in ("normalized", "facets"):
        space.wait_done("heat", stream, 1800)
    process.term()
    assert process.wait(30) == 0
    space.produce("signals", map(_message, _signals(n_signals, n_articles, now)), timeout_s=600)
    say("heat: the signals are stored")
    meter, began_s, n_all = Meter(**rig.pids()), time.monotonic(), n_signals + n_signals // 10
    process = rig.workers.start("heat", space.config)
    space.wait_done("heat", "signals", 1800)
    cpu, _ = meter.spent()
    cost, spent_s = usage(process.pid), time.monotonic() - began_s
    space.produce("normalized", _articles(space, later, now), timeout_s=300)
    space.wait_done("heat", "normalized", 1800)
    ended = [until(lambda: _faded(space), 600, "what fades by now has faded", every_s=1)]
    with rig.redis.client() as client:
        memory = client.info("memory")["used_memory"]
    process.term()
    assert process.wait(30) == 0
    wrong = _compare(space, n_articles, [*ended, int(time.time())])
    result.failures += [f"{len(wrong)} of {n_articles} articles have another heat"] * bool(wrong) + list(itertools.islice(wrong, 5))
    result.figures += [Figure("client CPU", "µs/signal", [cost.cpu_s / n_all * 1e6], MOST_US), Figure("Redis CPU", "µs/signal", [cpu["redis"] / n_all * 1e6]),
                       Figure("broker CPU", "µs/signal", [cpu["broker"] / n_all * 1e6]), Figure("rate", "signals/s", [n_all / spent_s]),
                       Figure("peak memory", "MiB", [cost.peak_mib], 96), Figure("Redis memory", "bytes/article", [memory / n_articles]),
                       Figure("articles with another heat than computed", "", [len(wrong)], 0)]
    rig.forget(space)
    return result
