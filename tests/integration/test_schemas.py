"""deploy/schemas themselves: valid draft 2020-12, judged alike by two validators, and every rule of theirs can fail.

The examples are good messages of each kind; each row breaks one of them in one way. What is sent by workers is checked where other
tests read it (support/schemas.py); here it is checked that this checking sees something.
"""

import copy
import json

import jsonschema
import pytest

from support import schemas
from support.articles import article, ident, put

URL = "https://www.harbour-gazette.example/2031/04/12/ferry-timetable"
AMP = {"ampWebUrl": f"{URL}/amp", "cdnAmpWebUrl": "https://cdn.example/c/s/x"}
IMAGE = {"url": "https://cdn.harbour-gazette.example/ferry.jpg", "width": 1200, "height": 630}
SECURED = f"{'A' * 40}==;{'B' * 22}=="
THUMBNAIL = {"url": "https://img.site.example/t/320/a.jpg", "width": 320, "height": 168}
CACHED = {"url": IMAGE["url"], "state": "cached", "isCached": True, "width": 1200, "height": 630, "type": "image/jpeg",
          "bytes": 98231, "sha256": "9f" * 32, "cachedUrl": "https://img.site.example/img/a.jpg", "thumbnails": [THUMBNAIL]}
FAILED = {"url": "http://10.0.0.8/x.png", "state": "failed", "isCached": False, "reason": "blocked_addr",
          "nextTry": "2031-04-13T05:30:00Z"}
REFUSED = {"url": "data:image/png;base64,AA", "state": "failed", "isCached": False, "reason": "url_scheme"}
STORY = {"id": ident(7), "lead": ident(1), "size": 2}

ARTICLE = article(1, 1000, excerpt="One ticket.", images=[IMAGE], secured=SECURED, **AMP)
RETRACTED = {"id": ident(1), "revision": 1001, "sourceTime": 0, "retracted": True}
CARD = {"title": "Other", "excerpt": "E", "publishedDateTime": "2031-04-12T09:10:00Z", "webUrl": URL, **AMP,
        "type": "article", "provider": {"name": "Ostmark Post", "domain": "ostmark-post.example"}, "quality": 68,
        "images": [{**IMAGE, "isCached": False}]}
RECORD = schemas.ordered("record/1", {
    **{name: value for name, value in ARTICLE.items() if name not in ("sourceTime", "qualityParts", "rules")},
    "images": [{**IMAGE, "isCached": True, "cachedUrl": CACHED["cachedUrl"], "thumbnails": [THUMBNAIL]},
               {"url": URL, "isCached": False, "reason": "bad_status", "nextTry": "2031-04-13T05:30:00Z"}],
    "published": True, "heat": 126, "story": STORY, "related": [CARD]})
IMAGES = {"id": ident(1), "facet": "images", "revision": 5, "data": {"images": [
    CACHED, FAILED, {"url": URL, "state": "pending", "isCached": False, "width": 5}, REFUSED]}}
RELATED = {"id": ident(1), "facet": "related", "revision": 5, "data": {
    "story": STORY, "related": [{"id": ident(2), "score": 0.6412}], "links": [{"id": ident(2), "score": 0.6412}]}}
HEAT = {"id": ident(1), "facet": "heat", "revision": 5, "data": {
    "heat": 126, "asOf": "2031-04-12T06:02:24Z", "parts": [{"rule": "quality", "points": 86}], "next": "2031-04-12T07:00:00Z"}}
TOUCH = {"id": ident(1), "facet": "touch"}
TOMBSTONE = {"id": ident(1), "facet": "heat", "revision": 5, "data": None}
DEAD = {"nm-schema": "dead/1", "nm-ns": "news", "nm-code": "url_credentials", "nm-message": "\"url\" holds a user name",
        "nm-worker": "normalize", "nm-version": "1.0.0", "nm-stream": "articles.raw", "nm-partition": "3", "nm-offset": "18112",
        "nm-timestamp": "1933740131000", "nm-attempts": "1", "nm-id": ident(1)}
CUT = {**DEAD, "nm-value-bytes": "70000", "nm-value-sha256": "9f" * 32}
SIGNAL = {"id": ident(1), "kind": "click", "count": 3, "at": "2031-04-12T06:40:00Z", "source": "site-eu", "signalId": "x"}
RAW = {"url": URL, "title": "<b>Ferry</b>", "publishedDateTime": 1933740131, "topics": ["ferries"], "images": [IMAGE, URL],
       "private": {"editor": "d.wick"}, "unknown": 1}

GOOD = [("article/1", ARTICLE), ("article/1", RETRACTED), ("article/1", article(2, 1)), ("record/1", RECORD),
        ("facet/1", IMAGES), ("facet/1", RELATED), ("facet/1", HEAT), ("facet/1", TOUCH), ("facet/1", TOMBSTONE),
        ("dead/1", DEAD), ("dead/1", CUT), ("signal/1", SIGNAL), ("signal/1", {"url": URL, "kind": "view", "more": 1}),
        ("raw", RAW), ("raw", {"id": ident(1), "retracted": True})]

GONE = object()
BROKEN = [
    ("article/1", ARTICLE, "id", "136AB"), ("article/1", ARTICLE, "revision", 0), ("article/1", ARTICLE, "revision", 2**53),
    ("article/1", ARTICLE, "revision", 1.5), ("article/1", ARTICLE, "sourceTime", -1), ("article/1", ARTICLE, "path", "_news/x.md"),
    ("article/1", ARTICLE, "path", "_news/2031-04-12-" + "a" * 180 + ".md"), ("article/1", ARTICLE, "category", "a b"),
    ("article/1", ARTICLE, "locale", "x" * 65), ("article/1", ARTICLE, "title", ""), ("article/1", ARTICLE, "title", "x" * 1025),
    ("article/1", ARTICLE, "excerpt", ""), ("article/1", ARTICLE, "excerpt", None), ("article/1", ARTICLE, "webUrl", "ftp://a/b"),
    ("article/1", ARTICLE, "publishedDateTime", "2031-04-12T05:30:00+02:00"), ("article/1", ARTICLE, "publishedDateTime", "2031-13-12T05:30:00Z"),
    ("article/1", ARTICLE, "ampWebUrl", GONE), ("article/1", ARTICLE, "provider", {"name": "x"}), ("article/1", ARTICLE, "topics", GONE),
    ("article/1", ARTICLE, "topics", ["a"] * 33), ("article/1", ARTICLE, "topics", [""]), ("article/1", ARTICLE, "quality", 1001),
    ("article/1", ARTICLE, "qualityParts", [{"rule": "x", "points": 1, "more": 1}]), ("article/1", ARTICLE, "images", []),
    ("article/1", ARTICLE, "images", [IMAGE] * 17), ("article/1", ARTICLE, "images", [{**IMAGE, "width": 0}]),
    ("article/1", ARTICLE, "images", [{**IMAGE, "width": 65536}]), ("article/1", ARTICLE, "secured", "AA==;AA=="),
    ("article/1", ARTICLE, "rules", 0), ("article/1", ARTICLE, "content", "x"), ("article/1", ARTICLE, "retracted", True),
    ("article/1", RETRACTED, "title", "x"), ("article/1", RETRACTED, "sourceTime", GONE), ("article/1", RETRACTED, "retracted", False),
    ("record/1", RECORD, "sourceTime", 1), ("record/1", RECORD, "qualityParts", []), ("record/1", RECORD, "published", "yes"),
    ("record/1", RECORD, "heat", 1000001), ("record/1", RECORD, "heat", GONE), ("record/1", RECORD, "story", {**STORY, "size": 0}),
    ("record/1", RECORD, "related", []), ("record/1", RECORD, "related", [{**CARD, "path": "x"}]),
    ("record/1", RECORD, "images", [IMAGE]), ("record/1", RECORD, "images", [{**IMAGE, "isCached": True, "reason": "evicted"}]),
    ("record/1", RECORD, "images", [{**IMAGE, "isCached": False, "cachedUrl": URL}]), ("record/1", RECORD, "images", [{**IMAGE, "isCached": True, "bytes": 5}]),
    ("facet/1", IMAGES, "facet", "imgs"), ("facet/1", IMAGES, "revision", GONE), ("facet/1", IMAGES, "data", GONE),
    ("facet/1", IMAGES, "data", RELATED["data"]), ("facet/1", TOUCH, "revision", 5), ("facet/1", TOUCH, "data", None),
    ("facet/1", IMAGES, "data", {"images": [{**CACHED, "isCached": False}]}), ("facet/1", IMAGES, "data", {"images": [{**CACHED, "width": 0}]}),
    ("facet/1", IMAGES, "data", {"images": [{**CACHED, "type": "image/avif"}]}), ("facet/1", IMAGES, "data", {"images": [{**CACHED, "reason": "evicted"}]}),
    ("facet/1", IMAGES, "data", {"images": [{**FAILED, "reason": "store_full"}]}), ("facet/1", IMAGES, "data", {"images": [{**FAILED, "sha256": "9f" * 32}]}),
    ("facet/1", IMAGES, "data", {"images": [{"url": URL, "state": "failed", "isCached": False}]}),
    ("facet/1", IMAGES, "data", {"images": [{**FAILED, "url": REFUSED["url"]}]}), ("facet/1", IMAGES, "data", {"images": [{**REFUSED, "url": ""}]}),
    ("facet/1", IMAGES, "data", {"images": [{**CACHED, "url": "a"}]}), ("facet/1", IMAGES, "data", {"images": [{"url": "a", "state": "pending", "isCached": False}]}),
    ("facet/1", RELATED, "data", {**RELATED["data"], "links": [{"id": ident(2), "score": 1.1}]}), ("facet/1", RELATED, "data", {"related": [], "links": []}),
    ("facet/1", HEAT, "data", {**HEAT["data"], "heat": -2}), ("facet/1", HEAT, "data", {**HEAT["data"], "asOf": "now"}),
    ("facet/1", HEAT, "data", {**HEAT["data"], "parts": HEAT["data"]["parts"] * 17}),
    ("dead/1", DEAD, "nm-code", "URL"), ("dead/1", DEAD, "nm-message", "a\nb"), ("dead/1", DEAD, "nm-offset", "-1"), ("dead/1", DEAD, "nm-ns", GONE),
    ("dead/1", DEAD, "nm-attempts", "0"), ("dead/1", DEAD, "nm-revision", "5"), ("dead/1", CUT, "nm-value-sha256", GONE), ("dead/1", CUT, "nm-value-bytes", GONE),
    ("signal/1", SIGNAL, "url", URL), ("signal/1", SIGNAL, "id", GONE), ("signal/1", SIGNAL, "kind", "like"), ("signal/1", SIGNAL, "count", 0),
    ("signal/1", SIGNAL, "source", "x" * 65), ("raw", RAW, "url", GONE), ("raw", RAW, "title", 5), ("raw", RAW, "quality", 5000), ("raw", RAW, "topics", ["a"] * 257),
]


def second_opinion(schema):
    return jsonschema.Draft202012Validator(schemas.load(schema))


def changed(value, name, member):
    value = copy.deepcopy(value)
    if member is GONE:
        del value[name]
    else:
        value[name] = member
    return value


@pytest.mark.parametrize("path", sorted(schemas.FOLDER.glob("*.json")), ids=lambda path: path.name)
def test_files_are_schemas(path):
    jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text(encoding="utf-8")))


def test_there_is_a_file_for_each_schema():
    names = {schemas.file_of(schema).name for schema in [*schemas.STREAMS.values(), "signal/1", "raw"]}
    assert names == {path.name for path in schemas.FOLDER.iterdir()}


@pytest.mark.parametrize("schema, value", GOOD)
def test_good_messages_pass(schema, value):
    assert schemas.value_problems(schema, value) == []
    assert not list(second_opinion(schema).iter_errors(value))


@pytest.mark.parametrize("schema, value, name, member", BROKEN)
def test_every_rule_can_fail(schema, value, name, member):
    broken = changed(value, name, member)
    assert schemas.value_problems(schema, broken) != []
    assert list(second_opinion(schema).iter_errors(broken))


@pytest.mark.parametrize("schema, value, said", [
    ("article/1", changed(ARTICLE, "qualityParts", [{"rule": "x", "points": 1}]), "qualityParts make 1"),
    ("article/1", dict(reversed(ARTICLE.items())), "stands behind"),
    ("article/1", changed(ARTICLE, "images", [dict(reversed(IMAGE.items()))]), "images.url stands behind"),
    ("article/1", changed(ARTICLE, "provider", {"domain": "a", "name": "b"}), "provider.name stands behind"),
    ("record/1", changed(RECORD, "related", [dict(reversed(CARD.items()))]), "related."),
    ("record/1", changed(RECORD, "story", {**STORY, "lead": ident(9)}), "not the lead"),
    ("facet/1", changed(IMAGES, "data", {"images": [dict(reversed(CACHED.items()))]}), "data.images."),
    ("facet/1", changed(IMAGES, "data", {"images": [{**CACHED, "thumbnails": [THUMBNAIL, {**THUMBNAIL, "width": 5}]}]}), "smallest first"),
    ("facet/1", changed(RELATED, "data", {**RELATED["data"], "related": [{"id": ident(2), "score": 0.12345}]}), "4 decimals"),
    ("facet/1", changed(RELATED, "data", {**RELATED["data"], "links": [{"id": ident(2), "score": 0.1}, {"id": ident(3), "score": 0.2}]}), "best first"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_what_a_schema_cannot_say(schema, value, said):
    assert any(said in text for text in schemas.value_problems(schema, value))


def headers(schema="article/1", revision=1000, **more):
    return [("nm-schema", schema), ("nm-ns", "news"), ("nm-revision", str(revision)), *more.items()]


@pytest.mark.parametrize("stream, key, value, pairs, said", [
    ("normalized", ident(1), ARTICLE, headers(), None),
    ("normalized", ident(1), ARTICLE, headers(traceparent="00"), None),
    ("normalized", ident(2), ARTICLE, headers(), "the key is"),
    ("normalized", ident(1), ARTICLE, headers(revision=1001), "nm-revision"),
    ("normalized", ident(1), ARTICLE, headers("article/2"), "nm-schema"),
    ("normalized", ident(1), ARTICLE, headers()[1:], "nm-schema"),
    ("normalized", ident(1), ARTICLE, headers()[:1] + headers()[2:], "nm-ns"),
    ("normalized", ident(1), ARTICLE, headers()[:2], "headers are"),
    ("normalized", ident(1), ARTICLE, headers(**{"nm-code": "x"}), "headers are"),
    ("normalized", ident(1), ARTICLE, headers() + headers(), "stands twice"),
    ("normalized", ident(1), None, headers(), "a tombstone"),
    ("normalized", ident(1), "{", headers(), "Expecting"),
    ("normalized", ident(1), '{"id": 1, "id": 2}', headers(), "stands twice"),
    ("records", ident(1), RECORD, headers("record/1"), None),
    ("records", ident(1), None, headers("record/1"), None),
    ("records", "x", None, headers("record/1"), "the key is"),
    ("records", ident(1), None, headers("record/1")[:2], "headers are"),
    ("facets", ident(1), TOUCH, headers("facet/1")[:2], None),
    ("facets", ident(1), TOUCH, headers("facet/1"), "headers are"),
    ("facets", ident(1), TOMBSTONE, headers("facet/1", 5), None),
    ("dead", "k", b"\xff", list(DEAD.items()), None),
    ("dead", None, None, list(CUT.items()), None),
    ("dead", "k", "x", list({**DEAD, "nm-ns": "other"}.items()), "nm-ns"),
    ("dead", "k", "x", list({**DEAD, "nm-message": "\u00e9" * 200}.items()), "nm-message"),
    ("raw", "k", "x", [], None),
])
def test_headers_and_keys(stream, key, value, pairs, said):
    class Space:
        name = "news"

    value = json.dumps(value) if isinstance(value, dict) else value
    found = schemas.problems(Space, stream, key, value, pairs)
    assert any(said in text for text in found) if said else found == [], found


def test_readers_refuse_what_is_not_as_it_should_be(ns):
    """What every test that reads a stream relies on; and what a test writes as a facet is held to the same."""
    good = json.dumps(article(1, 1000))
    own = [("nm-schema", "article/1"), ("nm-ns", ns.name), ("nm-revision", "1000")]
    put(ns, "normalized", [(ident(1), good, None, own)])
    assert len(ns.read("normalized")) == 1
    put(ns, "normalized", [(ident(1), good.replace("Ferries", ""), None, own)])
    with pytest.raises(AssertionError, match="normalized .* is not as deploy/schemas"):
        ns.read("normalized")
    assert len(ns.read("normalized", check=False)) == 2
    with pytest.raises(AssertionError, match="the test's own message for facets"):
        put(ns, "facets", [(ident(1), json.dumps({**HEAT, "data": {}}), None, own)])
    assert ns.read("facets") == []
