"""Facet events for the fault tests, as images, related and heat would send them, and what publish must make of them.

Articles s * STORY to s * STORY + STORY - 1 are story s, but a version of a facet says what it likes: another lead, members
of another story, one that nobody has, retracted (`"data": null`). What version v of a facet says follows from the
article's number, the kind and v alone. Versions come late, twice or never, and before their article; of each (id, kind)
the greatest revision that is on the stream counts. Whatever they say is what the records must show in the end.
"""

import collections
import json
import random

from .events import START_MS, article_id, url_of

Facet = collections.namedtuple("Facet", "key value revision")

STORY = 5
KINDS = ("related", "related", "heat", "images")
MAX_RELATED = 3  # publish.maxRelated; less than some facets list
NOBODY = "00000000000000000000000000000abc"


def revision_of(version):
    return START_MS * 1000 + version


def _ident(number):
    return article_id(url_of(number))


def _related(rng, number):
    first = number // STORY * STORY
    others = [n for n in range(first, first + STORY) if n != number]
    lead = number if rng.random() < 0.6 else rng.choice(others)
    listed = []
    if lead == number:
        listed = [_ident(n) for n in rng.sample(others, rng.randrange(STORY))]
        if rng.random() < 0.2:
            listed.insert(rng.randrange(len(listed) + 1), NOBODY if rng.random() < 0.5 else _ident(first + STORY))
    return {"story": {"id": _ident(first), "lead": _ident(lead), "size": len(listed) + 1},
            "related": [{"id": name, "score": 0.5} for name in listed], "links": []}


def _heat(rng):
    return {"heat": rng.randrange(-1, 200), "asOf": "2025-01-02T00:00:00Z", "parts": []}


def _images(rng, number):
    images = []
    for content in range(1, 6):
        image = {"url": f"https://cdn.example/{number}/{content}.jpg"}
        state = rng.choice(("pending", "cached", "cached", "failed"))
        image.update(state=state, isCached=state == "cached")
        if state == "cached":
            image.update(width=320, height=180, type="image/jpeg", bytes=7000, sha256=f"{content:064x}",
                         cachedUrl=f"https://img.example/{number}-{content}.jpg")
        elif state == "failed":
            image.update(reason="bad_status")
        images.append(image)
    return {"images": images}


def data_of(number, kind, version):
    rng = random.Random(f"{kind} {number} {version}")
    if rng.random() < 0.06:
        return None
    return {"related": lambda: _related(rng, number), "heat": lambda: _heat(rng),
            "images": lambda: _images(rng, number)}[kind]()


def _event(number, kind, version):
    name, revision = _ident(number), revision_of(version)
    value = {"id": name, "facet": kind, "revision": revision, "data": data_of(number, kind, version)}
    return Facet(name.encode(), json.dumps(value).encode(), revision)


def generate(seed, n_articles):
    """Facets of articles 0 to n_articles - 1, without end."""
    rng = random.Random(f"facets {seed}")
    versions = collections.Counter()  # (number, kind) -> greatest version so far
    while True:
        number, kind = rng.randrange(max(1, n_articles)), rng.choice(KINDS)
        known, how = versions[number, kind], rng.random()
        if known < 2 or how < 0.6:
            version = known + rng.randrange(1, 3)  # one left out comes late, or never
        else:
            version = known if how < 0.7 else rng.randrange(1, known)
        versions[number, kind] = max(known, version)
        yield _event(number, kind, version)


# ---- what must come of them

def newest(messages):
    """{(id, kind): data} of the facets with the greatest revisions, and how many facets there were. Touches say nothing."""
    best, n = {}, 0
    for message in messages:
        value = json.loads(message.value)
        if value["facet"] == "touch":
            continue
        n += 1
        place = value["id"], value["facet"]
        if place not in best or value["revision"] > best[place][0]:
            best[place] = (value["revision"], value["data"])
    return {place: data for place, (_, data) in best.items()}, n


def is_touch(value):
    return json.loads(value)["facet"] == "touch"


def copies(source, target):
    """(key, value, timestamp, headers) of the facets of one namespace for another one, without publish's touches."""
    for message in source.read_batches("facets", check=False):
        facet = json.loads(message.value)
        if facet["facet"] != "touch":
            yield message.key, message.value, None, target.headers("facet/1", facet["revision"])


def apply(records, best, min_quality):
    """Puts the facets into the expected records ({id: members, None for a tombstone})."""
    for name, record in records.items():
        if record is not None:
            record["images"] = _shown_images(record["images"], best.get((name, "images")))
    members = {name: _member(record) for name, record in records.items() if record is not None}
    for name, record in records.items():
        if record is None:
            continue
        story, heat = best.get((name, "related")), best.get((name, "heat"))
        lead = story is None or story["story"]["lead"] == name
        record["published"] = lead and record["quality"] >= min_quality
        record["heat"] = -1 if not lead else record["quality"] if heat is None else heat["heat"]
        record["story"] = story and story["story"]
        record["related"] = _shown_related(name, story, records, members) if story and lead else []


def _shown_images(urls, facet):
    known = {image["url"]: image for image in facet["images"]} if facet else {}
    shown = []
    for url in urls:
        image = known.get(url, {})
        shown.append((url, image.get("isCached", False), image.get("cachedUrl"), image.get("reason")))
    return shown


def _member(record):
    return tuple(record[member] for member in ("webUrl", "title", "publishedDateTime", "quality")) + (record["images"],)


def _shown_related(name, story, records, members):
    listed = list(dict.fromkeys(each["id"] for each in story["related"] if each["id"] != name))[:MAX_RELATED]
    there = [each for each in listed if records.get(each) is not None]
    there.sort(reverse=True)                                         # of equals the greater id,
    there.sort(key=lambda each: records[each]["publishedDateTime"])  # before that the oldest,
    there.sort(key=lambda each: -records[each]["quality"])           # before that the best
    return [members[each] for each in there]


def found_images(images):
    return [(image["url"], image["isCached"], image.get("cachedUrl"), image.get("reason")) for image in images or []]


def found_related(related):
    """The same view of a record's related articles."""
    return [(each["webUrl"], each["title"], each["publishedDateTime"], each["quality"], found_images(each.get("images")))
            for each in related or []]
