"""images on real servers: what articles ask for and what their facets say, apart from hostile hosts: new versions, old ones,
retractions, articles without images; and what the worker does when a server goes away or forgets, and when it is to stop."""

import contextlib
import json
import threading

import pytest

from support import pictures
from support.articles import article, ident, latest, put_articles, refused, wait_ready
from support.image_host import held, reply
from support.images import outcome
from support.waiting import until

GOOD = reply(pictures.png(), type="image/png")


def many_pictures(x):
    """Another picture for each path."""
    n = int(x.request.path.rpartition("/")[2])
    return reply(pictures.png(20 + n, 30))(x)


@pytest.fixture
def rig(new_rig):
    one = new_rig()
    one.host.other = GOOD
    return one


def test_facets_of_one_article(rig):
    """None, one, others, none again; a picture twice; an older version; and away with it."""
    rig.start()
    rig.send({"a": []})
    rig.facets.wait(lambda: rig.facets.last(rig.number("a")), 20, "a facet")
    assert rig.facets.last(rig.number("a"))["data"] == {"images": []}
    one, two = rig.url("/one"), rig.url("/two")
    rig.send({"a": one})
    rig.wait_cached("a")
    assert rig.history("a") == [[], ["pending"], ["cached"]]
    rig.send({"a": [two, one, two]})
    rig.wait_images("a", lambda images: len(images) == 3 and all(i["state"] == "cached" for i in images))
    assert [image["url"] for image in rig.images("a")] == [two, one, two]
    assert rig.history("a")[3] == ["pending", "cached", "pending"]
    assert rig.host.count("/one") == rig.host.count("/two") == 1
    put_articles(rig.ns, article(rig.number("a"), 5, images=[{"url": rig.url("/old")}]))  # an older version
    rig.send({"a": []})
    rig.wait_images("a", lambda images: images == [])
    assert rig.host.count("/old") == 0
    rig.send({"a": one})
    rig.wait_cached("a")
    rig.retract("a")
    rig.facets.wait(lambda: rig.facets.last(rig.number("a"))["data"] is None, 20, "a tombstone")
    with rig.ns.redis.client() as client:
        assert client.smembers(f"{rig.ns.name}:img:users:{{{rig.sha256(one.encode())}}}") == set()
    revisions = [facet["revision"] for facet in rig.facets.all[ident(rig.number("a"))]]
    assert revisions == sorted(revisions)


def article_state(rig, case):
    """{article's fields}, and the score of its due entry: odd once it is claimed; None where there is none."""
    with rig.ns.redis.client(decode_responses=True) as client:
        scores = [client.zscore(f"{rig.ns.name}:due:images:{p}", ident(rig.number(case))) for p in range(rig.ns.partitions)]
        return client.hgetall(f"{rig.ns.name}:img:a:{{{ident(rig.number(case))}}}"), next((s for s in scores if s is not None), None)


@contextlib.contextmanager
def claimed_before_its_report(rig, worker, case, urls):
    """The article's first facet is made and its due entry claimed, while no report of anything can come: the event is taken while Redis stands
    still, and Kafka stands still before Redis goes on."""
    rig.ns.wait_done("images", "normalized")
    until(lambda: rig.metrics(worker)["newsmill_in_flight_items"] == 0, 20, "nothing that came before is counted any more")
    with contextlib.ExitStack() as stack:
        with rig.ns.redis.stopped():
            rig.send({case: urls})
            until(lambda: rig.metrics(worker)["newsmill_in_flight_items"] >= 1, 20, "the event is taken")
            stack.enter_context(rig.ns.kafka.stopped())
        fields, _ = until(lambda: (state := article_state(rig, case))[1] and state[1] % 2 == 1 and state, 20, "it is claimed")
        assert "frev" in fields and "sent" not in fields
        yield


def test_a_facet_whose_report_is_outstanding_is_not_sent_again(rig):
    go = threading.Event()
    rig.host.other = held(go, GOOD)
    worker = rig.start()
    rig.send({"first": []})
    rig.facets.wait(lambda: rig.history("first"), 20, "it works")
    with claimed_before_its_report(rig, worker, "a", rig.url("/one")):
        pass
    rig.facets.wait(lambda: rig.host.count("/one") == 1 and "sent" in article_state(rig, "a")[0], 20, "it was reported, and its picture is asked for")
    go.set()
    rig.wait_cached("a")
    assert rig.history("a") == [["pending"], ["cached"]]


def test_a_facet_is_not_lost_with_who_did_not_see_its_report(new_rig):
    """Killed with the report outstanding, and whoever comes next has nothing but the state and the event."""
    # The next one waits for the session's end; half of it is how old an answer of Redis may be, which stands still here.
    rig = new_rig(more={"kafka": {"consumer": {"session.timeout.ms": "12000", "heartbeat.interval.ms": "300"}}})
    rig.host.other = held(threading.Event(), GOOD)
    worker = rig.start()
    rig.send({"first": []})
    rig.facets.wait(lambda: rig.history("first"), 20, "it works")
    with claimed_before_its_report(rig, worker, "a", rig.url("/one")):
        assert worker.kill()
    rig.start()
    rig.facets.wait(lambda: "sent" in article_state(rig, "a")[0] and rig.history("a"), 60, "it was sent and reported")
    assert {tuple(states) for states in rig.history("a")} == {("pending",)}


def test_the_same_version_again_asks_for_nothing(rig):
    rig.start()
    item = rig.item("a", rig.url("/one"))
    put_articles(rig.ns, item)
    rig.wait_cached("a")
    put_articles(rig.ns, item)
    rig.ns.wait_done("images", "normalized")
    rig.send({"b": rig.url("/one")})
    rig.wait_cached("b")
    assert rig.history("a")[-1] == ["cached"] and rig.host.count() == 1


def test_dimensions_of_the_article_are_not_believed(rig):
    rig.start()
    rig.send({"a": [{"url": rig.url("/one"), "width": 1200, "height": 630}]})
    image, = rig.wait_cached("a")
    assert (image["width"], image["height"]) == (64, 48)


def test_a_small_file_whose_thumbnails_may_be_large(new_rig):
    """Its body came in memory and goes on in a file: what is made of it might not fit into memory."""
    rig = new_rig(options={"check": {"maxPixels": 10_000_000}, "thumbnails": {"edgePixels": [2800, 2900]}})
    picture = pictures.flat_png(3000, 2000)
    assert len(picture) < 64 * 1024
    rig.host.other = reply(picture, type="image/png")
    rig.start()
    rig.send({"a": rig.url("/flat")})
    image, = rig.wait_cached("a", 30)
    assert [(t["width"], t["height"]) for t in image["thumbnails"]] == [(2800, 1867), (2900, 1933)]
    assert rig.stored(image) and rig.temp_files() == []


def test_sixteen_pictures_of_one_host(rig):
    rig.host.other = many_pictures
    rig.start()
    rig.send({"a": [rig.url(f"/{n}") for n in range(16)]})
    images = rig.wait_cached("a", 30)
    assert [(i["width"], i["height"]) for i in images] == [(20 + n, 30) for n in range(16)]
    assert rig.host.count() == 16 and rig.host.most_asked <= 4


def test_a_restart_asks_for_nothing_again(rig):
    worker = rig.start()
    cases = {f"a{n}": rig.url(f"/{n}", f"h{n}.localhost") for n in range(10)}
    rig.send(cases)
    rig.settle(cases)
    worker.term()
    assert worker.wait() == 0
    rig.start()
    rig.send({"b": rig.url("/0", "h0.localhost")})
    rig.wait_cached("b")
    assert rig.host.count() == 10


def test_stop_in_the_middle_of_a_transfer(rig):
    """It ends in time; whoever comes next does the rest."""
    go = threading.Event()
    rig.host.other = held(go, GOOD)
    worker = rig.start()
    rig.send({"a": rig.url("/one")})
    rig.facets.wait(lambda: rig.host.count() == 1 and rig.history("a"), 20, "it is under way")
    worker.term()
    assert worker.wait(15) == 0
    go.set()
    rig.start()
    rig.wait_cached("a", 40)
    assert rig.temp_files() == []


def test_redis_goes_and_comes_back(new_rig):
    rig = new_rig(options={"leaseMs": 1000})
    go = threading.Event()
    rig.host.other = held(go, many_pictures)
    worker = rig.start()
    cases = {f"a{n}": rig.url(f"/{n}", f"h{n}.localhost") for n in range(12)}
    rig.send(cases)
    rig.facets.wait(lambda: rig.host.count() == 12 and all(map(rig.history, cases)), 20, "all are under way, and say so")
    rig.ns.redis.kill()
    go.set()
    rig.send({"late": rig.url("/99", "late.localhost")})
    until(lambda: "redis" in worker.log_text().lower() and "retry" in worker.log_text(), 20, "it has noticed")
    # A report that takes longer than a lease, 1 s here, has the facet sent again; nothing says more than that.
    assert rig.history("late") == [] and all(state == ["pending"] for case in cases for state in rig.history(case))
    rig.ns.redis.start()
    rig.settle([*cases, "late"], 60)
    assert [outcome(rig.image(case)) for case in [*cases, "late"]] == ["cached"] * 13
    assert worker.alive and len(rig.objects()) == 13


def test_redis_loses_its_last_writes(new_rig):
    """Under a living worker: nothing is called cached that is not there, and everything is cached in the end."""
    rig = new_rig(options={"leaseMs": 1000})
    rig.host.other = many_pictures
    worker = rig.start()
    first = {f"a{n}": rig.url(f"/{n}", f"h{n}.localhost") for n in range(6)}
    rig.send(first)
    rig.settle(first)
    snapshot = rig.ns.redis.snapshot()
    second = {f"b{n}": rig.url(f"/{n}", f"h{n}.localhost") for n in range(3, 10)}
    rig.send(second)
    rig.settle(second)
    rig.ns.redis.rollback(snapshot)
    rig.send({"c": rig.url("/5", "h5.localhost")})
    rig.wait_cached("c", 60)
    until(lambda: all(rig.entry(url).get("state") == "cached" for url in {**first, **second}.values()), 60, "each is known again")
    rig.settle({**first, **second})
    assert [outcome(rig.image(case)) for case in {**first, **second}] == ["cached"] * 13
    assert all(rig.sha256(rig.stored(rig.image(case))) == rig.image(case)["sha256"] for case in {**first, **second})
    assert worker.alive and len(rig.objects()) == 10


def test_kafka_goes_and_comes_back(rig):
    worker = rig.start()
    rig.send({"a": rig.url("/one")})
    rig.wait_cached("a")
    rig.ns.kafka.restart_after_kill()
    rig.send({"b": rig.url("/two")})
    rig.wait_cached("b", 60)
    assert worker.alive


def test_more_articles_of_a_host_than_may_wait_in_its_queue(new_rig):
    """They get their first facets all the same, and wait in the due set; nothing is lost."""
    rig = new_rig(partitions=1)
    go = threading.Event()
    rig.host.other = held(go, GOOD)
    rig.start()
    cases = {f"a{n}": rig.url(f"/{n}", "one.localhost") for n in range(100)}
    rig.send(cases)
    rig.facets.wait(lambda: rig.host.count() == 4 and len(rig.facets.all) == 100, 40, "all have one, and four pictures are asked for")
    go.set()
    rig.settle(cases, 90)
    assert [outcome(rig.image(case)) for case in cases] == ["cached"] * 100


def test_records_show_our_copy(rig):
    """publish waits for the first facet and takes what it says."""
    rig.ns.write_config(publish={"expect": ["images"]})
    rig.start()
    rig.workers.start("publish", rig.ns.config)
    rig.send({"a": [rig.url("/one"), {"url": "http://10.0.0.1/x.png", "width": 5, "height": 6}]})
    rig.facets.wait(lambda: rig.settled("a"), 20, "it is settled")

    def shown():
        record = latest(rig.ns).get(ident(rig.number("a")))
        images = json.loads(record.value)["images"] if record else []
        return images if images and images[0]["isCached"] else None
    one, two = until(shown, 40, "a record with the picture", every_s=0.3)
    facet = rig.images("a")
    assert one == {"url": rig.url("/one"), "width": 64, "height": 48, "isCached": True, "cachedUrl": facet[0]["cachedUrl"],
                   **({"thumbnails": facet[0]["thumbnails"]} if "thumbnails" in facet[0] else {})}
    assert (two["isCached"], two["reason"], two["width"]) == (False, "blocked_addr", 5)


@pytest.mark.parametrize("options, words", [
    ({"mode": "normal"}, ["images.testAllow", "images.mode: test"]),
    ({"mode": "normal", "testAllow": [], "contact": ""}, ["images.contact"]),
    ({"fetch": {"bodyBytes": 1 << 40}}, ["images.fetch.bodyBytes"]),
    ({"testAllow": ["localhost:80"]}, ["images.testAllow", "localhost:80"]),
    ({"store": {"path": ""}}, ["images.store.path"])])
def test_starts_that_are_refused(new_rig, options, words):
    rig = new_rig()
    rig.ns.write_config(images=options)
    refused(rig.start(), *words)


def test_without_a_base_there_are_no_urls_of_ours(new_rig):
    rig = new_rig(options={"publicBase": ""})
    rig.host.other = GOOD
    wait_ready(rig.start())
    rig.send({"a": rig.url("/one")})
    image, = rig.wait_cached("a")
    assert "cachedUrl" not in image and "thumbnails" not in image and rig.stored(image)
