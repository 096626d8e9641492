"""Raw events for the fault tests: invented, seeded, and so plain that what must come of them is easily said.

Events come in the forms that crawlers send: first versions, updates, updates that arrive after newer ones, re-crawls
with equal content, an older content published again (A, B, A), retractions in four forms, publication again after a
retraction, and events that can never succeed. The same seed gives the same bytes and the same Kafka timestamps.

What keeps the model (model.py) simple, by construction:
* no two events of an article have the same source time, so the content hash never decides which version is newer;
* an article names its date in every event or in none; an undated one is always keyed by its URL, so its first event is
  the first in its partition (a retraction under the id lies in another one and may overtake);
* texts are plain ASCII words with single spaces, short, and URLs are canonical but for one tracking parameter;
* a bad event carries the header x-expect with the code that its dead letter must have, and names no real article.
"""

import collections
import hashlib
import itertools
import json
import random
import time

Event = collections.namedtuple("Event", "key value timestamp_ms headers")

START_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z; in the past, so that no date is in the future
STEP_MS = 50
EXPECT = "x-expect"

HOSTS = ("www.harbour-gazette.example", "ostmark-post.example", "news.tidewater.example", "lantern-daily.example")
NOUNS = ("ferry", "harbour", "tram", "bridge", "market", "library", "lighthouse", "orchard")
WORDS = ("council votes on", "repairs begin at", "visitors praise", "night plan for", "budget closes for", "new look at")


def iso(ms):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ms // 1000))


def article_id(url):
    return hashlib.sha256(url.encode()).hexdigest()[:32]


def url_of(number):
    """Canonical URL of an article."""
    return f"https://{HOSTS[number * 7 % 11 % len(HOSTS)]}/2025/{number}/story-{number}"


class Article:
    def __init__(self, rng, number):
        self.number = number
        self.url = url_of(number)
        self.sent_url = self.url + ("?utm_source=feed" if number % 7 == 0 else "")
        self.dated = number % 5 != 0
        self.noun = rng.choice(NOUNS)
        self.content = 0   # number of the content published last
        self.contents = 0  # how many contents there are
        self.newest_ms = 0
        self.times = set()

    def content_json(self, content):
        """The event's facts, a function of the article and the content's number alone."""
        facts = {
            "url": self.sent_url,
            "title": f"{WORDS[(self.number + content) % len(WORDS)]} {self.noun} {self.number} part {content}",
            "excerpt": f"Report {content} about the {self.noun} of line {self.number}.",
            "content": f"<p>{'The full text is long. ' * (5 + content % 9)}</p>",
            "quality": (self.number * 13 + content * 29) % 140,
        }
        if self.dated:
            facts["publishedDateTime"] = iso(START_MS - 86_400_000 * (1 + (self.number + content) % 300))
        if self.number % 3 == 0:
            facts["images"] = [{"url": f"https://cdn.example/{self.number}/{content}.jpg", "width": 640, "height": 360}]
        return facts

    def take_time(self, rng, clock_ms, older):
        """A source time that no event of this article has: above the newest one, or somewhere below it."""
        if not older or not self.newest_ms:
            ms = max(self.newest_ms + 1000, clock_ms) // 1000 * 1000 + 1000
            self.newest_ms = ms
        else:
            ms = self.newest_ms
            while ms in self.times:
                ms -= 1000 * rng.randrange(1, 50)
        self.times.add(ms)
        return ms


def _stamped(rng, facts, source_ms, clock_ms):
    """Puts the source time into the event, or into its Kafka timestamp; returns the event's timestamp."""
    how = rng.random()
    if how < 0.25:
        return source_ms
    facts["modifiedDateTime"] = iso(source_ms) if how < 0.8 else source_ms
    return clock_ms


def _version(rng, article, content, source_ms, clock_ms):
    facts = article.content_json(content)
    timestamp_ms = _stamped(rng, facts, source_ms, clock_ms)
    if rng.random() < 0.3:  # a crawler that orders and adds members of its own
        facts = dict(sorted(facts.items(), reverse=True), fetchedBy=f"crawler-{rng.randrange(9)}")
    key = article.url
    if article.dated and rng.random() < 0.05:
        key = f"batch-{rng.randrange(1000)}"  # a partition that other events of the article are not in
    return Event(key.encode(), json.dumps(facts).encode(), timestamp_ms, None)


def _retraction(rng, article, source_ms, clock_ms):
    form = rng.randrange(4)
    if form >= 2:  # empty: null, or no bytes; its only time is Kafka's
        key = article.url if form == 2 or not article.dated else article_id(article.url)
        return Event(key.encode(), None if rng.random() < 0.5 else b"", source_ms, None)
    facts = {"retracted": True}
    facts.update({"url": article.sent_url} if form == 0 else {"id": article_id(article.url)})
    timestamp_ms = _stamped(rng, facts, source_ms, clock_ms)
    return Event(article.url.encode(), json.dumps(facts).encode(), timestamp_ms, None)


def _bad_values(n):
    url = f"https://bad.example/{n}"
    return (
        ("not_json", b'{"url": "https://bad.example/", "title": "cut off'),
        ("not_object", b'["https://bad.example/", "a list"]'),
        ("no_title", json.dumps({"url": url}).encode()),
        ("no_url", json.dumps({"title": f"bad {n}"}).encode()),
        ("url_scheme", json.dumps({"url": f"ftp://bad.example/{n}", "title": "bad"}).encode()),
        ("url_credentials", json.dumps({"url": f"https://me:secret@bad.example/{n}", "title": "bad"}).encode()),
        ("date_invalid", json.dumps({"url": url, "title": "bad", "publishedDateTime": "soon"}).encode()),
        ("date_future", json.dumps({"url": url, "title": "bad", "publishedDateTime": "2999-01-01T00:00:00Z"}).encode()),
        ("utf8_invalid", b'{"url": "https://bad.example/u", "title": "bad \xff byte"}'),
        ("duplicate_key", b'{"url": "https://bad.example/d", "title": "one", "title": "two"}'),
        ("retraction_target", json.dumps({"retracted": True, "n": n}).encode()),
        ("retraction_target", None),
    )


def _bad(rng, n, clock_ms):
    code, value = rng.choice(_bad_values(n))
    return Event(f"bad-{n}".encode(), value, clock_ms, [(EXPECT, code.encode())])


def _next_event(rng, article, clock_ms):
    kind = rng.random()
    if article.contents == 0 or kind < 0.55:  # a new content, the newest
        article.contents += 1
        article.content = article.contents
        return _version(rng, article, article.content, article.take_time(rng, clock_ms, older=False), clock_ms)
    if kind < 0.68:  # a new content that arrives after a newer one
        article.contents += 1
        return _version(rng, article, article.contents, article.take_time(rng, clock_ms, older=True), clock_ms)
    if kind < 0.82:  # a re-crawl, on time or late
        older = rng.random() < 0.3
        return _version(rng, article, article.content, article.take_time(rng, clock_ms, older), clock_ms)
    if kind < 0.90:  # an old content again
        article.content = rng.randrange(1, article.contents + 1)
        return _version(rng, article, article.content, article.take_time(rng, clock_ms, older=False), clock_ms)
    older = rng.random() < 0.2
    return _retraction(rng, article, article.take_time(rng, clock_ms, older), clock_ms)


def generate(seed, n_articles, bad_share=0.01):
    """Events about at most n_articles articles, without end."""
    rng = random.Random(seed)
    articles = [None] * max(1, n_articles)
    for n in itertools.count():
        clock_ms = START_MS + n * STEP_MS
        if rng.random() < bad_share:
            yield _bad(rng, n, clock_ms)
            continue
        number = rng.randrange(len(articles))
        if articles[number] is None:
            articles[number] = Article(rng, number)
        yield _next_event(rng, articles[number], clock_ms)
