"""Input for the benchmarks: invented articles of a realistic size, the same ones for the same numbers.

A raw event is 1.0 to 1.5 KB: title, excerpt with HTML, 600 bytes of text, dates, an image, a publisher of a registry of 60.
For publish: articles as normalize writes them, and the three facets of each, in stories of five whose lead lists the
other four; a unit is a story, five articles and fifteen facets. A round goes once over the whole keyspace; in each round every
article and every facet changes, so each event is worth its work.
"""

import functools
import hashlib
import itertools
import json
import random
import time

from support.articles import article
from support.namespace import store

STORY = 5
STORY_EVENTS = STORY * 4
FIRST_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z, in the past
_SYLLABLES = ("ba", "cor", "del", "fin", "gar", "hol", "in", "jor", "ka", "lum", "mar", "nes", "or", "pra", "qui", "rel",
              "sto", "tam", "ul", "ver", "win", "yal", "zen", "é")


@functools.cache
def words():
    """3,000 invented words, always the same."""
    rng = random.Random("words")
    return ["".join(rng.choices(_SYLLABLES, k=rng.randrange(2, 5))) for _ in range(3000)]


@functools.cache
def _sentences():
    rng = random.Random("sentences")
    return [" ".join(rng.choices(words(), k=rng.randrange(8, 16))).capitalize() + "." for _ in range(20_000)]


def _text(number, n):
    """n sentences; another number, others."""
    pool = _sentences()
    return " ".join(pool[(number * 7919 + i * 104_729) % len(pool)] for i in range(n))


@functools.cache
def providers():
    """The registry of publishers."""
    return [{"domain": f"{words()[i].replace('é', 'e')}-{i}.example", "name": f"{words()[i].capitalize()} {words()[i + 60].capitalize()}",
             "weight": i % 40, "images": [{"url": f"https://static.example/logos/{i}.png", "width": 64, "height": 64}]}
            for i in range(60)]


@functools.cache
def topics():
    """The registry of topics: 40 of them, five keywords each, every second one below another."""
    return [{"id": f"t{i}", "name": f"Topic {words()[100 + i].capitalize()}", "keywords": words()[200 + 5 * i:205 + 5 * i],
             **({"parent": f"t{i - 1}"} if i % 2 else {})} for i in range(40)]


def iso(ms):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ms // 1000))


def raw_event(number, version):
    """(key, value) of a raw event: version `version` of an article."""
    host = providers()[number % len(providers())]["domain"]
    url = f"https://www.{host}/2026/{number % 12 + 1:02d}/{number}/report"
    pool = _sentences()
    title = f"{pool[(number * 31 + version) % len(pool)][:60]} {number} &amp; {version}"
    event = {
        "url": f"{url}?utm_source=feed&utm_medium=rss", "title": title,
        "excerpt": f"<p>{_text(number + version, 2)}</p><p>Part <b>{version}</b></p>", "content": f"<p>{_text(number, 8)}</p>",
        "publishedDateTime": iso(FIRST_MS + number * 1000), "modifiedDateTime": FIRST_MS + version * 60_000 + number * 1000,
        "ampUrl": f"{url}/amp", "image": {"url": f"https://cdn.{host}/{number}/{version}.jpg", "width": 1200, "height": 630},
    }
    return url, json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def raw_round(numbers, version):
    """(key, value, headers) of one round."""
    for number in numbers:
        yield (*raw_event(number, version), None)


def name_of(number):
    return hashlib.sha256(b"%d" % number).hexdigest()[:32]


def _message(space, item, schema):
    return item["id"], json.dumps(item, ensure_ascii=False, separators=(",", ":")), space.headers(schema, item["revision"])


def _article(number, version, revision):
    provider = providers()[number % len(providers())]
    url = f"https://www.{provider['domain']}/2026/{number}/report"
    return article(number, revision, id=name_of(number), sourceTime=FIRST_MS + version * 60_000,
                   path=f"_news/2026-01-01-report-{number}-{version}.md", title=f"{_text(number, 1)[:60]} {number} {version}",
                   excerpt=_text(number + version, 3), originalUrl=f"{url}?utm_source=feed", webUrl=url, ampWebUrl=f"{url}/amp",
                   cdnAmpWebUrl=f"https://www-{provider['domain'].replace('.', '-')}.cdn.example/c/s/{url[8:]}/amp",
                   provider={name: provider[name] for name in ("name", "domain", "images")}, topics=["Topic one", "Topic two"],
                   quality=60 + (number + version) % 80,
                   images=[{"url": f"https://cdn.example/{number}.jpg", "width": 1200, "height": 630}])


def _facet(number, facet, revision, data):
    return {"id": name_of(number), "facet": facet, "revision": revision, "data": data}


def _image_data(number, version):
    digest = hashlib.sha256(b"%d %d" % (number, version)).hexdigest()
    return {"images": [{"url": f"https://cdn.example/{number}.jpg", "state": "cached", "isCached": True, "width": 1200,
                        "height": 630, "type": "image/jpeg", "bytes": 90_000 + number, "sha256": digest,
                        "cachedUrl": f"https://img.example/{digest}.jpg",
                        "thumbnails": [{"url": f"https://img.example/t/320/{digest}.jpg", "width": 320, "height": 168}]}]}


def _related_data(members, number, version):
    lead, score = members[0], round(0.5 + version % 100 / 1000, 4)
    others = [{"id": name_of(other), "score": score} for other in members if other != number]
    return {"story": {"id": name_of(lead), "lead": name_of(lead), "size": len(members)},
            "related": others if number == lead else [], "links": others}


def _heat_data(members, number, version):
    lead = number == members[0]
    return {"heat": 100 + version if lead else -1, "asOf": iso(FIRST_MS + version * 60_000),
            "parts": [{"rule": "quality", "points": 60}, {"rule": "related", "points": 40 + version}] if lead else []}


def story_messages(space, story, version, revision):
    """(stream, key, value, headers) of the five articles of a story and their facets."""
    members = range(story * STORY, (story + 1) * STORY)
    for number in members:
        yield ("normalized", *_message(space, _article(number, version, revision), "article/1"))
    for number in members:
        for facet, data in (("images", _image_data(number, version)), ("related", _related_data(members, number, version)),
                            ("heat", _heat_data(members, number, version))):
            yield ("facets", *_message(space, _facet(number, facet, revision, data), "facet/1"))


class Feed:
    """Endless input of one worker: send(n) writes the next n events and returns when they are stored."""

    def __init__(self, space, worker, n_articles):
        self.space = space
        self._source = self._raw(n_articles) if worker == "normalize" else self._stories(n_articles)
        self._producer = space.producer(**{"compression.type": "lz4", "linger.ms": 20, "batch.size": 1_000_000,
                                           "queue.buffering.max.messages": 100_000})
        self._refused = []

    def _raw(self, n_articles):
        for version in itertools.count():
            for key, value, headers in raw_round(range(n_articles), version):
                yield "raw", key, value, headers

    def _stories(self, n_articles):
        for version in itertools.count():
            revision = (FIRST_MS + version * 60_000) * 1000
            for story in range(n_articles // STORY):
                yield from story_messages(self.space, story, version, revision)

    def send(self, n):
        for sent, (stream, key, value, headers) in enumerate(itertools.islice(self._source, n)):
            store(self._producer, self.space.topic[stream], key, value, self._refused, None, headers)
            if sent % 1000 == 0:
                self._producer.poll(0)
        self.flush()

    def flush(self):
        left = self._producer.flush(120)
        assert left == 0 and not self._refused, f"{left} events not stored in time, {len(self._refused)} refused: {self._refused[:2]}"
