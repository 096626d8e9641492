"""Articles about made-up events for `related`, and what must hold of its state after any of them (stories.py has the rest)."""

import datetime
import itertools

from . import stories
from .articles import article, ident, retraction

AT = 1933740131  # 2031-04-12, in s


def when(seconds):
    """A time of an article, counted from AT."""
    return (datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=AT + seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


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


def check_found(state, most=64):
    """Every article is found by each of its terms, where the list has room."""
    for name, terms in state.vector.items():
        for term in terms:
            ids = state.postings.get(term, {})
            assert name in ids or len(ids) == most, f"{name.hex()} is not among the {len(ids)} postings of {term.hex()}"


def check(fleet):
    state = stories.load(fleet)
    stories.check_sound(state)
    check_found(state)
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
