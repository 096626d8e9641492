"""`newsmill explain` and `newsmill stories` on a real Kafka and a real Redis, beside running workers: what they say is what lies on
the streams and in Redis, read here without newsmill's code."""

import hashlib
import json

import pytest

from support import linking, stories
from support.articles import article, ident, message, retraction
from support.facets import facet, put_facets, settle_all
from support.waiting import until
from support.workers import tool

AT = "2031-04-12T{:02}:00:00Z"
FERRY = [  # (number, title, quality): one story, its lead has the best quality
    (1, "Ferry Sonnblick runs aground off Ostmark harbour", 80),
    (2, "Sonnblick ferry aground near Ostmark, passengers safe", 95),
    (3, "Passengers leave ferry Sonnblick after grounding off Ostmark", 60),
]
OTHERS = [
    (4, "Veltmar glacier loses a third of its ice", 50),
    (5, "Ostmark council votes on bus lanes and cycle paths in the old town", 72),  # one word with the ferry
]
URL = "https://www.harbour-gazette.example/2031/04/12/harbour-budget"
REFUSED = "https://feed:s3asonal@www.harbour-gazette.example/secret"


def raw_event(url, **members):
    return url, json.dumps({"url": url, "title": "Harbour budget passed", "publishedDateTime": "2025-04-12T09:00:00Z", **members}), None, []


def settle(space):
    space.wait_done("normalize", "raw")
    space.wait_done("related", "normalized")
    until(lambda: not any(linking.out_lengths(space)), 60, "the out sets are empty")
    settle_all(space)


@pytest.fixture
def world(new_namespace, workers):
    """Articles placed and published, one retracted, one loaded by its URL, one refused."""
    space = new_namespace(partitions=2).create_topics()
    for name in ("normalize", "related", "publish"):
        workers.start(name, space.config)
    items = [article(n, 1000 + n, title=title, quality=quality, publishedDateTime=AT.format(n)) for n, title, quality in FERRY + OTHERS]
    first = [item for item in items if item["id"] != ident(3)]  # the links of 3 are to all that came before it
    space.produce("normalized", [message(space, item) for item in [*first, article(6, 2000), retraction(6, 2001)]])
    space.produce("raw", [raw_event(URL), raw_event(REFUSED)])
    settle(space)
    space.produce("normalized", [message(space, items[2])])
    settle(space)
    return space


def explain(space, target, *args, code=0):
    done = tool("explain", "-c", space.config, target, *args, env={"COLUMNS": "160"})
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout


def document(space, target, code=0):
    return json.loads(explain(space, target, "--json", code=code))


def newest(space, number, name):
    """The last facet of that name: the message's content."""
    found = [json.loads(m.value) for m in space.read("facets") if m.key.decode() == ident(number)]
    return max((f for f in found if f["facet"] == name), key=lambda f: f["revision"])


def test_a_lead(world):
    lead = document(world, ident(2))
    told = newest(world, 2, "related")
    assert lead["state"] == "known"
    assert lead["article"]["title"] == FERRY[1][1]
    assert lead["article"]["qualityParts"] == [{"rule": "event", "points": 95}]
    assert (lead["article"]["revision"], lead["article"]["rules"]) == (1002, 1)
    assert lead["published"] == {"published": True, "reason": "lead", "minQuality": 70, "quality": 95,
                                 "recordRevision": lead["published"]["recordRevision"]}
    assert lead["heat"] == {"heat": 95, "reason": "no_facet_yet"}
    story = lead["story"]
    assert (story["id"], story["size"], story["lead"]["id"]) == (told["data"]["story"]["id"], 3, ident(2))
    assert (story["role"], story["why"], story["place"], story["next"]["id"]) == ("lead", "quality", 1, ident(1))
    assert [(link["id"], link["score"]) for link in lead["links"]] == \
        [(link["id"], pytest.approx(link["score"], abs=1e-4)) for link in told["data"]["links"]]
    made = {row["what"]: row for row in lead["made"]}
    assert made["related"]["revision"] == made["related"]["takenRevision"] == told["revision"]
    assert made["article"]["schema"] == "article/1" and made["record"]["worker"] == "publish"
    assert lead["deadLetters"] == [] and lead["notes"] == []
    text = explain(world, ident(2))
    for words in (FERRY[1][1], "+95  event", "yes: it leads, and quality 95 is not below publish.minQuality 70",
                  "there is no heat facet yet", f"story {story['id']}, 3 articles, this one is number 1",
                  "this article: quality 95, the next one has 80", FERRY[0][1], "shared: "):
        assert words in text, f"'{words}' is not in\n{text}"


def test_shared_terms_are_words_with_the_stored_weights(world):
    state = stories.load(world)
    found = document(world, ident(3))["links"]
    assert {link["id"] for link in found} == {ident(1), ident(2)} and all(link["sameStory"] for link in found)
    link = found[0]
    mine, other = state.vector[bytes.fromhex(ident(3))], state.vector[bytes.fromhex(link["id"])]
    assert {hashlib.sha256(term["term"].encode()).digest()[:8] for term in link["terms"]} == set(mine) & set(other)
    for term in link["terms"]:
        key = hashlib.sha256(term["term"].encode()).digest()[:8]
        assert term["weight"] == pytest.approx(mine[key], abs=1e-4)
        assert term["otherWeight"] == pytest.approx(other[key], abs=1e-4)
    assert {"ferri", "sonnblick"} <= {term["term"] for term in link["terms"]}


def test_a_member(world):
    member = document(world, ident(3))
    assert member["heat"] == {"heat": -1, "reason": "member"}
    assert (member["published"]["published"], member["published"]["reason"]) == (False, "member")
    story = member["story"]
    assert (story["role"], story["why"], story["lead"]["id"], story["place"]) == ("member", "quality", ident(2), 3)
    text = explain(world, ident(3))
    assert "because quality 60 is below 95 of the lead" in text
    assert "-1, because it is a member of a story" in text


def test_close_but_not_taken(world):
    near = document(world, ident(5))["near"]
    state = stories.load(world)
    mine = state.vector[bytes.fromhex(ident(5))]
    assert {row["id"] for row in near} == {ident(n) for n, _, _ in FERRY}
    for row in near:
        shared = set(mine) & set(state.vector[bytes.fromhex(row["id"])])
        assert row["sharedWeight"] == pytest.approx(sum(mine[key] for key in shared), abs=1e-3)
        assert [term["term"] for term in row["terms"]] == ["ostmark"]
        assert row["similarity"] < 0.2 and row["reasons"] == ["below_link", "below_join"]
        assert row["story"]["size"] == 3 and row["story"]["cosine"] < 0.25
    text = explain(world, ident(5))
    assert "close but not taken" in text and "below related.link 0.20" in text and "below related.merge 0.25" in text


def test_thresholds_are_those_of_the_workers(world):
    world.write_config(workers={"related": {"related": {"link": 0.33}}, "publish": {"publish": {"minQuality": 96}}})
    lead = document(world, ident(2))
    assert lead["thresholds"]["link"] == 0.33
    assert (lead["published"]["published"], lead["published"]["reason"]) == (False, "below_min_quality")


def test_a_heat_facet(world):
    parts = [{"rule": "quality", "points": 50}, {"rule": "related", "points": 7}]
    put_facets(world, facet(4, "heat", 5_000_000, {"heat": 57, "asOf": AT.format(9), "parts": parts, "next": AT.format(10)}))
    settle_all(world)
    heat = document(world, ident(4))["heat"]
    assert heat == {"heat": 57, "reason": "facet",
                    "facet": {"heat": 57, "asOf": AT.format(9), "parts": parts, "next": AT.format(10), "revision": 5_000_000}}
    assert "facet: 57 as of 2031-04-12T09:00:00Z, next at 2031-04-12T10:00:00Z" in explain(world, ident(4))


def test_by_url(world):
    found = document(world, URL.replace("https://www", "HTTPS://WWW") + "?utm_source=feed#top")
    assert found["id"] == hashlib.sha256(URL.encode()).hexdigest()[:32]
    assert found["article"]["webUrl"] == URL
    assert sum(part["points"] for part in found["article"]["qualityParts"]) == found["article"]["quality"]


def test_unknown(world):
    assert document(world, ident(99), code=3)["state"] == "unknown"
    assert "no article of it is known" in explain(world, ident(99), code=3)
    assert document(world, "https://nowhere.example/", code=3)["id"] == \
        hashlib.sha256(b"https://nowhere.example/").hexdigest()[:32]


def test_retracted(world):
    gone = document(world, ident(6))
    assert (gone["state"], gone["retracted"]["revision"]) == ("retracted", 2001)
    assert gone["published"]["reason"] == "retracted" and "article" not in gone and "story" not in gone
    assert f"{ident(6)} is retracted since revision 2001" in explain(world, ident(6))


def test_dead_letters(world):
    found = document(world, REFUSED)
    assert found["state"] == "dead" and "id" not in found
    (letter,) = found["deadLetters"]
    assert (letter["code"], letter["worker"]) == ("url_credentials", "normalize") and letter["message"]
    text = explain(world, REFUSED)
    assert "url_credentials of normalize" in text and "s3asonal" not in text


def test_a_dead_letter_of_a_known_article(world):
    world.produce("raw", [(URL, "{", None, [])])
    settle(world)
    found = document(world, URL)
    assert found["state"] == "known" and [letter["code"] for letter in found["deadLetters"]] == ["not_json"]


def test_what_workers_do_not_write_is_said_and_not_believed(world):
    with world.redis.client() as client:
        name, prefix = bytes.fromhex(ident(3)), f"{world.name}:{{rel}}:".encode()
        client.set(prefix + b"v:" + name, b"1" + b"x" * 13)
        client.set(prefix + b"l:" + name, b"y" * 5000)
        client.hset(f"{world.name}:record:{{{ident(3)}}}", "a", "12")
    found = document(world, ident(3))
    assert len(found["notes"]) == 3 and found["links"] == [] and found["near"] == []
    with world.redis.client() as client:
        client.hset(prefix + b"m:" + name, "s", b"short")
        client.hset(prefix + b"s:" + bytes.fromhex(document(world, ident(2))["story"]["id"]), "lead", b"?")
    assert "story" not in document(world, ident(3))
    assert "story" not in document(world, ident(2))
    with world.redis.client() as client:
        client.hset(prefix + b"m:" + bytes.fromhex(ident(4)), mapping={"t": 2**63 - 1, "q": -2**63})
    assert "story" not in document(world, ident(4))
    done = tool("stories", "-c", world.config)
    assert done.returncode == 0 and "1 story has not the form that related writes" in done.stderr


def test_a_key_of_another_type_ends_it(world):
    with world.redis.client() as client:
        client.delete(key := f"{world.name}:{{rel}}:v:".encode() + bytes.fromhex(ident(3)))
        client.rpush(key, "x")
    done = tool("explain", "-c", world.config, ident(3))
    assert (done.returncode, done.stdout) == (1, "") and "WRONGTYPE" in done.stderr


def test_redis_or_kafka_away(world):
    assert tool("explain", "-c", world.config, ident(2), "--set", "redis.url=redis://127.0.0.1:1/0").returncode == 1
    assert tool("stories", "-c", world.config, "--set", "redis.url=redis://127.0.0.1:1/0").returncode == 1
    done = tool("explain", "-c", world.config, ident(2), "--set", "kafka.brokers=127.0.0.1:1")
    assert done.returncode == 1 and "kafka.brokers: 127.0.0.1:1" in done.stderr


def test_usage(world):
    assert explain(world, "no-url", code=2) == ""
    assert tool("explain", "-c", world.config).returncode == 2
    assert tool("stories", "-c", world.config, "--hot", "--new").returncode == 2


def test_far_back_on_its_stream(new_namespace):
    """Behind more messages than are read at first; nobody has put it into Redis."""
    space = new_namespace(partitions=1).create_topics()
    space.produce("normalized", [message(space, article(1, 1000, title="Ferry aground")), message(space, article(1, 900))])
    space.produce("normalized", [message(space, article(n, 1000)) for n in range(2, 21000)])
    found = document(space, ident(1))
    assert (found["article"]["title"], found["article"]["from"]) == ("Ferry aground", "stream")
    assert found["published"]["reason"] == "no_record" and "story" not in found
    assert document(space, ident(30000), code=3)["state"] == "unknown"


# ---- stories

def rows(space, *args):
    done = tool("stories", "-c", space.config, "--format", "json", *args, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_stories_are_those_of_redis(world):
    state = stories.load(world)
    found = rows(world)
    assert {row["id"]: row["size"] for row in found} == {name.hex(): int(f[b"n"]) for name, f in state.story.items()}
    assert {row["lead"] for row in found} == {f[b"lead"].hex() for f in state.story.values()}
    assert (found[0]["lead"], found[0]["quality"], found[0]["title"]) == (ident(2), 95, FERRY[1][1])  # 95 and 2 * 10
    assert "heat" not in found[0]
    put_facets(world, facet(4, "heat", 5_000_000, {"heat": 900, "asOf": AT.format(9), "parts": []}))
    settle_all(world)
    first, second = rows(world, "--limit", "2")
    assert (first["lead"], first["heat"], second["lead"]) == (ident(4), 900, ident(2))
    newest_first = [row["last"] for row in rows(world, "--new")]
    assert newest_first == sorted(newest_first, reverse=True) and len(newest_first) == len(found)
    lines = tool("stories", "-c", world.config, check=True, env={"COLUMNS": "160"}).stdout.splitlines()
    assert lines[0].split() == ["size", "heat", "quality", "age", "title", "story"]
    assert lines[1].split()[:3] == ["1", "900", "50"] and OTHERS[0][1] in lines[1]


def test_many_stories_and_none(new_namespace):
    space = new_namespace()
    assert rows(space) == []
    with space.redis.client() as client, client.pipeline() as pipe:
        for n in range(3000):
            key = f"{space.name}:{{rel}}:s:".encode() + n.to_bytes(16, "big")
            if n % 3:
                pipe.hset(key, mapping={"n": 1 + n % 7, "first": n, "last": n, "lead": n.to_bytes(16, "big")})
            else:
                pipe.hset(key, "into", b"0" * 16)  # merged
        pipe.execute()
    assert [row["id"] for row in rows(space, "--new", "--limit", "100")] == [ident(n) for n in range(2999, 0, -1) if n % 3][:100]
