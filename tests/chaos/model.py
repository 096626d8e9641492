"""What must come out of normalize and publish, said a second time, apart from the project's code.

Input is the raw stream as it was stored: key, value, timestamp, headers, partition, offset. Of all events about one
article the one with the greatest source time counts: `modifiedDateTime`, else Kafka's timestamp. It is a version or a
retraction. events.py makes no two events of an article with an equal source time, so nothing else decides. Re-crawls
raise the source time of what they repeat, which is the same as being the newest event with that content.

The date of an undated article is Kafka's timestamp of its first event in its partition.
"""

import calendar
import dataclasses
import json
import re
import time

from . import facets
from .events import EXPECT, article_id

LISTED = {"harbour-gazette.example": "Harbour Gazette", "ostmark-post.example": "Ostmark Post"}
MIN_QUALITY = 70
ID = re.compile(r"[0-9a-f]{32}")


@dataclasses.dataclass
class Expected:
    records: dict  # article id -> the members of its record that the model knows; None: a tombstone, or nothing
    dead: dict     # (raw partition, raw offset) -> (code, key, value)
    n_events: int = 0
    n_facets: int = 0


def _time_ms(value):
    if isinstance(value, int):
        return value
    return calendar.timegm(time.strptime(value, "%Y-%m-%dT%H:%M:%SZ")) * 1000


def _target(key, facts):
    """Article id that an event is about."""
    if facts is None:
        return key if ID.fullmatch(key) else article_id(key)
    if "id" in facts:
        return facts["id"]
    return article_id(facts["url"].split("?")[0])


def _record(facts, first_ms):
    """Members of the record that follow from the event without knowing any of the project's code; facets.apply() adds
    those that facets have a say in."""
    published = facts.get("publishedDateTime") or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(first_ms // 1000))
    host = facts["url"].split("/")[2]
    domain = ".".join(host.split(".")[-2:])
    provider = {"domain": domain}
    if domain in LISTED:
        provider["name"] = LISTED[domain]
    return {
        "path": f"_news/{published[:10]}-{facts['title'].lower().replace(' ', '-')}.md",
        "category": "news", "type": "article", "locale": "en",
        "title": facts["title"], "excerpt": facts["excerpt"], "publishedDateTime": published,
        "originalUrl": facts["url"], "webUrl": facts["url"].split("?")[0],
        "provider": provider, "quality": facts["quality"],
        "images": [image["url"] for image in facts.get("images", [])],
    }


def expect(messages, facet_messages=()):
    """support.namespace.Message of the raw stream, each partition in order, and of the facets in any order."""
    newest = {}    # id -> (source time, facts; None: retracted)
    first_ms = {}  # id -> Kafka timestamp of its first version
    dead = {}
    n_events = 0
    for message in messages:
        n_events += 1
        if message.headers and EXPECT in message.headers:
            code = message.headers[EXPECT].decode()
            dead[message.partition, message.offset] = (code, message.key, message.value)
            continue
        facts = json.loads(message.value) if message.value else None
        name = _target(message.key.decode(), facts)
        retracted = facts is None or facts.get("retracted", False)
        if not retracted:
            first_ms.setdefault(name, message.timestamp_ms)
        source_ms = message.timestamp_ms
        if facts and "modifiedDateTime" in facts:
            source_ms = _time_ms(facts["modifiedDateTime"])
        known = newest.get(name)
        facts = None if retracted else facts
        # A producer that lost its broker may have sent the very same event twice.
        assert known is None or known[0] != source_ms or known[1] == facts, f"{name}: one source time, two contents"
        if known is None or source_ms > known[0]:
            newest[name] = (source_ms, facts)
    records = {name: None if facts is None else _record(facts, first_ms[name])
               for name, (_, facts) in newest.items()}
    best, n_facets = facets.newest(facet_messages)
    facets.apply(records, best, MIN_QUALITY)
    return Expected(records, dead, n_events, n_facets)


def differences(expected, record):
    """Names of the members in which a record is not what it must be."""
    wrong = []
    for name, value in expected.items():
        found = record.get(name)
        if name == "provider":
            found = {member: (found or {}).get(member) for member in value}
        elif name == "images":
            found = facets.found_images(found)
        elif name == "related":
            found = facets.found_related(found)
        if found != value:
            wrong.append(f"{name}: {found!r}, not {value!r}")
    return wrong
