"""Signals, and the heat that plain arithmetic makes of what lies in the streams."""

import calendar
import collections
import json
import random
import time

from .articles import article, ident

STEP_S, DAY = 900, 86400
KINDS = {"click": (1000, DAY, 1000), "share": (5000, 2 * DAY, 200), "comment": (3000, 2 * DAY, 200), "mention": (8000, 3 * DAY, 100),
         "view": (100, DAY, 10_000)}  # thousandths of a point, window, cap of a source; workers/heat/README.md


def date(at_s):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))


def seconds(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def articles(space, numbers, published):
    """Messages of articles with different qualities."""
    for number in numbers:
        item = article(number, 1000, quality=20 + number * 7 % 80, publishedDateTime=date(published))
        yield item["id"], json.dumps(item), None, space.headers("article/1", 1000)


def signals(seed, n_signals, n_articles, now):
    """Messages of signals of the three days before now: of all kinds, from two sources, shuffled, most of them for few articles; one in ten
    has a signalId and comes twice."""
    rng = random.Random(seed)
    for n in range(n_signals):
        number, at = int(n_articles * rng.random() ** 3), now - rng.randrange(3 * DAY)
        value = {"id": ident(number), "kind": rng.choice(tuple(KINDS)), "source": rng.choice(("site-eu", "site-us")),
                 "count": rng.randrange(1, 6), "at": date(at), **({"signalId": f"s{n}"} if n % 10 == 0 else {})}
        one = value["id"], json.dumps(value), at * 1000
        yield one
        if n % 10 == 0:
            yield one


def engagement(counts, as_of):
    """Thousandths: counts is {(kind, source): {second: count}}."""
    points = 0
    for (kind, _source), series in counts.items():
        weight, window, cap = KINDS[kind]
        points += weight * min(cap, sum(n for at, n in series.items() if as_of - window < at <= as_of))
    return points


def read(space):
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


def compare(space, n_articles, ended):
    """What is wrong, in words; of each article's last facet. `ended`: the first and the last second at which all had faded."""
    quality, place, counts, heat = read(space)
    wrong = [f"{n_articles - len(quality)} articles are missing"] * (len(quality) != n_articles)
    for name, points in quality.items():
        size, leads = place.get(name, (1, True))
        wants = {-1 if not leads else min(10 ** 6, (1000 * (points + 10 * (size - 1)) + engagement(counts.get(name, {}), at - at % STEP_S) + 500) // 1000)
                 for at in ended}
        data = heat.get(name, {"data": {"heat": "none", "asOf": ""}})["data"]
        if data["heat"] not in wants:
            wrong.append(f"article {name}: heat {data['heat']} as of {data['asOf']}, computed {wants}")
    return wrong


def faded(space):
    """The second at which no timer was due; None: some are."""
    with space.redis.client() as client:
        now = client.time()[0]
        first = [score for p in range(space.partitions) for _, score in client.zrange(f"{space.name}:due:heat:{p}", 0, 0, withscores=True)]
    return now if all(score / 1000 > now for score in first) else None
