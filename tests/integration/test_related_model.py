"""related against its promises, step by step and without Kafka: every interleaving, every place to die (support/related_fleet.py).

Every test is seeded and names its seed. NM_SEEDS=N runs N seeds of each random test; the default fits into a minute.
"""

import collections
import itertools
import math
import os
import random
import struct

import pytest

from support import linking, schemas, stories
from support.articles import article, ident, retraction
from support.related_fleet import Fleet

GIVEN = int(os.environ.get("NM_SEEDS", "0"))
SEEDS, FEW = range(GIVEN or 10), range(GIVEN or 3)
AT = 1933740131  # 2031-04-12, in s


def when(seconds):
    return schemas_time(AT + seconds)


def schemas_time(seconds):
    import datetime
    return (datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def word(rng):
    return "".join(rng.choice("bdfgklmnprtvz") + rng.choice("aeiou") for _ in range(4))


class Events:
    """Made-up events of a few words each, and articles that tell one of them, or two: those bring stories together."""

    def __init__(self, rng, n=5):
        self.rng, self.words, self.revision = rng, [[word(rng) for _ in range(7)] for _ in range(n)], itertools.count(1000)

    def title(self, *events):
        events = events or (self.rng.randrange(len(self.words)),)
        return " ".join(itertools.chain.from_iterable(self.rng.sample(self.words[e], 5 if len(events) == 1 else 4) for e in events))

    def article(self, n, *events, **members):
        return article(n, next(self.revision), **{"title": self.title(*events), "publishedDateTime": when(self.rng.randrange(80000)),
                                                  "quality": self.rng.choice((40, 60, 60, 80, 95)), **members})

    def history(self, n_articles, n_events):
        """New articles, changed ones, some of quality alone, bridges between events, retractions; no version comes late."""
        sent, last = [], {}
        for _ in range(n_events):
            n, dice = self.rng.randrange(n_articles), self.rng.random()
            if dice < 0.15:
                item = retraction(n, next(self.revision))
            elif dice < 0.3 and not last.get(n, {"retracted": True}).get("retracted"):
                item = {**last[n], "revision": next(self.revision), "quality": self.rng.choice((30, 99))}
            elif dice < 0.4:
                item = self.article(n, *self.rng.sample(range(len(self.words)), 2))
            else:
                item = self.article(n)
            last[n] = item
            sent.append(item)
        return sent


@pytest.fixture
def fleet(redis, tmp_path):
    """Makes fleets; ends them after the test."""
    made = []

    def make(instances=1, **options):
        made.append(Fleet(redis, tmp_path, instances, **options))
        return made[-1]

    yield make
    for one in made:
        one.__exit__()


def check(fleet):
    state = stories.load(fleet)
    stories.check_sound(state)
    stories.check_facets(state, fleet.facets)
    return state


def home(state, n):
    return stories.root(state, state.article[bytes.fromhex(ident(n))][b"s"])


def check_newest(state, messages):
    """What lies there is the newest version of each article, and nothing else."""
    last = {}
    for item in messages:
        if item["revision"] >= last.get(item["id"], {"revision": 0})["revision"]:
            last[item["id"]] = item
    assert {name.hex() for name in state.article} == {name for name, item in last.items() if not item.get("retracted")}
    assert {name.hex() for name in state.gone} == {name for name, item in last.items() if item.get("retracted")}
    for name, fields in state.article.items():
        assert (int(fields[b"r"]), int(fields[b"q"])) == (last[name.hex()]["revision"], last[name.hex()]["quality"])


def check_no_trace(state):
    """Of a retracted article nothing but its mark, and its name where others may keep it: stories, pointers, links, hints."""
    for name in state.gone:
        assert set(state.gone[name]) == {b"r", b"gone"}
        assert name not in state.vector and name not in state.links and name not in state.hints
        assert not any(name in ids for ids in state.postings.values())
        assert not any(member == name for members in state.members.values() for member, _ in members)
        assert all(fields[b"lead"] != name for fields in state.story.values())
        assert not any(name in ids for ids in state.out.values())


def comparable(state, *without):
    """The state but for what time alone decides: revisions of stories and tombstones, renewals, TTLs; and pointers to their end,
    because a look at a story shortens them."""
    parts = state._replace(
        article={name: {**fields, b"s": stories.root(state, fields[b"s"])} for name, fields in state.article.items()},
        gone={name: fields[b"r"] for name, fields in state.gone.items()},
        story={name: {field: value for field, value in fields.items() if field not in (b"v", b"rn", b"wt")}
               for name, fields in state.story.items()},
        into={name: stories.root(state, name) for name in state.into}, rev=0, ttl={})._asdict()
    return {kind: value for kind, value in parts.items() if kind not in without}


def check_same(one, other, *without):
    one, other = comparable(one, *without), comparable(other, *without)
    for kind in one:
        assert one[kind] == other[kind], kind


# ---- several instances


def replayed(fleet, calls):
    """The state that the recorded calls make of an empty namespace. Only place and retract are called, so there are no postings
    (trip 1 writes them) and nothing leaves the out sets."""
    again = type("Space", (), {"name": fleet.name + "r", "redis": fleet.redis})
    with fleet.redis.client() as client:
        for call in calls:
            client.evalsha(call["sha"], 1, f"{again.name}:{{rel}}:", *map(bytes.fromhex, call["args"]))
    return stories.load(again)


def in_order_of_revisions(calls):
    """Those that changed nothing for others were given no revision: they stay behind the one that they came after."""
    last, keyed = 0, []
    for at, call in enumerate(calls):
        if call["how"] in ("new", "join", "update"):
            assert call["revision"] > last, "a placement's revision is above all before it"
        last = max(last, call["revision"])
        keyed.append((call["revision"] if call["how"] in ("new", "join", "update") else last, at, call))
    return [call for _, _, call in sorted(keyed, key=lambda entry: entry[:2])]


@pytest.mark.parametrize("instances", (2, 4))
@pytest.mark.parametrize("seed", SEEDS)
def test_twins_meet_in_any_interleaving(seed, instances, fleet):
    rng = random.Random(seed)
    events, team = Events(rng), fleet(instances)
    groups = [range(instances * g, instances * (g + 1)) for g in range(8)]
    items = []
    for g, group in enumerate(groups):  # a twin in each partition, all before anything runs
        title, at = " ".join(word(rng) for _ in range(6)), when(60 * g)
        items += [article(n, next(events.revision), title=title, publishedDateTime=at, quality=60 + n % 3) for n in group]
    noise = [events.article(n) for n in range(100, 124)]
    mixed = items + noise
    rng.shuffle(mixed)
    team.put(*mixed)
    team.scramble(rng)
    state = check(team)
    check_newest(state, mixed)
    for group in groups:
        assert len({home(state, n) for n in group}) == 1, f"twins {list(group)} are in one story"
    check_same(replayed(team, in_order_of_revisions(team.calls)), state, "postings", "out")


@pytest.mark.parametrize("instances", (2, 4))
@pytest.mark.parametrize("seed", SEEDS)
def test_any_interleaving_is_sound_and_one_sequence(seed, instances, fleet):
    """Updates, bridges, retractions; the calls in the order of their revisions make the same state again."""
    rng = random.Random(1000 + seed)
    team = fleet(instances)
    messages = Events(rng).history(24, 100)
    team.put(*messages)
    team.scramble(rng)
    state = check(team)
    check_newest(state, messages)
    check_no_trace(state)
    check_same(replayed(team, in_order_of_revisions(team.calls)), state, "postings", "out")


@pytest.mark.parametrize("seed", SEEDS)
def test_facets_in_any_order_come_to_the_same(seed, fleet):
    """Back-links: of two facets of an article the newer revision wins, and equal ones say the same, whoever sent them."""
    rng = random.Random(2000 + seed)
    team = fleet(3)
    team.put(*Events(rng).history(24, 100))
    team.scramble(rng, kill=0.01)
    state = check(team)
    said = {}
    for facet in team.sent:
        assert said.setdefault((facet["id"], facet["revision"]), facet["data"]) == facet["data"], "equal revisions, other content"
    shuffled, model = rng.sample(team.sent, len(team.sent)), {}
    for facet in shuffled:
        if facet["revision"] >= model.get(facet["id"], (0,))[0]:
            model[facet["id"]] = (facet["revision"], facet["data"])
    stories.check_facets(state, model)
    shown = collections.Counter(entry["id"] for _, data in model.values() if data for entry in data["related"])
    leads = {fields[b"lead"].hex() for fields in state.story.values()}
    assert set(shown) == {name.hex() for name in state.article} - leads, "everybody but the leads is shown"
    assert set(shown.values()) <= {1}, "once"


# ---- again, and late


@pytest.mark.parametrize("seed", SEEDS)
def test_sent_again_changes_nothing(seed, fleet):
    """Each event 1 to 3 times. What repeats a version that is the newest may lie in any batch; one that is older by then in one of
    its own, because others of its batch may find what it posts until its own script takes that back."""
    rng = random.Random(3000 + seed)
    history = Events(rng).history(20, 60)
    batches = [history[i:i + 4] for i in range(0, len(history), 4)]
    once, often = fleet(), fleet()
    pending, n_again = [], 0
    for at, batch in enumerate(batches):
        once.feed(*batch)
        late = [item for due, item in pending if due == at]
        ids = {item["id"] for item in batch}
        newest = {item["id"]: item for item in itertools.chain.from_iterable(batches[:at])}
        inside = [item for item in late if item["id"] not in ids and newest[item["id"]] is item]
        mixed = list(batch)
        for item in inside:
            mixed.insert(rng.randint(0, len(mixed)), item)
        often.feed(*mixed)
        for item in late:
            if not any(item is other for other in inside):
                often.feed(item)
        n_again += len(late)
        pending += [(at + rng.randint(1, 6), item) for item in batch for _ in range(rng.randint(0, 2))]
    once.drain()
    often.drain()
    assert n_again > 20
    check_same(check(often), check(once), "hints")


@pytest.mark.parametrize("seed", SEEDS)
def test_late_versions_leave_no_trace(seed, fleet):
    """Older versions, never seen before, with other words and times, of living and of retracted articles."""
    rng = random.Random(4000 + seed)
    events = Events(rng)
    without, with_late = fleet(), fleet()
    history, n_late, known = events.history(20, 60), 0, []
    for item in history:
        without.feed(item)
        with_late.feed(item)
        known.append(int(item["id"], 16))
        if rng.random() < 0.5:
            n = rng.choice(known)
            with_late.feed({**events.article(n), "revision": rng.randint(1, 999)} if rng.random() < 0.8 else retraction(n, rng.randint(1, 999)))
            n_late += 1
    without.drain()
    with_late.drain()
    state = check(with_late)
    assert n_late > 10 and sum(call["how"] == "stale" for call in with_late.calls) == n_late
    check_same(state, check(without))
    check_no_trace(state)
    assert not set(state.gone) & set(state.hints), "a tombstone gets no hint"


@pytest.mark.parametrize("seed", FEW)
def test_late_versions_at_any_point_leave_no_trace(seed, fleet):
    """The same within batches and between the steps of others."""
    rng = random.Random(5000 + seed)
    events, team = Events(rng), fleet(2)
    messages = events.history(24, 100)
    late = [{**events.article(rng.randrange(24)), "revision": rng.randint(1, 999)} for _ in range(50)]
    for item in late:
        first = next((at for at, other in enumerate(messages) if other["id"] == item["id"]), len(messages))
        messages.insert(rng.randint(min(first + 1, len(messages)), len(messages)), item)
    team.put(*messages)
    team.scramble(rng)
    state = check(team)
    check_newest(state, messages)
    check_no_trace(state)
