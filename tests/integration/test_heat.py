"""heat on real servers: the reference profile, members, signals in any order and before the article, fading by timers, dead
letters, and what publish makes of it."""

import hashlib
import json
import random

import pytest

from support.articles import article, count, ident, latest, log_lines, put, put_articles, read, refused, retraction, stop, wait_log
from support.facets import facet, put_facets, rest, story
from support.heat import DAY, articles, compare, date, faded, signals
from support.waiting import until
from support.workers import run, tool

HOUR = 3600
OLD = 1577880000  # s, 2020-01-01T12:00:00Z, the start of a step of 15 minutes


def signal(number, at=None, kind="click", **members):
    """(key, value, Kafka timestamp): as the site sends it, under the id."""
    value = {"id": ident(number), "kind": kind, **members}
    if at is not None:
        value["at"] = date(at)
    return ident(number), json.dumps(value), at and at * 1000


def old(number, revision=1000, published=OLD, **members):
    return article(number, revision, publishedDateTime=date(published), **members)


def put_signals(ns, *signals):
    put(ns, "signals", signals)


def settle(ns):
    for stream in ("normalized", "facets", "signals"):
        ns.wait_done("heat", stream)


def due(ns):
    """{id: ms} of every timer."""
    with ns.redis.client() as client:
        return {name.decode() if isinstance(name, bytes) else name: score for p in range(ns.partitions)
                for name, score in client.zrange(f"{ns.name}:due:heat:{p}", 0, -1, withscores=True)}


def facets(ns, number):
    """data of the heat facets of an id, by revision."""
    found = [json.loads(m.value) for m in read(ns, "facets") if m.key.decode() == ident(number)]
    return [f["data"] for f in sorted((f for f in found if f["facet"] == "heat"), key=lambda f: f["revision"])]


def heat_of(ns, number):
    data = facets(ns, number)[-1]
    return data and (data["heat"], {part["rule"]: part["points"] for part in data["parts"]})


def lead(quality=86, related=0, engagement=0):
    return quality + related + engagement, {"quality": quality, "related": related, "engagement": engagement}


@pytest.fixture
def ns(new_namespace):
    return new_namespace(partitions=2).create_topics()


def test_reference_profile_and_a_member(ns, workers):
    worker = workers.start("heat", ns.config)
    put_articles(ns, old(1), old(2, quality=70))
    settle(ns)
    assert heat_of(ns, 1) == lead() and heat_of(ns, 2) == lead(70)
    put_facets(ns, facet(1, "related", 10, story(1, 2, 3, 4, 5)), facet(2, "related", 10, story(1)))
    settle(ns)
    assert heat_of(ns, 1) == (126, {"quality": 86, "related": 40, "engagement": 0})
    assert heat_of(ns, 2) == (-1, {})
    assert facets(ns, 1)[-1] == {"heat": 126, "asOf": date(OLD), "parts": [
        {"rule": "quality", "points": 86}, {"rule": "related", "points": 40}, {"rule": "engagement", "points": 0}]}
    assert due(ns) == {}
    put_facets(ns, facet(2, "related", 11, story(2)))
    settle(ns)
    assert heat_of(ns, 2) == lead(70)
    stop(worker)


def test_signals_before_the_article_count(ns, workers):
    worker = workers.start("heat", ns.config)
    now = ns_now(ns)
    put_signals(ns, signal(1, now, count=3), signal(1, now, "share"))
    settle(ns)
    assert count(ns, "facets") == 0
    put_articles(ns, old(1, published=now - HOUR))
    settle(ns)
    assert heat_of(ns, 1) == lead(engagement=8)
    data = facets(ns, 1)[-1]
    assert data["asOf"] == date(now) and data["next"] == date((now - now % 900) + DAY)
    assert due(ns) == {ident(1): (now - now % 900 + DAY) * 1000}
    stop(worker)


def ns_now(ns):
    with ns.redis.client() as client:
        return client.time()[0]


def test_old_signals_fade_by_timers_and_do_not_heat_up_now(ns, workers):
    worker = workers.start("heat", ns.config)
    put_articles(ns, old(1))
    put_signals(ns, *[signal(1, OLD + i * 900, count=2) for i in range(8)])
    settle(ns)
    until(lambda: not due(ns), 20, lambda: f"every timer fires: {due(ns)}")
    until(lambda: heat_of(ns, 1) == lead(), 20, lambda: f"what was counted fades: {facets(ns, 1)}")
    data = facets(ns, 1)
    assert "next" not in data[-1] and data[-1]["asOf"] == date(OLD + 7 * 900 + DAY)
    assert max(d["heat"] for d in data) > 86
    put_signals(ns, signal(1, OLD + DAY - 900, count=9))  # comes when its window is over
    settle(ns)
    put_articles(ns, old(1, 1001))
    settle(ns)
    assert heat_of(ns, 1) == lead()
    stop(worker)


def test_half_life_fades_in_steps(new_namespace, workers):
    ns = new_namespace(partitions=2, options={"heat": {"halfLifeMs": 6 * HOUR * 1000}}).create_topics()
    worker = workers.start("heat", ns.config)
    now = ns_now(ns)
    published = now - now % 900 - 6 * HOUR
    put_articles(ns, old(1, published=published), old(2))
    put_signals(ns, signal(1, now, count=4))
    settle(ns)
    assert heat_of(ns, 1)[0] == 45  # (86 + 4) / 2
    assert "next" in facets(ns, 1)[-1]
    until(lambda: heat_of(ns, 2)[0] == 0, 30, lambda: f"an old article is cold: {facets(ns, 2)[-1]}")
    assert set(due(ns)) == {ident(1)}
    told = json.loads(tool("explain", "-c", ns.config, ident(1), "--json", check=True).stdout)["heat"]
    assert sum(part["points"] for part in told["facet"]["parts"]) + told["faded"]["points"] == 45
    assert str(6 * HOUR * 1000) in told["faded"]["rule"]
    assert "-45  half of it goes" in tool("explain", "-c", ns.config, ident(1), check=True).stdout
    stop(worker)


@pytest.mark.parametrize("instances", [1, 2])
def test_any_order_ends_with_the_same_heat(new_namespace, workers, instances):
    """The same signals, some of them twice, shuffled and under id or URL, for articles that come before or after them."""
    now, random_ = None, random.Random(7)
    ends = []
    for turn in range(2):
        ns = new_namespace(partitions=4).create_topics()
        now = now or ns_now(ns)
        urls = {n: f"https://www.harbour-gazette.example/{n}" for n in range(1, 9)}
        items = {n: {**old(n, published=now - 2 * DAY), "id": id_of(url), "webUrl": url} for n, url in urls.items()}
        signals = []
        choice = random.Random(5)
        for i in range(600):
            n = choice.randrange(1, 9)
            value = {"kind": choice.choice(["click", "share", "comment", "mention", "view"]), "count": choice.randrange(1, 400),
                     "at": date(now - choice.randrange(4 * DAY)), "source": choice.choice(["site-eu", "site-us"]),
                     "signalId": f"s{i}", **({"id": items[n]["id"]} if i % 2 else {"url": urls[n] + "?utm_source=x"})}
            signals += [(urls[n] if i % 3 else items[n]["id"], json.dumps(value))] * (1 + (i % 10 == 0))
        random_.shuffle(signals)
        fleet = [workers.start("heat", ns.config) for _ in range(instances)]
        if turn:
            put_articles(ns, *items.values())
        put(ns, "signals", signals)
        settle(ns)
        if not turn:
            put_articles(ns, *items.values())
            settle(ns)
        wanted = {item["id"] for item in items.values()}

        def ended():
            found = {}
            for m in read(ns, "facets"):
                f = json.loads(m.value)
                if f["revision"] > found.get(f["id"], {"revision": 0})["revision"]:
                    found[f["id"]] = f
            return {name: f["data"]["heat"] for name, f in found.items()}

        until(lambda: set(ended()) == wanted and all(ms / 1000 > ns_now(ns) for ms in due(ns).values()), 30, "all timers fired")
        for worker in fleet:
            stop(worker)
        ends.append(ended())
    assert ends[0] == ends[1]
    assert len(set(ends[0].values())) > 3


def id_of(url):
    return hashlib.sha256(url.encode()).hexdigest()[:32]


def test_retraction_is_a_tombstone_and_older_versions_stay_out(ns, workers):
    worker = workers.start("heat", ns.config)
    now = ns_now(ns)
    put_articles(ns, old(1))
    put_signals(ns, signal(1, now, count=5))
    settle(ns)
    assert heat_of(ns, 1) == lead(engagement=5)
    put_articles(ns, retraction(1, 2000))
    settle(ns)
    assert facets(ns, 1)[-1] is None and due(ns) == {}
    put_articles(ns, old(1, 1999))
    put_signals(ns, signal(1, now, count=5))
    settle(ns)
    assert facets(ns, 1)[-1] is None
    put_articles(ns, old(1, 2001))
    settle(ns)
    assert heat_of(ns, 1) == lead()
    stop(worker)


def test_what_changes_nothing_is_not_sent(ns, workers):
    worker = workers.start("heat", ns.config)
    put_articles(ns, old(1))
    settle(ns)
    put_articles(ns, old(1, 1001, title="another"))
    put_facets(ns, facet(1, "related", 10, story(1)), facet(1, "images", 10, {"images": []}))
    settle(ns)
    assert len(facets(ns, 1)) == 1
    stop(worker)


BAD = [
    ("signal_target", b'{"kind":"click"}'),
    ("signal_target", json.dumps({"id": ident(1), "url": "https://a.example/", "kind": "click"}).encode()),
    ("signal_target", b'{"id":"XYZ","kind":"click"}'),
    ("url_scheme", b'{"url":"ftp://a.example/","kind":"click"}'),
    ("url_credentials", b'{"url":"https://u:p@a.example/","kind":"click"}'),
    ("signal_kind", json.dumps({"id": ident(1), "kind": "like"}).encode()),
    ("signal_count", json.dumps({"id": ident(1), "kind": "click", "count": 1000001}).encode()),
    ("date_invalid", json.dumps({"id": ident(1), "kind": "click", "at": "yesterday"}).encode()),
    ("date_future", json.dumps({"id": ident(1), "kind": "click", "at": "9998-01-01T00:00:00Z"}).encode()),
    ("not_json", b"{kind"),
    ("not_object", b"[1]"),
    ("duplicate_key", b'{"kind":"click","kind":"view","id":"' + ident(1).encode() + b'"}'),
    ("wrong_type", json.dumps({"id": ident(1), "kind": "click", "source": 7}).encode()),
    ("too_big", json.dumps({"id": ident(1), "kind": "click", "source": "x" * 65}).encode()),
    ("utf8_invalid", b'{"kind":"\xff"}'),
]


def test_bad_signals_are_dead_letters(ns, workers):
    worker = workers.start("heat", ns.config, "--set", "runtime.breaker.consecutive=1000", "--set", "runtime.breaker.ratio=1")
    put(ns, "signals", [(f"{i}", value) for i, (_, value) in enumerate(BAD)])
    put_articles(ns, old(1))
    settle(ns)
    dead = {int(m.key): m for m in read(ns, "dead")}
    assert [dead[i].headers["nm-code"].decode() for i in range(len(BAD))] == [code for code, _ in BAD]
    assert [dead[i].value for i in range(len(BAD))] == [value for _, value in BAD]
    assert heat_of(ns, 1) == lead()
    stop(worker)


@pytest.mark.parametrize("options, words", [
    ({"kinds": {"like": {"weight": 1}}}, ["like", "click, share"]),
    ({"kinds": {"click": {"weight": -1}}}, ["heat.kinds.click.weight"]),
    ({"stepMs": 1000}, ["windowMs", "heat.stepMs"]),
])
def test_bad_options_end_with_a_sentence(ns, workers, options, words):
    ns.write_config(heat=options)
    refused(workers.start("heat", ns.config), *words)


@pytest.mark.parametrize("options, words", [
    ({"kinds": {"like": {"weight": 1}}}, "click, share"),
    ({"stepMs": 1000}, "is more than 1000 times heat.stepMs"),
])
def test_bad_options_are_found_before_a_start(ns, options, words):
    ns.write_config(heat=options)
    for done in (tool("check", "-c", ns.config), run("newsmill-heat", "-c", ns.config, "--check")):
        assert done.returncode in (2, 3) and "heat.kinds" in done.stdout + done.stderr and words in done.stdout + done.stderr


@pytest.mark.parametrize("on_gap, more", [("oldest", 3), ("newest", 0)])
def test_signals_of_a_recreated_stream_count(new_namespace, workers, on_gap, more):
    """Its offsets begin anew, so they say nothing of what was counted; each time that it is made again."""
    ns = new_namespace(partitions=1).create_topics()
    now = ns_now(ns)
    put_articles(ns, old(1, published=now - HOUR))
    put_signals(ns, *[signal(1, now)] * 5)
    worker = workers.start("heat", ns.config)
    settle(ns)
    stop(worker)
    assert heat_of(ns, 1) == lead(engagement=5)
    for n in (1, 2):
        ns.recreate("signals")
        put_signals(ns, *[signal(1, now)] * 3)
        worker = workers.start("heat", ns.config, "--set", f"runtime.onGap={on_gap}")
        assert "recreated" in wait_log(worker, "stream.gap")[0]["msg"]
        settle(ns)
        put_signals(ns, signal(1, now))
        settle(ns)
        worker.kill()
        workers.start("heat", ns.config)  # it knows the stream by now, and counts nothing of it again
        settle(ns)
        put_signals(ns, signal(1, now))
        settle(ns)
        assert heat_of(ns, 1) == lead(engagement=5 + n * (more + 2))
        stop(workers.living[-1])


@pytest.mark.parametrize("instances", [1, 2])
def test_many_signals_end_in_the_heat_that_arithmetic_gives(instances, new_namespace, workers):
    """With two instances one is killed now and then; some articles come after their signals, some lie below others."""
    ns, n_articles, parts, rng = new_namespace(partitions=4).create_topics(), 120, 8, random.Random(instances)
    now = ns_now(ns)
    ns.produce("normalized", articles(ns, range(0, n_articles, 2), now - 4 * DAY), timeout_s=30)
    put_facets(ns, facet(0, "related", 10, story(0, 2, 4)), facet(2, "related", 10, story(0)), facet(4, "related", 10, story(0)))
    team = [workers.start("heat", ns.config, "--set", "runtime.batchItems=50") for _ in range(instances)]
    sent = list(signals(instances, 6000, n_articles, now))
    for part in range(parts):
        before = ns.committed(ns.group("heat"), "signals")
        ns.produce("signals", sent[part::parts], timeout_s=30)
        if instances > 1:
            until(lambda: ns.committed(ns.group("heat"), "signals") != before, 60, "something was committed")
            victim = rng.randrange(instances)
            team[victim].kill()
            team[victim] = workers.start("heat", ns.config, "--set", "runtime.batchItems=50")
    ns.produce("normalized", articles(ns, range(1, n_articles, 2), now - 4 * DAY), timeout_s=30)
    settle(ns)
    ended = [until(lambda: faded(ns), 60, "what fades by now has faded")]
    settle(ns)
    assert workers.stop() == [0] * instances
    assert compare(ns, n_articles, [*ended, ns_now(ns)]) == []


def test_the_record_shows_the_heat(ns, workers):
    fleet = [workers.start(name, ns.config) for name in ("heat", "publish")]
    now = ns_now(ns)
    put_articles(ns, old(1, published=now - HOUR), old(2, published=now - HOUR))
    put_facets(ns, facet(1, "related", 10, story(1, 2)), facet(2, "related", 10, story(1)))
    put_signals(ns, signal(1, now, "mention", count=2))
    settle(ns)
    rest(ns)
    settle(ns)
    shown = {int(key, 16): json.loads(record.value)["heat"] for key, record in latest(ns).items()}
    assert shown == {1: 86 + 10 + 16, 2: -1}
    for worker in fleet:
        stop(worker)
        assert not log_lines(worker, "retry")
