"""related where much comes at once: floods of one title and of one word, a story of thousands whose lead changes with every article, two
large stories that become one, news of ten years ago. Sizes are small; NM_LARGE=10 makes them that many times larger and holds the commands of
Redis to 5 ms each (by its slow log, which measures the time on the wall: on a busy machine that says little)."""

import itertools
import os

import pytest

from support import linking, stories
from support.articles import address_of, article, count, message, retraction, samples
from support.waiting import until

LARGE = int(os.environ.get("NM_LARGE", "1"))
SLOW_US = 5000
TITLE = "Sonnblick ferry aground near Ostmark, passengers safe"
OTHER = ("Carrow derailment closes coast line", "Carrow derailment shuts the coast line")


def told(n, title, hour=3, quality=60, revision=1):
    date = f"2031-04-03T{hour:02}:{n // 60 % 60:02}:{n % 60:02}Z"
    return article(n, revision, title=title, publishedDateTime=date, quality=quality)


def made_up(n):
    """A word that no other number has."""
    digits = "abcdefghij"
    return "qu" + "".join(digits[int(d)] + "zu" for d in f"{n:06}")


@pytest.fixture
def space(new_namespace, redis):
    with redis.client() as client:
        client.config_set("slowlog-log-slower-than", SLOW_US)
        client.config_set("slowlog-max-len", 1000)
        client.slowlog_reset()
    yield new_namespace(partitions=2).create_topics()
    with redis.client() as client:
        client.config_set("slowlog-log-slower-than", 10000)


def put(space, articles):
    space.produce("normalized", (message(space, item) for item in articles), timeout_s=300)


def settle(space, timeout_s=60 * LARGE):
    space.wait_done("related", "normalized", timeout_s)
    linking.wait_told(space, timeout_s)


def check(space):
    with space.redis.client() as client:
        slow = [entry for entry in client.slowlog_get(1000) if space.name.encode() in entry["command"]]
        assert LARGE == 1 or not slow, [(entry["duration"], entry["command"][:200]) for entry in slow[:5]]
        state = stories.load(space)
        client.slowlog_reset()  # of what this reads itself
    stories.check_sound(state)
    stories.check_facets(state, stories.newest_facets(space))
    return state


def script_costs(space):
    """(µs on the clock of Redis, commands, calls) of all scripts so far."""
    with space.redis.client() as client:
        stats = client.info("commandstats")
    mine = stats.get("cmdstat_evalsha", {"usec": 0, "calls": 0})
    return mine["usec"], sum(row["calls"] for row in stats.values()), mine["calls"]


def told_of(space, number):
    """Whether a facet of this article was sent."""
    return any(m.key.decode() == article(number, 1)["id"] for m in space.read("facets"))


def homes(state, numbers):
    return {stories.root(state, state.article[bytes.fromhex(article(n, 1)["id"])][b"s"]) for n in numbers}


def test_a_flood_of_one_title_is_one_story_and_stops_no_other(space, workers):
    n = 2000 * LARGE
    worker = workers.start("related", space.config)
    costs = []
    for quarter in range(4):
        before = script_costs(space)
        put(space, [told(i, TITLE) for i in range(quarter * n // 4, (quarter + 1) * n // 4)])
        if quarter == 1:
            put(space, [told(n + k, OTHER[k]) for k in range(2)])
        settle(space)
        us, commands, calls = (b - a for a, b in zip(before, script_costs(space)))
        costs.append((us / calls, commands / calls))
    state = check(space)
    assert len(homes(state, range(n))) == 1 and len(homes(state, (n, n + 1))) == 1
    assert homes(state, range(n)) != homes(state, (n, n + 1))
    assert max(map(len, state.postings.values())) == 64, "the newest of each term are kept"
    df = [int(value) for values in state.counters.values() for value in values.values()]
    assert max(df) <= 4, "words of one story stay rare, however often it is told"
    assert costs[3][1] < 1.1 * costs[1][1], f"the commands of a script grow with the story: {costs}"
    assert costs[3][0] < (2 if LARGE > 1 else 3) * costs[1][0], f"the cost of a script grows with the story: {costs}"
    page = samples(address_of(worker))
    assert page['newsmill_related_story_members_bucket{le="500"}'] == 500 + 2
    assert page["newsmill_related_story_members_count"] == page['newsmill_related_story_members_bucket{le="50000"}'] == n + 2
    worker.term()
    assert worker.wait() == 0


def test_one_word_in_every_article_neither_links_nor_costs(space, workers):
    n = 1000 * LARGE
    workers.start("related", space.config)
    put(space, [told(i, f"Wednesday {made_up(4 * i)} {made_up(4 * i + 1)} {made_up(4 * i + 2)}") for i in range(n)])
    settle(space)
    state = check(space)
    largest = max(len(members) for members in state.members.values())
    assert largest <= n // 20, "one word of four is not a story"
    assert max(map(len, state.postings.values())) <= 64
    df = [(field, int(value)) for values in state.counters.values() for field, value in values.items()]
    assert max(value for field, value in df if len(field) == 8) <= sum(value for field, value in df if field == b"S"), "df counts stories"
    assert workers.stop() == [0]


def test_a_story_whose_lead_changes_with_every_article(space, workers):
    """The former leads far below are told later, a step at a time: not all of them with each article."""
    n = 500 * LARGE
    workers.start("related", space.config)
    put(space, [told(i, TITLE, quality=i) for i in range(n)])
    settle(space, 120 * LARGE)
    state = check(space)
    members, = state.members.values()
    assert len(members) == n
    lead = bytes.fromhex(article(n - 1, 1)["id"])
    assert next(iter(state.story.values()))[b"lead"] == lead
    assert count(space, "facets") <= 26 * n, "an article is the news of the lead, the former lead and the first of the list"
    put(space, [retraction(n - 1, 2), told(0, TITLE, quality=2 * n, revision=2)])
    put(space, [told(n + k, OTHER[k]) for k in range(2)])
    until(lambda: told_of(space, n + 1), 20, "others are told")
    assert any(linking.out_lengths(space)), "while those far below wait for the next walk"
    settle(space, 120 * LARGE)
    state = check(space)
    story, = homes(state, (0, 1))
    assert state.story[story][b"lead"] == bytes.fromhex(article(0, 1)["id"])
    assert workers.stop() == [0]


def still_moving(space, state):
    """Whether one of these stories waits for members of another."""
    with space.redis.client() as client:
        return any(client.hget(f"{space.name}:{{rel}}:s:".encode() + story, "rest") for story in state.story)


@pytest.mark.parametrize("killed", [False, True])
def test_two_large_stories_become_one(killed, space, workers):
    """Two words of five in common and many half-lives apart: two stories, until an article of the first hour is near both."""
    n = 1200 * LARGE if killed else 600 * LARGE  # 500 move at once, the others a second later
    one, other = "Almavor Brenkau Castorvik Sonnblick Ostmark", "Dorvilund Elmsfjord Fjaldorn Sonnblick Ostmark"
    between, near = "Almavor Brenkau Dorvilund Elmsfjord", ("Almavor Brenkau Dorvilund Sonnblick", "Dorvilund Elmsfjord Almavor Sonnblick")
    options = ("--set", "related.storyHalfMs=3600000")
    worker = workers.start("related", space.config, *options)
    put(space, [*(told(i, one, hour=1) for i in range(n - 1)), told(n - 1, near[0], hour=1)])  # only the nearest 32 are looked at
    settle(space)
    put(space, [*(told(n + i, other, hour=22) for i in range(n)), told(2 * n, near[1], hour=22)])
    settle(space)
    state = check(space)
    assert len(homes(state, range(n))) == len(homes(state, range(n, 2 * n + 1))) == 1 and len(state.members) == 2
    put(space, [told(2 * n + 1, between, hour=1, quality=99)])
    if killed:
        until(lambda: still_moving(space, state), 60, "some members have moved, some have not", every_s=0.01)
        worker.kill()
        assert still_moving(space, state), "it was killed while they moved"
        worker = workers.start("related", space.config, *options)
        put(space, [retraction(3, 2), told(n + 3, OTHER[0], hour=22, revision=2)])
    settle(space, 120 * LARGE)
    state = check(space)
    rest = [i for i in range(2 * n + 2) if not killed or i not in (3, n + 3)]
    assert len(homes(state, rest)) == 1 and len(state.into) == 1
    assert max(map(len, state.members.values())) == len(rest)
    if not killed:
        assert samples(address_of(worker))["newsmill_related_merges_total"] == 1
    worker.term()
    assert worker.wait() == 0


def test_news_of_ten_years_ago_live_as_long_as_those_of_today(space, workers):
    workers.start("related", space.config)
    old = [article(n, 1, title=OTHER[n], publishedDateTime=f"2016-02-0{n + 1}T10:00:00Z") for n in range(2)]
    put(space, [*old, told(5, TITLE), told(6, TITLE)])
    settle(space)
    state = check(space)
    assert len(homes(state, (0, 1))) == 1, "they find each other"
    ttls = {}
    for key, ttl in state.ttl.items():
        ttls.setdefault(key.split(b"{rel}:", 1)[1].partition(b":")[0], set()).add(ttl)
    assert all(max(found) - min(found) <= 60 for found in ttls.values()), ttls
    put(space, old)
    settle(space)
    again = check(space)
    for kind in ("article", "vector", "links", "centroid", "members", "counters", "postings"):
        assert getattr(again, kind) == getattr(state, kind), kind
    assert workers.stop() == [0]


def test_lone_article_lives_as_long_as_its_story(space, workers):
    """Only its quality changes after days: it is not forgotten while its story goes on."""
    workers.start("related", space.config)
    put(space, [told(0, TITLE)])
    settle(space)
    story, = check(space).story
    prefix = f"{space.name}:{{rel}}:".encode()
    mine = [prefix + kind + bytes.fromhex(article(0, 1)["id"]) for kind in (b"m:", b"v:")]
    with space.redis.client() as client:  # as if ten days had passed
        client.hset(prefix + b"s:" + story, "rn", int(client.hget(prefix + b"s:" + story, "rn")) - 10 * 86400)
        for name in mine:
            client.expire(name, 6 * 86400)
    put(space, [told(0, TITLE, quality=80, revision=2)])
    settle(space)
    state = check(space)
    assert set(state.story) == {story}
    assert min(state.ttl[name] for name in mine) >= state.ttl[prefix + b"s:" + story], "it outlives its story"
    assert workers.stop() == [0]


def test_lone_article_keeps_the_name_of_its_story(space, workers):
    workers.start("related", space.config)
    for revision, title in enumerate((TITLE, OTHER[0], "Quarry strike ends", TITLE), 1):
        put(space, [told(0, title, revision=revision)])
        settle(space)
        assert set(check(space).story) == {bytes.fromhex(article(0, 1)["id"])}
    assert workers.stop() == [0]


def test_members_live_as_long_as_their_story(space, workers):
    """A story that is still told after days: its old lead is there to be taken out, and then the next one leads."""
    workers.start("related", space.config)
    put(space, [told(n, TITLE, quality=90 - n) for n in range(4)])
    settle(space)
    story, = check(space).story
    prefix = f"{space.name}:{{rel}}:".encode()
    names = [bytes.fromhex(article(n, 1)["id"]) for n in range(4)]
    with space.redis.client() as client:  # as if two days had passed without news, and the members were about to go
        client.hset(prefix + b"s:" + story, "rn", int(client.hget(prefix + b"s:" + story, "rn")) - 2 * 86400)
        for kind, name in itertools.product((b"m:", b"v:", b"l:"), names):
            client.expire(prefix + kind + name, 1000)
    put(space, [told(5, TITLE, quality=10)])
    settle(space)
    state = check(space)
    assert min(state.ttl[prefix + kind + name] for kind, name in itertools.product((b"m:", b"v:", b"l:"), names)
               if prefix + kind + name in state.ttl) > 86400, "all members were renewed"
    put(space, [retraction(0, 2)])
    settle(space)
    state = check(space)
    assert set(state.story) == {story} and state.story[story][b"lead"] == names[1] and state.story[story][b"n"] == b"4"
    assert workers.stop() == [0]
