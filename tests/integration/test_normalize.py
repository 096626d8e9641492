"""normalize on real servers: rules under their number, other formats and the mapping end to end, sealed private fields.

What was sealed is opened with the package "cryptography", from include/newsmill/seal.h alone.
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
import struct

import pytest
import yaml
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from support.articles import count, latest, log_lines, put, read, refused, stop, wait_log
from support.namespace import TOPICS
from support.waiting import until
from support.workers import run

URL = "https://www.harbour-gazette.example/2031/04/12/ferry-timetable"
ID = "136ab291632faf53215323ed8744d7a4"


@pytest.fixture
def one(new_namespace):
    """A namespace with a single partition, so that everything has one order."""
    return new_namespace(partitions=1).create_topics()


def crawl(ns, event, timestamp_ms=None):
    put(ns, "raw", [(URL, json.dumps(event), timestamp_ms)])


def settle(ns):
    ns.wait_done("normalize", "raw")


def articles(ns):
    return [json.loads(message.value) for message in read(ns, "normalized")]


def event(**members):
    return {"url": URL, "title": "Ferry &amp; tram timetables merge", "publishedDateTime": "2026-01-12T07:30:00Z", **members}


# ---- the rules and their number

def write_topics(ns, topics, comment="# topics\n"):
    (ns.folder / "topics.yaml").write_text(comment + yaml.safe_dump(topics))


def test_other_rules_under_the_same_number_are_refused(one, workers):
    worker = workers.start("normalize", one.config)
    crawl(one, event())
    settle(one)
    stop(worker)
    assert [article["topics"] for article in articles(one)] == [["Ferries", "Transport"]]

    write_topics(one, [*TOPICS, {"id": "trams", "name": "Trams", "keywords": ["tram"]}])
    crawl(one, event(title="A tram"))
    sentence = refused(workers.start("normalize", one.config), "raise normalize.rules", "topics", one.name)
    assert "providers" not in sentence and "quality" not in sentence
    assert len(articles(one)) == 1

    worker = workers.start("normalize", one.config, "--set", "normalize.rules=2")
    settle(one)
    assert [(a["topics"], a["rules"]) for a in articles(one)] == [(["Ferries", "Transport"], 1), (["Trams"], 2)]
    stop(worker)
    refused(workers.start("normalize", one.config, "--set", "normalize.rules=2", "--set", "quality.imagePoints=7",
                          "--set", "defaults.category=sport"), "raise normalize.rules", "defaults, quality")


def test_what_means_nothing_is_no_change_of_rules(one, workers):
    worker = workers.start("normalize", one.config)
    crawl(one, event())
    settle(one)
    stop(worker)
    write_topics(one, list(reversed(TOPICS)), "# turned round, with another comment\n\n")  # of different depth
    worker = workers.start("normalize", one.config, "--set", "normalize.maxDepth=31", "--set", "runtime.batchItems=7")
    crawl(one, event(title="Another ferry"))
    settle(one)
    stop(worker)
    assert len(articles(one)) == 2


def test_a_replay_under_raised_rules_makes_a_newer_version(one, workers):
    worker = workers.start("normalize", one.config)
    crawl(one, event(), 1_700_000_000_000)
    settle(one)
    stop(worker)
    worker = workers.start("normalize", one.config, "--set", "normalize.rules=2", "--set", "defaults.category=harbour")
    crawl(one, event(), 1_700_000_000_000)  # as a replay brings it: the same event with its time
    settle(one)
    stop(worker)
    old, new = articles(one)
    assert (old["rules"], old["category"]) == (1, "news") and (new["rules"], new["category"]) == (2, "harbour")
    assert new["revision"] > old["revision"] and new["sourceTime"] == old["sourceTime"]


def test_rules_are_checked_again_after_each_connection(one, workers, redis):
    worker = workers.start("normalize", one.config)
    crawl(one, event())
    settle(one)
    with redis.client() as client:
        key = f"{one.name}:rules:1"
        assert client.get(key).startswith(b"rules/1 defaults=") and client.ttl(key) == -1
        client.set(key, "rules/1 defaults=0")
        client.client_kill_filter(_type="normal", skipme=True)
    crawl(one, event(title="Later"))
    refused(worker, "raise normalize.rules")


def test_rules_are_noted_again_where_redis_lost_them(one, workers, redis):
    worker = workers.start("normalize", one.config)
    crawl(one, event())
    settle(one)
    with redis.client() as client:
        key = f"{one.name}:rules:1"
        noted = client.get(key)
        assert noted.startswith(b"rules/1 ")
        client.delete(key)
        client.client_kill_filter(_type="normal", skipme=True)
        crawl(one, event(title="Later"))
        settle(one)
        until(lambda: client.get(key) == noted, 20, "the rules are noted again")
    stop(worker)


# ---- formats and mapping

JSON_LD = {
    "@context": "https://schema.org", "@type": "NewsArticle",
    "mainEntityOfPage": {"@type": "WebPage", "@id": URL + "?utm_source=feed#top"},
    "headline": "Ferry &amp; tram timetables merge", "description": "<p>One ticket from June.</p>",
    "datePublished": "2026-01-12T09:30:00+02:00", "dateModified": "2026-01-12T10:00:00+02:00",
    "image": {"@type": "ImageObject", "url": "https://cdn.harbour-gazette.example/f.jpg", "width": 1200, "height": "630px"},
    "thumbnailUrl": "https://cdn.harbour-gazette.example/late.jpg", "inLanguage": "en_GB", "keywords": ["ferry"],
    "publisher": {"@type": "NewsMediaOrganization", "name": "Somebody else"},
}


def test_json_ld_from_raw_to_record(one, workers):
    workers.start("normalize", one.config)
    workers.start("publish", one.config)
    crawl(one, JSON_LD)
    settle(one)
    one.wait_done("publish", "normalized")
    record = json.loads(latest(one)[ID].value)
    assert record["title"] == "Ferry & tram timetables merge" and record["excerpt"] == "One ticket from June."
    assert record["publishedDateTime"] == "2026-01-12T07:30:00Z" and record["webUrl"] == URL
    assert record["type"] == "article" and record["locale"] == "en-GB"
    assert record["provider"]["name"] == "Harbour Gazette"  # the registry knows the domain
    image, = record["images"]
    assert {k: image[k] for k in ("url", "width", "height")} == {
        "url": "https://cdn.harbour-gazette.example/f.jpg", "width": 1200, "height": 630}
    article, = articles(one)
    assert article["sourceTime"] == 1768204800000
    assert count(one, "dead") == 0
    assert workers.stop() == [0, 0]


FEEDS = {
    "json-feed": {"id": 7, "url": URL, "title": "Ferry returns", "content_html": "<p>x</p>", "summary": "Soon.",
                  "date_published": "2026-01-12T07:30:00Z", "banner_image": "https://cdn.example/f.jpg", "language": "en"},
    "rss": {"link": URL, "title": "Ferry returns", "description": "<b>Soon.</b>", "category": ["Local news", "Harbour & sea"],
            "pubDate": "Mon, 12 Jan 2026 09:30:00 +0200", "enclosure": {"url": "https://cdn.example/f.jpg", "type": "image/jpeg"},
            "source": {"#text": "Harbour", "url": "https://x.example/feed"}, "language": "en"},
    "atom": {"id": "tag:x,2026:7", "link": [{"rel": "self", "href": "https://x.example/"}, {"href": URL}],
             "title": {"#text": "Ferry returns", "type": "html"}, "summary": "Soon.", "published": "2026-01-12T07:30:00Z",
             "category": {"term": "Local news"}, "media:content": {"url": "https://cdn.example/f.jpg", "medium": "image"}},
}


def test_feeds_give_the_same_article(one, workers):
    worker = workers.start("normalize", one.config)
    for timestamp_ms, item in enumerate(FEEDS.values(), 1_768_204_800_000):
        crawl(one, item, timestamp_ms)
    settle(one)
    stop(worker)
    assert count(one, "dead") == 0
    found = articles(one)
    article = found[0]
    same = [{**a, "revision": 0, "sourceTime": 0} for a in found]  # what lay there at the start may be sent again
    assert all(other == same[0] for other in same)
    assert (article["id"], article["title"], article["excerpt"]) == (ID, "Ferry returns", "Soon.")
    assert (article["category"], article["locale"]) == ("news", "en")
    assert [image["url"] for image in article["images"]] == ["https://cdn.example/f.jpg"]


OWN_SHAPE = {"doc": {"where": [{"loc": URL}], "names": {"main/long": "Ferry returns"}}, "kind": "report",
             "media:thumbnail": {"url": "https://cdn.example/t.jpg", "width": "90"}, "keywords": ["ferries", "unknown"],
             "title": "not this one", "internal": {"editor": "d.wick"}}
MAPPING = {"url": ["/doc/where/0/loc"], "title": ["/nothing", "/doc/names/main~1long"], "type": ["/kind"],
           "images": ["/media:thumbnail"], "topics": ["/keywords"]}


def test_mapping_of_the_option_file(one, workers):
    one.write_config(normalize={"mapping": MAPPING})
    worker = workers.start("normalize", one.config)
    crawl(one, OWN_SHAPE)
    crawl(one, {"doc": {"names": {"main/long": 7, "x": 1}}, "url": URL})
    settle(one)
    stop(worker)
    article, = articles(one)
    assert (article["id"], article["title"], article["type"]) == (ID, "Ferry returns", "report")
    assert article["topics"] == ["Ferries", "Transport"]
    assert article["images"] == [{"url": "https://cdn.example/t.jpg", "width": 90}]
    letter, = read(one, "dead")
    assert letter.headers["nm-code"] == b"wrong_type" and b'"/doc/names/main~1long"' in letter.headers["nm-message"]

    one.write_config(normalize={"builtInMapping": False, "rules": 2})
    worker = workers.start("normalize", one.config)
    crawl(one, event())
    settle(one)
    stop(worker)
    assert len(articles(one)) == 1
    assert read(one, "dead")[-1].headers["nm-code"] == b"no_url"


def test_misspelt_mapping_is_refused_with_its_place(one):
    one.write_config(normalize={"mapping": {"titel": ["/headline"], "url": ["link"]}})
    done = run("newsmill-normalize", "-c", one.config, "--check")
    assert done.returncode == 2
    lines = one.config.read_text().splitlines()
    line = next(i for i, text in enumerate(lines, 1) if "titel" in text)
    column = lines[line - 1].index("titel") + 1
    assert (f"{one.config}:{line}:{column}: error: unknown member 'titel' of normalize.mapping; did you mean 'title'?"
            in done.stderr)
    assert "normalize.mapping.url has 'link', which is not a JSON pointer" in done.stderr


# ---- private fields

KEYS = {1: bytes(range(32)), 2: hashlib.sha256(b"second").digest()}


def derived(key, label):
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=label).derive(key)


def opened(sealed, article_id=ID):
    """(number of the key, plaintext) of a `secured` member; the nonce must be the one that seal.h describes."""
    body, trail = (base64.b64decode(part, validate=True) for part in sealed.split(";"))
    number, nonce = struct.unpack(">I", trail[:4])[0], trail[4:]
    plain = AESGCM(KEYS[number]).decrypt(nonce, body, article_id.encode())
    mac = hmac.new(derived(KEYS[number], b"newsmill seal/1 nonce"), article_id.encode() + plain, hashlib.sha256)
    assert nonce == mac.digest()[:12]
    return number, plain.decode()


@pytest.fixture
def sealing(one):
    """Two keys, one in a file as base64, one in a variable as hex; the first seals. Yields (namespace, environment)."""
    (one.folder / "key1").write_text(base64.b64encode(KEYS[1]).decode() + "\n")
    (one.folder / "key1").chmod(0o600)
    one.write_config(secured={"fields": ["/private/editor", "/private/desk/mail"], "key": 1,
                              "keys": {1: {"file": "key1"}, 2: {"env": "NM_TEST_KEY"}}})
    return one, {"NM_TEST_KEY": KEYS[2].hex()}


PRIVATE = {"editor": "d.wick", "batch": 7, "desk": {"phone": "0", "mail": "ä@example.org"}}
PLAIN = '{"desk":{"mail":"ä@example.org"},"editor":"d.wick"}'


def test_private_fields_are_sealed_up_to_the_record(sealing, workers):
    ns, env = sealing
    workers.start("normalize", ns.config, env=env)
    workers.start("publish", ns.config, env=env)
    crawl(ns, event(private=PRIVATE))
    settle(ns)
    ns.wait_done("publish", "normalized")
    article, = articles(ns)
    assert list(article)[-2:] == ["secured", "rules"] and "private" not in article
    assert opened(article["secured"]) == (1, PLAIN)
    assert json.loads(latest(ns)[ID].value)["secured"] == article["secured"]
    with pytest.raises(InvalidTag):
        opened(article["secured"], "0" * 32)
    for stream in ("normalized", "records"):
        assert not [m for m in read(ns, stream) if b"d.wick" in m.value or b"batch" in m.value]
    assert workers.stop() == [0, 0]


def test_a_newer_key_seals_what_is_new_and_makes_no_version_of_its_own(sealing, workers):
    ns, env = sealing

    def run_with(key, *events):
        worker = workers.start("normalize", ns.config, "--set", f"secured.key={key}", env=env)
        put(ns, "raw", [("f", json.dumps({"url": f"https://x.example/{secrets.token_hex(4)}", "title": "x"}))])
        settle(ns)  # caught up: from here on a re-crawl is not sent again
        for timestamp_ms, item in events:
            crawl(ns, item, timestamp_ms)
            settle(ns)
        stop(worker)
        return [article for article in articles(ns) if article["id"] == ID]

    first = run_with(1, (1_768_204_800_000, event(private=PRIVATE)))
    again = run_with(2, (1_768_204_801_000, event(private=PRIVATE)))
    assert again == first
    changed = run_with(2, (1_768_204_802_000, event(private={**PRIVATE, "editor": "e.wick"})))
    assert len(changed) == 2
    assert opened(changed[0]["secured"]) == (1, PLAIN)
    assert opened(changed[1]["secured"]) == (2, PLAIN.replace("d.wick", "e.wick"))


def test_keys_are_never_shown(sealing, workers):
    ns, env = sealing
    os.chmod(ns.folder / "key1", 0o644)
    worker = workers.start("normalize", ns.config, "--set", "log.level=debug", env=env)
    crawl(ns, event(private=PRIVATE))
    settle(ns)
    warning, = wait_log(worker, "seal.exposed")
    assert warning["level"] == "warn" and "secured.keys.1.file" in warning["msg"] and "key1" in warning["msg"]
    stop(worker)
    texts = [worker.log_text()]
    for form in ("text", "json"):
        done = run("newsmill-normalize", "-c", ns.config, "--print-config", "--format", form, env=env)
        assert done.returncode == 0 and "NM_TEST_KEY" in done.stdout and "key1" in done.stdout
        texts.append(done.stdout + done.stderr)
    texts.append(run("newsmill-normalize", "-c", ns.config, "--help", env=env).stdout)
    for key in KEYS.values():
        for shown in (base64.b64encode(key).decode(), key.hex()):
            assert not [text for text in texts if shown in text]


@pytest.mark.parametrize("secured, words", [
    ({"key": 3}, ["secured.keys has no key 3"]),
    ({"keys": {1: {"file": "missing"}}}, ["secured.keys.1.file", "missing", "cannot be read"]),
    ({"keys": {1: {"file": "newsmill.yaml"}}}, ["secured.keys.1.file", "holds no key"]),
    ({"keys": {2: {"env": "NM_TEST_NONE"}}}, ["secured.keys.2.env", "NM_TEST_NONE is not set"]),
    ({"keys": {1: {"env": "NM_TEST_KEY"}}}, ["secured.keys.1.", "either a file or an env"]),
])
def test_wrong_keys_are_refused_by_name(sealing, workers, secured, words):
    ns, env = sealing
    ns.write_config(secured=secured)
    worker = workers.start("normalize", ns.config, env=env)
    refused(worker, *words)
    assert not log_lines(worker, "start")
