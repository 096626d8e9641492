"""publish on real servers: what makes a new record and what does not, tombstones, late senders, and dead letters."""

import hashlib
import json

import pytest

from support.articles import (article, count, ident, latest, log_lines, message, put, put_articles, put_many, read,
                              retraction, revision_of, stop, titles, wait_count)
from support.facets import cached, facet, heat, put_facets, settle_all, story
from support.waiting import until


@pytest.fixture
def one(new_namespace):
    """A namespace with a single partition, so that everything has one order."""
    return new_namespace(partitions=1).create_topics()


def settle(ns):
    ns.wait_done("publish", "normalized")


def records(ns):
    """[(number, title or None)] in the order of the stream."""
    return [(int(r.key, 16), r.value and json.loads(r.value)["title"]) for r in read(ns, "records")]


# ---- what makes a record

def test_equal_article_sent_again_makes_no_new_record(one, workers):
    worker = workers.start("publish", one.config)
    for _ in range(3):
        put_articles(one, article(1, 1000))
        settle(one)
    assert count(one, "records") == 1
    put_articles(one, article(1, 1001))  # a newer version that looks the same, revision aside
    settle(one)
    put_articles(one, article(1, 1002, sourceTime=5, rules=2, qualityParts=[]))  # what readers never see
    settle(one)
    assert count(one, "records") == 1
    put_articles(one, article(1, 1003, quality=87))
    settle(one)
    assert count(one, "records") == 2
    stop(worker)


def test_equal_articles_in_one_batch_make_one_record(one, workers):
    put_articles(one, *[article(1, 1000)] * 50)
    worker = workers.start("publish", one.config)
    settle(one)
    assert count(one, "records") == 1
    stop(worker)


@pytest.mark.parametrize("batch_items", [500, 1])
def test_a_b_a_ends_with_a(one, workers, batch_items):
    put_articles(one, article(1, 1000, title="A"), article(1, 1001, title="B"), article(1, 1002, title="A"))
    worker = workers.start("publish", one.config, "--set", f"runtime.batchItems={batch_items}")
    settle(one)
    assert records(one)[-1] == (1, "A")
    assert titles(one) == {1: "A"}
    put_articles(one, article(1, 1003, title="B"))
    settle(one)
    put_articles(one, article(1, 1004, title="A"))
    settle(one)
    assert titles(one) == {1: "A"}
    found = [title for _, title in records(one)]
    assert found[-3:] == ["A", "B", "A"]
    revisions = [revision_of(record) for record in read(one, "records")]
    assert revisions == sorted(set(revisions))
    stop(worker)


def test_a_b_a_where_a_was_sent_before(one, workers):
    """The mark of the first A must not suppress the second."""
    worker = workers.start("publish", one.config)
    put_articles(one, article(1, 1000, title="A"))
    settle(one)
    put_articles(one, article(1, 1001, title="B"), article(1, 1002, title="A"))
    settle(one)
    put_articles(one, article(1, 1003, title="B"))
    settle(one)
    assert titles(one) == {1: "B"}
    stop(worker)


def test_older_revision_arriving_late_is_ignored(one, workers):
    worker = workers.start("publish", one.config)
    put_articles(one, article(1, 2000, title="new"))
    settle(one)
    put_articles(one, article(1, 1999, title="old"))
    settle(one)
    assert records(one) == [(1, "new")]
    put_articles(one, article(2, 1001, title="old"), article(2, 1003, title="new"), article(2, 1002, title="between"))
    settle(one)
    assert titles(one) == {1: "new", 2: "new"}
    stop(worker)


def test_tombstone_and_what_comes_after_it(one, workers):
    worker = workers.start("publish", one.config)
    put_articles(one, article(1, 1000))
    settle(one)
    put_articles(one, retraction(1, 2000))
    settle(one)
    last = read(one, "records")[-1]
    assert last.value is None and last.key.decode() == ident(1)
    assert set(last.headers) == {"nm-schema", "nm-ns", "nm-revision"}
    put_articles(one, article(1, 1999, title="older"), retraction(1, 2000))
    settle(one)
    assert count(one, "records") == 2
    put_articles(one, article(1, 2001, title="published again"))
    settle(one)
    assert titles(one) == {1: "published again"}
    stop(worker)


def test_retraction_of_an_unknown_article_keeps_an_older_version_out(one, workers):
    worker = workers.start("publish", one.config)
    put_articles(one, retraction(1, 2000))
    settle(one)
    put_articles(one, article(1, 1000))
    settle(one)
    assert titles(one) == {1: None}
    stop(worker)


def test_changed_option_makes_a_newer_record_of_the_same_article(one, workers):
    worker = workers.start("publish", one.config)
    put_articles(one, article(1, 1000, quality=75))
    settle(one)
    stop(worker)
    worker = workers.start("publish", one.config, "--set", "publish.minQuality=80")
    put_articles(one, article(1, 1000, quality=75))  # the same again, as a replay brings it
    settle(one)
    values = [json.loads(record.value) for record in read(one, "records")]
    assert [value["published"] for value in values] == [True, False]
    assert values[0]["revision"] < values[1]["revision"]
    stop(worker)


# ---- facets, leads and members

def newest(ns):
    """{number: the newest record, None for a tombstone}"""
    return {int(key, 16): record.value and json.loads(record.value) for key, record in latest(ns).items()}


@pytest.mark.parametrize("facets_first", [False, True])
def test_facets_are_merged_in_any_order(one, workers, facets_first):
    image = cached("https://cdn.harbour-gazette.example/a.jpg")
    facets = [facet(1, "heat", 10, heat(126)), facet(1, "heat", 9, heat(5)),
              facet(1, "related", 10, story(1)), facet(1, "images", 10, {"images": [image]})]
    item = article(1, 1000, images=[{"url": image["url"], "width": 1200, "height": 630}])
    worker = workers.start("publish", one.config)
    for step in (True, False) if facets_first else (False, True):
        if step:
            put_facets(one, *facets)
        else:
            put_articles(one, item)
        settle_all(one)
    record = newest(one)[1]
    assert record["heat"] == 126 and record["published"] and record["story"]["lead"] == ident(1)
    assert record["images"] == [{"url": image["url"], "width": 640, "height": 480, "isCached": True}]
    assert "related" not in record
    stop(worker)


def test_lead_shows_its_members_as_they_are(new_namespace, workers):
    """Members of other partitions than their lead's: what changes there reaches it as a touch."""
    ns = new_namespace(partitions=4).create_topics()
    fleet = [workers.start("publish", ns.config) for _ in range(2)]
    put_articles(ns, article(1, 1000, quality=90), article(2, 1000, quality=70), article(3, 1000, quality=80))
    put_facets(ns, facet(1, "related", 10, story(1, 2, 3, 4)), facet(2, "related", 10, story(1)),
               facet(3, "related", 10, story(1)))
    settle_all(ns)

    def shown():
        records = newest(ns)
        return [(m["title"], m["quality"]) for m in records[1].get("related", [])]

    until(lambda: shown() == [("Article 3", 80), ("Article 2", 70)], 20, lambda: f"members by quality, not {shown()}")
    records = newest(ns)
    assert not records[2]["published"] and records[2]["heat"] == -1 and "related" not in records[2]
    put_articles(ns, article(2, 1001, quality=85, title="better"), article(4, 1000, title="late"),
                 retraction(3, 1001))
    until(lambda: shown() == [("late", 86), ("better", 85)], 20, lambda: f"the change of members, not {shown()}")
    for worker in fleet:
        stop(worker)
    touches = [message for message in read(ns, "facets") if json.loads(message.value)["facet"] == "touch"]
    assert touches and all("nm-revision" not in message.headers for message in touches)


BAD_FACETS = [
    (ident(1), b"{no json", "not_json"),
    (ident(1), b"[]", "not_object"),
    (ident(1), b"{}", "wrong_type"),
    (ident(2), facet(1, "heat", 10, {"heat": 1})[1].encode(), "wrong_type"),
    (ident(1), facet(1, "mood", 10, {})[1].encode(), "wrong_type"),
    (ident(1), facet(1, "heat", 10, {"heat": "1"})[1].encode(), "wrong_type"),
    (ident(1), facet(1, "related", 10, {})[1].encode(), "wrong_type"),
    (ident(1), facet(1, "images", 10, {"images": [{"url": "u"}] * 257})[1].encode(), "too_many"),
]


def test_bad_facets_become_dead_letters_and_the_partition_goes_on(one, workers):
    put_articles(one, article(1, 1000))
    put_facets(one, *[(key, value) for key, value, _ in BAD_FACETS], check=False)
    put_facets(one, facet(1, "heat", 10, heat(7)))
    worker = workers.start("publish", one.config)
    settle_all(one)
    assert newest(one)[1]["heat"] == 7
    letters = read(one, "dead")
    assert [letter.headers["nm-code"].decode() for letter in letters] == [code for _, _, code in BAD_FACETS]
    assert all(letter.headers["nm-stream"].decode() == one.topic["facets"] for letter in letters)
    stop(worker)


MEDDLE = """
for i, key in ipairs(KEYS) do
  local rev, sent = unpack(redis.call('HMGET', key, 'rev', 'sent'))
  if rev and not sent and redis.call('HINCRBY', key, 'meddled', 1) <= 3 then
    redis.call('HSET', key, 'rev', string.format('%.0f', tonumber(rev) + 1), 'by', 'ffffffffffffffff' .. rev)
  end
end
"""


def test_revision_that_moves_before_the_report_makes_the_present_state_go_out(one, workers, redis):
    """As when two owners overlap: what was sent is old news at its report, so the state of then is sent again."""
    numbers = range(1500)
    keys = [f"{one.name}:record:{{{ident(n)}}}" for n in numbers]
    put_many(one, numbers, 1000)
    worker = workers.start("publish", one.config, "--set", "runtime.batchItems=1500")
    with redis.client() as client:
        meddle = client.register_script(MEDDLE)
        wm_key = f"{one.name}:wm:{one.group('publish')}:{one.topic['normalized']}:0"

        def done():
            meddle(keys)
            return (client.get(wm_key) or b"").startswith(b"1500 ")

        until(done, 30, "all is done", every_s=0)
        states = [client.hgetall(key) for key in keys]
    assert [state for state in states if int(state.get(b"meddled", 0)) > 1], "no revision moved in time"
    kept = latest(one)
    for number, state in zip(numbers, states):
        assert state[b"sent"] and state[b"rev"] == state[b"srev"]
        assert revision_of(kept[ident(number)]) == int(state[b"rev"])
    stop(worker)


# ---- dead letters

REASON = {"nm-schema", "nm-ns", "nm-code", "nm-message", "nm-worker", "nm-version", "nm-stream", "nm-partition",
          "nm-offset", "nm-timestamp", "nm-attempts"}

UNREADABLE = [
    (b"{no json", "not_json"),
    (b"", "not_json"),
    (None, "not_json"),
    (b"\xff\xfe", "not_json"),
    (b"[1,2]", "not_object"),
    (b"7", "not_object"),
    (b"{}", "wrong_type"),
    (json.dumps({**article(1, 1000), "id": "xyz"}).encode(), "wrong_type"),
    (json.dumps({**article(1, 1000), "revision": "5"}).encode(), "wrong_type"),
    (json.dumps({**article(1, 1000), "revision": 0}).encode(), "wrong_type"),
    (json.dumps({**article(1, 1000), "revision": 2 ** 53}).encode(), "wrong_type"),
    (json.dumps({**article(1, 1000), "sourceTime": -1}).encode(), "wrong_type"),
    (json.dumps({**article(1, 1000), "images": ["x"]}).encode(), "wrong_type"),
    (json.dumps({**article(1, 1000), "retracted": 1}).encode(), "wrong_type"),
    (b"[" * 100000, "not_json"),
]


def test_unreadable_articles_become_dead_letters_and_the_partition_goes_on(one, workers):
    headers = [("nm-schema", "article/1"), ("nm-ns", one.name), ("nm-revision", "77"), ("traceparent", b"00-ab-01"),
               ("twice", b"1"), ("twice", b"2"), ("binary", b"\x00\xff")]
    put(one, "normalized", [(f"key {i}", value, 1_700_000_000_000 + i, headers)
                               for i, (value, _) in enumerate(UNREADABLE)] + [(None, b"no key")])
    put_articles(one, article(5, 1000))
    worker = workers.start("publish", one.config)
    settle(one)
    assert titles(one) == {5: "Article 5"}
    letters = read(one, "dead", raw=True)
    assert len(letters) == len(UNREADABLE) + 1
    for i, (value, code) in enumerate(UNREADABLE):
        letter = letters[i]
        received = letter.headers()
        assert (letter.key(), letter.value()) == (f"key {i}".encode(), value)
        assert [pair for pair in received if not pair[0].startswith("nm-")] == headers_of(headers)
        named = {name: text.decode() for name, text in received if name.startswith("nm-")}
        assert set(named) - {"nm-id", "nm-revision"} == REASON
        assert len([name for name, _ in received if name.startswith("nm-")]) == len(named)
        assert named["nm-code"] == code and named["nm-schema"] == "dead/1" and named["nm-ns"] == one.name
        assert named["nm-worker"] == "publish" and named["nm-version"]
        assert named["nm-stream"] == one.topic["normalized"]
        assert (named["nm-partition"], named["nm-offset"]) == ("0", str(i))
        assert named["nm-timestamp"] == str(1_700_000_000_000 + i) and named["nm-attempts"] == "1"
        message_text = named["nm-message"]
        assert 0 < len(message_text) <= 300 and message_text.isprintable()
    assert letters[-1].key() is None and letters[-1].value() == b"no key"
    stop(worker)


def headers_of(pairs):
    return [(name, value.encode() if isinstance(value, str) else value) for name, value in pairs
            if not name.startswith("nm-")]


def test_dead_letters_alone_are_delivered_after_a_long_idle_time(one, workers):
    """Such a batch asks Redis for nothing; it must not be taken for a process that stood still."""
    worker = workers.start("publish", one.config)
    put_articles(one, article(1, 1000))
    settle(one)
    quiet_s = 3.5  # more than half of the session timeout of 6 s
    started = float(next(open("/proc/uptime", encoding="ascii")).split()[0])
    until(lambda: float(next(open("/proc/uptime", encoding="ascii")).split()[0]) - started > quiet_s, 10, "time passes")
    put(one, "normalized", [("x", b"{no json")])
    wait_count(one, "dead", 1, timeout_s=5)
    settle(one)
    assert not log_lines(worker, "retry")
    stop(worker)


def test_dead_letters_are_not_sent_again_after_a_drain(one, workers):
    put(one, "normalized", [("x", b"{no json")] * 30)
    worker = workers.start("publish", one.config)
    settle(one)
    stop(worker)
    worker = workers.start("publish", one.config)
    put_articles(one, article(1, 1000))
    settle(one)
    stop(worker)
    assert count(one, "dead") == 30


def padded(number, revision, n_bytes, **members):
    """An article of exactly n_bytes on the wire."""
    text = json.dumps(article(number, revision, title="", **members), separators=(",", ":"))
    return article(number, revision, title="t" * (n_bytes - len(text)), **members)


def put_large(ns, *messages):
    producer = ns.producer(**{"message.max.bytes": 4000000})
    for key, value, _, headers in messages:
        producer.produce(ns.topic["normalized"], value, key, headers=headers)
        assert producer.flush(30) == 0


def test_largest_messages_pass_or_become_dead_letters(one, workers, redis):
    """Neither an unreadable value nor a record that grew beyond the stream's limit stops the worker."""
    limit = 2097152
    room = limit - 400  # what the stream takes of a value, with its key and headers
    broken = b"{" + b"x" * (room - 1)
    grows = padded(2, 1000, room, images=[{"url": "u"}] * 16)  # each image gets a member more in the record
    put_large(one, ("broken", broken, None, [("traceparent", b"00-ab-01")] * 5),
              message(one, padded(1, 1000, limit - 8192)), message(one, grows),
              ("headers", b"{}", None, [("large", b"h" * 500000)] * 4))
    put_articles(one, article(3, 1000))
    worker = workers.start("publish", one.config)
    settle(one)
    assert set(titles(one, check=False)) == {1, 3}  # a title of 2 MB, which normalize would not write
    letters = {letter.headers["nm-offset"]: letter for letter in read(one, "dead")}
    assert sorted(letters) == [b"0", b"2", b"3"]
    assert letters[b"3"].headers["nm-code"] == b"wrong_type" and letters[b"3"].value == b"{}"
    sent = json.dumps(grows, separators=(",", ":")).encode()
    for offset, code, value in ((b"0", b"not_json", broken), (b"2", b"too_big", sent)):
        letter = letters[offset]
        assert letter.headers["nm-code"] == code
        if letter.value != value:
            assert letter.value == value[:65536]
            assert letter.headers["nm-value-bytes"] == str(len(value)).encode()
            assert letter.headers["nm-value-sha256"] == hashlib.sha256(value).hexdigest().encode()
    stop(worker)


def test_record_that_was_too_big_to_send_has_no_mark(one, workers, redis):
    worker = workers.start("publish", one.config, "--set", "streams.records.maxMessageBytes=5000")
    item = article(1, 1000, excerpt="e" * 4000)
    put_articles(one, item, article(2, 1000))
    settle(one)
    assert titles(one) == {2: "Article 2"}
    assert read(one, "dead")[0].headers["nm-code"] == b"too_big"
    with redis.client() as client:
        assert client.hget(f"{one.name}:record:{{{ident(1)}}}", "sent") is None
    stop(worker)
    worker = workers.start("publish", one.config)  # with the usual limit
    put_articles(one, item)
    settle(one)
    assert sorted(titles(one)) == [1, 2]
    stop(worker)


def test_many_ids_many_rounds_end_with_the_newest(new_namespace, workers):
    ns = new_namespace(partitions=4).create_topics()
    worker = workers.start("publish", ns.config, "--set", "runtime.batchItems=97")
    for revision in (1003, 1001, 1004, 1002, 1005, 1000):
        put_many(ns, range(500), revision, title=f"title {revision}")
    settle(ns)
    assert set(titles(ns).values()) == {"title 1005"}
    per_id = {}
    for record in read(ns, "records"):
        per_id.setdefault(record.key, []).append(revision_of(record))
    assert len(per_id) == 500 and all(revs == sorted(set(revs)) for revs in per_id.values())
    stop(worker)
