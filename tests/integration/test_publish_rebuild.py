"""Redis lost everything that publish knew, and the option file says `runtime.onStateLoss: rebuild`: at rest the stream of
records says what it said before, and until then nobody who reads it sees anything but an old or a new record.

Due looks of a rebuild come ten seconds apart, so each of these tests takes about that long.
"""

import json

import pytest

from support.articles import article, log_lines, put_articles, read, refused, retraction, revision_of, stop, wait_log
from support.facets import cached, facet, heat, put_facets, rest, story
from support.waiting import until

PLAIN = range(100, 140)
IMAGE = "https://cdn.harbour-gazette.example/a.jpg"


@pytest.fixture
def ns(new_namespace):
    return new_namespace(partitions=4, options={"runtime": {"onStateLoss": "rebuild"}}).create_topics()


def fill(ns):
    """Stories, facets, updates and retractions, each in two rounds so that the streams hold more than the last word."""
    picture = [{"url": IMAGE, "width": 1200, "height": 630}]
    put_articles(ns, *[article(n, 1000, title=f"First {n}") for n in (*range(1, 16), *PLAIN)])
    put_facets(ns, facet(1, "related", 10, story(1, 2)), facet(2, "related", 10, story(1)),
               facet(5, "related", 10, story(5, 6)), facet(6, "related", 10, story(5)),
               facet(7, "heat", 10, heat(90)), facet(14, "related", 10, story(14, 15)),
               facet(15, "related", 10, story(14)), facet(9, "heat", 10, heat(88)))
    rest(ns)
    put_articles(ns, article(2, 1001, title="Second 2", quality=80), article(3, 1001, quality=95),
                 article(8, 1001, quality=50), article(9, 1001, images=picture), retraction(10, 1001),
                 retraction(11, 1001), retraction(12, 1001), retraction(15, 1001),
                 *[article(n, 1001, title=f"Second {n}") for n in PLAIN])
    put_facets(ns, facet(1, "related", 11, story(1, 2, 3, 4)), facet(3, "related", 10, story(1)),
               facet(5, "related", 11, story(6)), facet(6, "related", 11, story(6, 5)), facet(7, "heat", 11, heat(126)),
               facet(8, "heat", 10, heat(99)), facet(9, "images", 10, {"images": [cached(IMAGE)]}),
               facet(12, "related", 10, story(13, 12)), facet(12, "related", 11, None), facet(12, "heat", 10, None))
    rest(ns)
    put_articles(ns, article(11, 1002, title="again"), article(4, 1001, title="Second 4", quality=70))
    rest(ns)


def value_of(message):
    return json.loads(message.value)


def body(record):
    """A record without its revision; None for a tombstone."""
    return record.value and {k: v for k, v in json.loads(record.value).items() if k != "revision"}


def last(records):
    """{number: body} of the last record of each id by offset, which must be the one with the greatest revision."""
    kept = {}
    for record in records:
        kept[record.key] = record
    newest = {key: max(revision_of(record) for record in records if record.key == key) for key in kept}
    assert {key: revision_of(record) for key, record in kept.items()} == newest
    return {int(key, 16): body(record) for key, record in kept.items()}


def is_as_meant(records):
    """What fill() leaves behind, so that two equal outcomes are not two equally wrong ones."""
    assert [(m["title"], m["quality"]) for m in records[1]["related"]] == [
        ("Article 3", 95), ("Second 2", 80), ("Second 4", 70)]
    assert not records[2]["published"] and records[2]["heat"] == -1
    assert [m["title"] for m in records[6]["related"]] == ["First 5"] and "related" not in records[5]
    assert records[7]["heat"] == 126 and records[8]["heat"] == 99 and records[9]["images"][0]["isCached"]
    assert sorted(n for n, record in records.items() if record is None) == [10, 12, 15]
    assert records[11]["title"] == "again" and "related" not in records[14]


def rebuilt(ns, redis):
    """Until no record waits for anything any more."""
    rest(ns)

    def waiting():
        with redis.client() as client:
            return [key for key in client.scan_iter(f"{ns.name}:record:*", count=1000) if client.hexists(key, "back")]
    until(lambda: not waiting(), 60, lambda: f"still waiting: {waiting()}", every_s=0.2)
    rest(ns)


def check(ns, redis, workers, seen, before):
    """seen: ends of the records before the loss; before: the last records then. Returns the last records now."""
    rebuilt(ns, redis)
    records = read(ns, "records")
    after = last(records)
    flashes = [(r.partition, r.offset, int(r.key, 16), body(r)) for r in records
               if r.offset >= seen[r.partition] and body(r) not in (before.get(int(r.key, 16)), after[int(r.key, 16)])]
    assert flashes == []
    for worker in workers.living:
        stop(worker)
    return after


def flush(redis):
    with redis.client() as client:
        client.flushall()


def start_empty(redis):
    redis.lose_everything()


def test_restarted_workers_make_the_state_anew_and_say_nothing_new(ns, workers, redis):
    fleet = [workers.start("publish", ns.config) for _ in range(2)]
    fill(ns)
    for worker in fleet:
        stop(worker)
    seen, before = ns.ends("records"), last(read(ns, "records"))
    is_as_meant(before)
    redis.lose_everything()
    fleet = [workers.start("publish", ns.config) for _ in range(2)]
    until(lambda: sum(len(log_lines(worker, "state.lost")) for worker in fleet) >= 8, 20, "all partitions are lost")
    assert check(ns, redis, workers, seen, before) == before


@pytest.mark.parametrize("lose", [flush, start_empty])
def test_working_workers_notice_and_make_the_state_anew(ns, workers, redis, lose):
    fleet = [workers.start("publish", ns.config) for _ in range(2)]
    fill(ns)
    seen, before = ns.ends("records"), last(read(ns, "records"))
    is_as_meant(before)
    lose(redis)
    until(lambda: sum(len(log_lines(worker, "state.lost")) for worker in fleet) >= 8, 20,
          "both workers notice, although nothing comes")
    assert check(ns, redis, workers, seen, before) == before


def test_what_comes_during_a_rebuild_is_in_it(ns, workers, redis):
    fleet = [workers.start("publish", ns.config) for _ in range(2)]
    fill(ns)
    seen, before = ns.ends("records"), last(read(ns, "records"))
    flush(redis)
    put_articles(ns, article(1, 1001, title="Third 1"), article(3, 1002, title="Third 3", quality=95),
                 article(7, 1001, title="Third 7"), retraction(13, 1001), article(200, 1000), retraction(201, 1000),
                 *[article(n, 1001, title=f"Second {n}") for n in PLAIN])
    put_facets(ns, facet(8, "heat", 11, heat(98)))
    after = check(ns, redis, workers, seen, before)
    assert all(log_lines(worker, "state.lost") for worker in fleet)
    assert {n for n in after if after[n] != before.get(n, 0)} == {1, 3, 7, 8, 13, 200, 201}
    assert (after[1]["title"], after[1]["related"][0]["title"]) == ("Third 1", "Third 3")
    assert after[7]["heat"] == 126 and after[8]["heat"] == 98 and after[13] is None


def test_worker_that_comes_late_to_a_rebuild_is_waited_for(ns, workers, redis):
    """Half of the members belong to a worker that stands still: no lead is sent without them."""
    fleet = [workers.start("publish", ns.config) for _ in range(2)]
    fill(ns)
    seen, before = ns.ends("records"), last(read(ns, "records"))
    fleet[1].pause()
    flush(redis)
    put_articles(ns, *[article(n, 1001, title=f"Second {n}") for n in PLAIN])
    wait_log(fleet[0], "state.lost", least=4)
    wait_log(fleet[0], "state.rebuild", least=2)
    # until the other one's session is over, or what it left is done
    until(lambda: not ns.lag("publish", "normalized"), 30, "somebody reads it all")
    fleet[1].resume()
    assert check(ns, redis, workers, seen, before) == before


def test_worker_killed_in_a_rebuild_begins_it_anew(ns, workers, redis):
    worker = workers.start("publish", ns.config)
    fill(ns)
    seen, before = ns.ends("records"), last(read(ns, "records"))
    worker.kill()
    flush(redis)
    for event in ("state.lost", "state.rebuild", "group.assigned"):
        worker = workers.start("publish", ns.config, "--set", "runtime.batchItems=2")
        wait_log(worker, event, timeout_s=30)
        worker.kill()
    workers.start("publish", ns.config)
    assert check(ns, redis, workers, seen, before) == before


def raw(number, minute, **members):
    """An event of one URL; its versions are ordered by the minute."""
    url = f"https://ostmark-post.example/news/{number}"
    return url, json.dumps({"url": url, "modifiedDateTime": f"2026-01-12T07:{minute:02}:00Z",
                            **({"title": f"{number} at {minute}"} | members)})


@pytest.mark.parametrize("restarted", [False, True])
def test_both_workers_make_their_state_anew(ns, workers, redis, restarted):
    """normalize tells each version again, the newest last, so old news may be seen in between; never less than that."""
    fleet = [workers.start(name, ns.config) for name in ("normalize", "publish")]
    ns.produce("raw", [raw(n, minute) for minute in (10, 20) for n in range(1, 20)])
    ns.produce("raw", [raw(1, 30, retracted=True), raw(2, 30, retracted=True), raw(3, 5), raw(4, 20)])
    ns.produce("raw", [raw(2, 40)])
    ns.wait_done("normalize", "raw")
    rest(ns)
    articles = {a["webUrl"].rsplit("/", 1)[1]: a for a in map(value_of, read(ns, "normalized")) if "webUrl" in a}
    number = {int(n): int(a["id"], 16) for n, a in articles.items()}
    put_facets(ns, facet(number[5], "related", 10, story(number[5], number[6])),
               facet(number[6], "related", 10, story(number[5])), facet(number[7], "heat", 10, heat(126)))
    rest(ns)
    seen, before = ns.ends("records"), last(read(ns, "records"))
    assert before[number[1]] is None and before[number[2]]["title"] == "2 at 40" and before[number[5]]["related"]
    if restarted:
        for worker in fleet:
            stop(worker)
    flush(redis)
    if restarted:
        fleet = [workers.start(name, ns.config) for name in ("normalize", "publish")]
    for worker in fleet:
        wait_log(worker, "state.lost")
    ns.wait_done("normalize", "raw")
    rebuilt(ns, redis)
    records = read(ns, "records")
    assert last(records) == before
    for record in [r for r in records if r.offset >= seen[r.partition]]:
        now, then = body(record), before[int(record.key, 16)]
        if then is None or now is None:
            assert int(record.key, 16) in (number[1], number[2])
        else:
            assert [now.get(name) for name in ("story", "heat", "published")] == [
                then.get(name) for name in ("story", "heat", "published")]
            assert len(now.get("related", [])) == len(then.get("related", []))
    for worker in fleet:
        stop(worker)


def test_without_rebuild_one_sentence_says_what_to_do(new_namespace, workers, redis):
    ns = new_namespace(partitions=1).create_topics()
    worker = workers.start("publish", ns.config)
    put_articles(ns, article(1, 1000))
    rest(ns)
    flush(redis)
    for each in (worker, None):
        text = refused(each or workers.start("publish", ns.config), "state is gone", "Restore it",
                       "runtime.onStateLoss: rebuild", "fresh namespace")
        assert "\n" not in text
    assert len(read(ns, "records")) == 1
