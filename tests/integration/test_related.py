"""related on a real Kafka and a real Redis: stories, leads and links through updates, retractions, several instances and kill -9,
checked against the state in Redis that is read without its code (support/stories.py). NM_SEEDS=N runs N random histories of each kind
(a history of kills has 15 of them)."""

import hashlib
import itertools
import json
import os
import random

import pytest

from support import linking, stories
from support.articles import article, latest, log_lines, message, retraction
from support.facets import rest
from support.namespace import Namespace
from support.servers import Redis
from support.waiting import until

SEEDS = range(int(os.environ.get("NM_SEEDS", "1")))

TITLES = (  # six events, told several ways
    ("Ferry Sonnblick runs aground off Ostmark harbour", "Sonnblick ferry aground near Ostmark, passengers safe",
     "Passengers leave ferry Sonnblick after grounding off Ostmark", "Why the Sonnblick ran aground at Ostmark harbour"),
    ("Carrow derailment closes coast line", "Freight train derails at Carrow, coast line shut",
     "Coast line reopens after Carrow derailment", "Carrow freight derailment: inspectors blame rail joint"),
    ("Veltmar glacier loses a third of its ice", "Third of Veltmar glacier gone, survey finds",
     "Survey: Veltmar glacier ice down by a third", "What the shrinking Veltmar glacier means for the valley"),
    ("Brenwick United win cup on penalties", "Penalties hand Brenwick United the cup",
     "Cup final: Brenwick United beat Talworth on penalties", "Brenwick United parade cup through town"),
    ("Observatory Kestrel Peak finds two-star comet", "Comet with two stars found from Kestrel Peak",
     "Kestrel Peak observatory spots odd comet", "Comet of Kestrel Peak to be seen in spring"),
    ("Hollin bridge tolls end next summer", "Tolls on Hollin bridge to end", "Drivers cheer as Hollin bridge tolls end",
     "Hollin bridge: end of tolls leaves gap in budget"),
)
AT = "2031-04-{day:02}T{hour:02}:00:00Z"
SYLLABLES = ("bar", "del", "fin", "gom", "kul", "pres")


def told(event, way):
    """A title of an event, the same for each (event, way)."""
    return TITLES[event][way % len(TITLES[event])]


def story_article(n, revision, event, way, **members):
    when = AT.format(day=1 + event, hour=way % 24)
    return article(n, revision, title=told(event, way), publishedDateTime=when, **members)


@pytest.fixture
def space(new_namespace):
    return new_namespace(partitions=2).create_topics()


def put(space, messages):
    space.produce("normalized", [message(space, item) for item in messages])


def settle(space):
    space.wait_done("related", "normalized")
    linking.wait_told(space, 150)


def check(space):
    state = stories.load(space)
    stories.check_sound(state)
    stories.check_facets(state, stories.newest_facets(space))
    return state


def events_of(state, n_of):
    """{story: set of events that its members tell}"""
    found = {}
    for name, fields in state.article.items():
        found.setdefault(stories.root(state, fields[b"s"]), set()).add(n_of[name.hex()])
    return found


def test_articles_about_one_event_become_one_story(space, workers):
    messages = [story_article(10 * event + way, 1, event, way, quality=50 + 7 * way) for event in range(6) for way in range(4)]
    workers.start("related", space.config)
    put(space, messages)
    settle(space)
    state = check(space)
    event_of = {item["id"]: TITLES.index(next(t for t in TITLES if item["title"] in t)) for item in messages}
    found = events_of(state, event_of)
    assert sorted(map(tuple, found.values())) == [(event,) for event in range(6)], "one story an event"
    assert workers.stop() == [0]


def random_history(seed, n_articles=24, n_events=160):
    """Additions, changes of text, of quality alone, and retractions, each with a higher revision; now and then an old one again."""
    rng = random.Random(seed)
    sent, revision = [], itertools.count(1000)
    for _ in range(n_events):
        n = rng.randrange(n_articles)
        if sent and rng.random() < 0.15:
            sent.append(rng.choice(sent))  # late, or delivered again
            continue
        r = next(revision)
        if rng.random() < 0.2:
            sent.append(retraction(n, r))
        else:
            sent.append(story_article(n, r, rng.randrange(6), rng.randrange(8), quality=rng.choice((40, 60, 60, 80, 95))))
    return sent


def newest(messages):
    last = {}
    for item in messages:
        if item["revision"] >= last.get(item["id"], {"revision": 0})["revision"]:
            last[item["id"]] = item
    return last


@pytest.mark.parametrize("seed", SEEDS)
def test_updates_and_retractions_leave_no_trace(seed, space, workers):
    messages = random_history(seed)
    for _ in range(2):
        workers.start("related", space.config, "--set", "runtime.batchItems=5")
    put(space, messages)
    settle(space)
    state = check(space)
    last = newest(messages)
    assert {name.hex() for name in state.article} == {name for name, item in last.items() if not item.get("retracted")}
    assert {name.hex() for name in state.gone} == {name for name, item in last.items() if item.get("retracted")}
    for name, fields in state.article.items():
        assert int(fields[b"r"]) == last[name.hex()]["revision"]
        assert int(fields[b"q"]) == last[name.hex()]["quality"]
    assert workers.stop() == [0, 0]


def twins(seed, n_pairs=100):
    """Pairs of articles with the same title, which shares words with some others; the ids of a pair lie in any partition."""
    rng = random.Random(seed)
    words = [hashlib.sha256(str(n).encode()).hexdigest()[:8].translate(str.maketrans("0123456789", "ghijklmnop")) for n in range(900)]
    pairs = []
    for n in range(n_pairs):
        title = " ".join(rng.sample(words, rng.randrange(5, 9)))
        pairs.append([article(2 * n + k, 1, title=title, publishedDateTime=AT.format(day=3, hour=1), quality=rng.choice((60, 70)))
                      for k in range(2)])
    return pairs


def shares(worker):
    """How many partitions of its two inputs it was given, each time."""
    return [line["msg"].split()[0] for line in log_lines(worker, "group.assigned")]


@pytest.mark.parametrize("instances", [2, 4])
@pytest.mark.parametrize("seed", SEEDS)
def test_twins_at_the_same_instant_meet(seed, instances, new_namespace, workers):
    """Pairs of equal titles that come together, on several instances at work on one Redis."""
    space = new_namespace(partitions=4).create_topics()
    pairs = twins(seed)
    team = [workers.start("related", space.config, "--set", f"runtime.batchItems={random.Random(seed).randrange(1, 40)}")
            for _ in range(instances)]
    until(lambda: all(shares(worker)[-1:] == [f"{8 // instances}"] for worker in team), 30, "each of them has its share")
    put(space, [item for pair in pairs for item in pair])
    settle(space)
    state = check(space)
    for one, other in pairs:
        homes = {stories.root(state, state.article[bytes.fromhex(item["id"])][b"s"]) for item in (one, other)}
        assert len(homes) == 1, "twins are in one story"
    assert workers.stop() == [0] * instances


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_any_moment_the_state_is_sound(seed, space, workers):
    rng = random.Random(seed)
    messages = random_history(100 + seed, n_articles=60, n_events=1500)
    team = [workers.start("related", space.config, "--set", "runtime.batchItems=8") for _ in range(2)]
    for part in range(15):
        victim, before = rng.randrange(2), space.committed(space.group("related"), "normalized")
        put(space, messages[part * 100:part * 100 + 100])
        until(lambda: space.committed(space.group("related"), "normalized") != before, 40, "something was committed")
        team[victim].kill()
        team[victim] = workers.start("related", space.config, "--set", "runtime.batchItems=8")
    settle(space)
    state = check(space)
    last = newest(messages)
    assert {name.hex() for name in state.article} == {name for name, item in last.items() if not item.get("retracted")}
    assert workers.stop() == [0, 0]


@pytest.fixture
def own_redis(tmp_path):
    redis = Redis(tmp_path / "redis").start()
    yield redis
    redis.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_redis_put_back_under_living_workers(seed, kafka, own_redis, workers, tmp_path):
    """After Redis lost writes the state is that of the streams again, and no facet of the lost timeline is anybody's last."""
    rng = random.Random(seed)
    space = Namespace(kafka, own_redis, tmp_path / "space", partitions=2).create_topics()
    messages = random_history(200 + seed, n_articles=60, n_events=1500)
    for _ in range(2):
        workers.start("related", space.config, "--set", "runtime.batchItems=8")
    put(space, messages[:100])
    until(lambda: all(space.wm(space.group("related"), "normalized").values()), 40, "every partition has a position")
    for part in range(1, 15):
        snapshot, before = own_redis.snapshot(), space.committed(space.group("related"), "normalized")
        put(space, messages[part * 100:part * 100 + 100])
        until(lambda: space.committed(space.group("related"), "normalized") != before, 40, "something was committed")
        if rng.random() < 0.3:
            settle(space)
        own_redis.rollback(snapshot)
    settle(space)
    state = check(space)
    last = newest(messages)
    assert {name.hex() for name in state.article} == {name for name, item in last.items() if not item.get("retracted")}
    assert workers.stop() == [0, 0]
    space.close()


QUALITIES = (86, 68, 60, 44, 30)


def words_of(story):
    """Five names that no other story has."""
    return ["".join(SYLLABLES[(story // 6 ** place + place + shift) % 6] for place in range(3)).capitalize() + "qxzvj"[shift]
            for shift in range(5)]


def shape_article(story, n, revision=1):
    names = words_of(story)
    title = " ".join(names[:4]) + f" {names[4]}{'abcde'[n]}"
    return article(10 * story + n, revision, title=title, publishedDateTime=AT.format(day=1, hour=n), quality=QUALITIES[n])


def shape(story, records):
    """What the five records of a story say, without what tells one story from another."""
    found = []
    for n in range(5):
        record = json.loads(records[article(10 * story + n, 1)["id"]].value)
        del record["revision"], record["story"]["id"]
        if n > 0:
            del record["story"]["size"]  # a member is not sent again for it
        text = json.dumps(record)
        for i in range(5):
            text = text.replace(article(10 * story + i, 1)["id"], f"id {i}").replace(f"article-{10 * story + i}.", f"article-{i}.")
            text = text.replace(f".example/{10 * story + i}", f".example/{i}").replace(words_of(story)[i], f"Name{i}")
        found.append(text)
    return found


def test_a_lead_and_its_members_in_all_orders(space, workers):
    """The shape of a real record, a lead with four others below it, best first, in all 120 orders: the same records."""
    orders = list(itertools.permutations(range(5)))
    for worker in ("related", "heat", "publish"):
        workers.start(worker, space.config, "--set", "publish.expect=related")
    for turn in range(5):
        put(space, [shape_article(story, order[turn]) for story, order in enumerate(orders)])
        settle(space)
    rest(space)
    space.wait_done("heat", "facets")
    rest(space)
    records = latest(space)
    first = shape(0, records)
    assert len(records) == 5 * len(orders)
    for story, order in enumerate(orders):
        assert shape(story, records) == first, f"order {order}"
    lead, *members = [json.loads(text) for text in first]
    assert (lead["heat"], lead["published"], lead["story"]["size"]) == (126, True, 5)
    assert [(entry["title"][-1], entry["quality"]) for entry in lead["related"]] == list(zip("bcde", QUALITIES[1:]))
    for member in members:
        assert (member["heat"], member["published"], member["story"]["lead"]) == (-1, False, "id 0") and "related" not in member
    assert workers.stop() == [0, 0, 0]
