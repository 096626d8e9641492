"""heat: what a signal costs, and whether a million of them end in the heat that plain arithmetic gives.

--heat-articles articles, then --signals signals of the three days before now: of all kinds, from two sources, shuffled, most of them for few
articles, some for articles that come later, one in ten with a signalId and sent twice. Measured is from the start of heat over the backlog of
signals to its end. Then every article's last facet is computed again, at its own
`asOf`, from the signals that were sent. A facet that is missing after that would not be seen.
"""

import collections
import datetime
import itertools
import json
import random
import time

from support.articles import article, ident
from support.facets import story
from support.waiting import until

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


def date(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text):
    return int(datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc).timestamp())


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


def _done(space, stream):
    return sum(int(words[0]) for words in space.wm(space.group("heat"), stream).values() if words)


def _wait(space, process, stream):
    wanted = sum(space.ends(stream).values())
    until(lambda: _done(space, stream) >= wanted, 1800, lambda: f"{stream}: {_done(space, stream)} of {wanted}\n{process.log_tail()}", every_s=0.2)


def engagement(counts, as_of):
    """Thousandths: counts is {(kind, source): {second: count}}."""
    points = 0
    for (kind, _source), series in counts.items():
        weight, window, cap = KINDS[kind]
        points += weight * min(cap, sum(n for at, n in series.items() if as_of - window < at <= as_of))
    return points


def _model(n_signals, n_articles, now):
    """{number: {(kind, source): {second of a step: count}}}, each signalId once."""
    counts, seen = collections.defaultdict(lambda: collections.defaultdict(collections.Counter)), set()
    for number, kind, source, count, at, name in _signals(n_signals, n_articles, now):
        if name is None or name not in seen:
            counts[number][kind, source][at - at % STEP_S] += count
        if name:
            seen.add(name)
    return counts


def _compare(space, n_signals, n_articles, now):
    """What is wrong, in words; of each article's last facet."""
    last = {}
    for message in space.read("facets"):
        facet = json.loads(message.value)
        if facet["facet"] == "heat" and facet["revision"] > last.get(facet["id"], {"revision": 0})["revision"]:
            last[facet["id"]] = facet
    counts, wrong = _model(n_signals, n_articles, now), []
    leads = min(1000, n_articles // 4)
    for number in range(n_articles):
        data = last.get(ident(number), {}).get("data")
        if data is None:
            wrong.append(f"article {number} has no heat")
            continue
        as_of = seconds(data["asOf"])
        points = engagement(counts.get(number, {}), as_of - as_of % STEP_S)
        related = 20 if number < leads else 0
        exact = quality_of(number) * 1000 + related * 1000 + points
        want = -1 if 1000 <= number < 1000 + 2 * leads else min(10 ** 6, (exact + 500) // 1000)
        if data["heat"] != want:
            wrong.append(f"article {number}: heat {data['heat']}, computed {want} as of {data['asOf']}")
    return wrong


def run(rig, options):
    n_signals, n_articles, now = options.signals, options.heat_articles, int(time.time())
    result = Result("heat", {"input": f"{n_signals:,} signals and {n_signals // 10:,} repeated ones for {n_articles:,} articles; one process"})
    space = rig.space()
    later = [number for number in range(n_articles) if number % LATER == 0]
    space.produce("normalized", _articles(space, (n for n in range(n_articles) if n % LATER), now), timeout_s=300)
    space.produce("facets", _stories(space, n_articles), timeout_s=300)
    process = rig.workers.start("heat", space.config)
    for stream in ("normalized", "facets"):
        _wait(space, process, stream)
    process.term()
    assert process.wait(30) == 0
    space.produce("signals", map(_message, _signals(n_signals, n_articles, now)), timeout_s=600)
    say("heat: the signals are stored")
    meter, began_s, n_all = Meter(**rig.pids()), time.monotonic(), n_signals + n_signals // 10
    process = rig.workers.start("heat", space.config)
    _wait(space, process, "signals")
    cpu, _ = meter.spent()
    cost, spent_s = usage(process.pid), time.monotonic() - began_s
    space.produce("normalized", _articles(space, later, now), timeout_s=300)
    _wait(space, process, "normalized")
    with rig.redis.client() as client:
        until(lambda: all(score / 1000 > time.time() for p in range(space.partitions) for _, score in
                          client.zrange(f"{space.name}:due:heat:{p}", 0, 0, withscores=True)), 600, "what fades by now has faded", every_s=1)
        memory = client.info("memory")["used_memory"]
    process.term()
    assert process.wait(30) == 0
    wrong = _compare(space, n_signals, n_articles, now)
    result.failures += [f"{len(wrong)} of {n_articles} articles have another heat"] * bool(wrong) + list(itertools.islice(wrong, 5))
    result.figures += [Figure("client CPU", "µs/signal", [cost.cpu_s / n_all * 1e6], MOST_US), Figure("Redis CPU", "µs/signal", [cpu["redis"] / n_all * 1e6]),
                       Figure("broker CPU", "µs/signal", [cpu["broker"] / n_all * 1e6]), Figure("rate", "signals/s", [n_all / spent_s]),
                       Figure("peak memory", "MiB", [cost.peak_mib], 96), Figure("Redis memory", "bytes/article", [memory / n_articles]),
                       Figure("articles with another heat than computed", "", [len(wrong)], 0)]
    rig.forget(space)
    return result
