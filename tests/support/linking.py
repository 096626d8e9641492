"""Replays with known stories through the running pipeline, and what `related` made of them.

The replays, the reference program and the scorer lie beside the project (../shared/tools/linking); nothing of them is in it. They are
loaded from there as modules.
"""

import hashlib
import importlib
import json
import subprocess
import sys

from .servers import ROOT
from .waiting import until

TOOLS = ROOT.parent / "shared" / "tools" / "linking"
GOLD = ROOT.parent / "shared" / "data" / "uci-dev.ndjson"
THERE = TOOLS.exists() and GOLD.exists()
WHY = "../shared/tools/linking and ../shared/data are not there"


def module(name):
    """reference or score."""
    if str(TOOLS) not in sys.path:
        sys.path.append(str(TOOLS))
    return importlib.import_module(name)


def replay(protocol, seed, *options):
    """Articles of a replay in the order of arrival: dicts with id, title, ts, story."""
    made = subprocess.run([sys.executable, TOOLS / "replay.py", GOLD, "--protocol", protocol, "--seed", str(seed), *options],
                          capture_output=True, text=True, check=True)
    return [json.loads(line) for line in made.stdout.splitlines() if line.strip()]


def url_of(article):
    return "https://replay.example/" + article["id"]


def raw_events(articles):
    for article in articles:
        event = {"url": url_of(article), "title": article["title"], "publishedDateTime": article["ts"]}
        if article.get("excerpt"):
            event["excerpt"] = article["excerpt"]
        yield url_of(article), json.dumps(event), article["ts"]


def out_lengths(space):
    """What is still to be sent, of each partition."""
    with space.redis.client() as client:
        return [client.zcard(f"{space.name}:{{rel}}:out:{p}") for p in range(space.partitions)]


def wait_told(space, timeout_s):
    """Until related has told everybody of what it did."""
    until(lambda: not any(out_lengths(space)), timeout_s, lambda: f"the out sets are empty: {out_lengths(space)}")


def wait_linked(space, timeout_s=300):
    space.wait_done("normalize", "raw", timeout_s)
    space.wait_done("related", "normalized", timeout_s)
    wait_told(space, timeout_s)


def facets(space):
    """Related facets in the order of each partition: (id, revision, data)."""
    for message in space.read("facets"):
        facet = json.loads(message.value)
        if facet["facet"] == "related":
            yield facet["id"], facet["revision"], facet["data"]


def predictions(space, articles):
    """Lines for the scorer: the links of an article's first facet, the story of its newest one; and how many facets there are."""
    id_of = {hashlib.sha256(url_of(article).encode()).hexdigest()[:32]: article["id"] for article in articles}
    place = {article["id"]: at for at, article in enumerate(articles)}
    first, newest, count = {}, {}, 0
    for name, revision, data in facets(space):
        count += 1
        first.setdefault(name, data["links"])
        if revision >= newest.get(name, (0, None))[0]:
            newest[name] = (revision, data["story"]["id"])
    lines = []
    for name, own in id_of.items():
        earlier = [{"id": id_of[link["id"]], "score": link["score"]} for link in first[name] if place[id_of[link["id"]]] < place[own]]
        lines.append({"id": own, "story": newest[name][1], "related": earlier})
    return lines, count


FIGURES = ("B-cubed F1", "pairwise F1", "P@1", "hit@1", "false-link")
