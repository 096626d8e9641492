"""images on real servers: what is remembered of an answer, when it is asked for again, and how hosts are spared (T85 to T95,
T100 to T102 of the catalogue of hostile cases).

Where the time is minutes or days, the test moves the moment in the state of Redis instead of waiting for it.
"""

import calendar
import email.utils
import threading
import time

import pytest

from support import pictures
from support.image_host import cut, delayed, head, held, raw, reply, sequence, validated
from support.images import outcome
from support.waiting import until

PICTURE, OTHER = pictures.png(), pictures.png(seed=2)
GOOD = reply(PICTURE, type="image/png")
MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.fixture(scope="module")
def run(shared_rig):
    rig = shared_rig(options={"retry": {"tries": 3, "baseMs": 100}})
    rig.worker = rig.start()
    rig.host.at["/good"] = GOOD
    return rig


def seconds(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def ask(rig, case, scenario, n=1):
    """An article of the case with a picture that is answered so; its URL."""
    name = f"{case.lower()}.localhost"
    rig.host.at[f"/{case}"] = scenario
    url = rig.url(f"/{case}", name)
    rig.send({case: url} if n == 1 else {f"{case}/{i}": url for i in range(n)})
    return url


def move(rig, url, field, seconds_from_now):
    """Another moment in the entry of a URL."""
    with rig.ns.redis.client() as client:
        assert client.hset(f"{rig.ns.name}:img:{{{rig.sha256(url.encode())}}}", field, int((client.time()[0] + seconds_from_now) * 1000)) == 0


def paused_s(rig, name):
    """For how many seconds from now a host is to be left alone; 0: it is not."""
    with rig.ns.redis.client(decode_responses=True) as client:
        now = client.time()
        until_ms = client.hget(f"{rig.ns.name}:img:host:{{{name}}}", "pausedUntil")
        return max(0, int(until_ms) / 1000 - now[0] - now[1] / 1e6) if until_ms else 0


def another(rig, case="another"):
    """An article on another host goes through; what was sent before has been looked at then."""
    case = f"{case}{len(rig.numbers)}"
    rig.send({case: rig.url(f"/good?{case}", f"{case}.localhost")})
    rig.wait_cached(case)


def test_T085_not_found(run):
    began = time.time()
    url = ask(run, "T085", reply(b"no such picture", 404))
    image, = run.wait_failed("T085", "bad_status")
    assert 15 * MINUTE - 2 <= seconds(image["nextTry"]) - began <= 15 * MINUTE * 1.1 + 30
    run.send({"T085-second": url})
    second, = run.wait_failed("T085-second", "bad_status")
    assert second["nextTry"] == image["nextTry"] and run.host.count("/T085") == 1
    move(run, url, "nextTry", -1)
    run.send({"T085-third": url})
    run.facets.wait(lambda: run.host.count("/T085") == 2, 20, "it is asked for again")
    third = run.wait_images("T085-third", lambda images: images[0].get("nextTry", "") > image["nextTry"])
    assert 30 * MINUTE - 2 <= seconds(third[0]["nextTry"]) - time.time() + 30  # doubled
    another(run)
    assert run.host.count("/T085") == 2


def test_T086_gone(run):
    ask(run, "T086", reply(b"gone", 410))
    image, = run.wait_failed("T086", "bad_status")
    assert 7 * DAY - 60 <= seconds(image["nextTry"]) - time.time() <= 7 * DAY * 1.1 + 60


def test_T087_fails_twice(run):
    bad = reply(b"try again", 500)
    ask(run, "T087", sequence(bad, bad, GOOD))
    run.wait_cached("T087")
    times = [r.at for r in run.host.requests("/T087")]
    assert len(times) == 3 and ["failed"] not in run.history("T087")
    # Each wait is random, up to 100 and 400 ms here; then comes the worker's own time.
    assert times[1] - times[0] < 0.1 + 2 and times[2] - times[1] < 0.4 + 2


def test_T087_fails_always(run):
    ask(run, "T087-always", reply(b"try again", 500))
    image, = run.wait_failed("T087-always", "bad_status")
    assert run.host.count("/T087-always") == 3
    assert MINUTE - 10 <= seconds(image["nextTry"]) - time.time() <= MINUTE * 1.1 + 10


def test_T088_a_host_that_asks_for_time_gets_it(run):
    """Not only this URL waits, and not only in this instance: see test_images_fleet.py."""
    ask(run, "T088", reply(b"slow down", 429, ["Retry-After: 120"]))
    run.facets.wait(lambda: paused_s(run, "t088.localhost"), 20, "the host is left alone")
    assert 110 < paused_s(run, "t088.localhost") <= 120
    run.send({f"T088-{n}": run.url(f"/good?{n}", "t088.localhost") for n in range(5)})
    another(run)
    another(run)
    assert [r.path for r in run.host.requests(name="t088.localhost")] == ["/T088"]
    assert all({tuple(states) for states in run.history(f"T088-{n}")} == {("pending",)} for n in range(5))


PAUSES = {"past": ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 1), "endless": ("99999999999", HOUR - 20, HOUR), "none": (None, MINUTE - 20, MINUTE),
          "garbage": ("soon", MINUTE - 20, MINUTE)}


@pytest.mark.parametrize("name", PAUSES)
def test_T089_odd_times(run, name):
    value, least, most = PAUSES[name]
    case = f"T089-{name}"
    ask(run, case, sequence(reply(b"slow down", 429, [f"Retry-After: {value}"] if value else ()), GOOD))
    if name == "past":
        run.wait_cached(case)
        first, second = run.host.requests(f"/{case}")
        assert second.at - first.at >= 0.9  # the floor is 1 s
        return
    run.facets.wait(lambda: paused_s(run, f"{case.lower()}.localhost"), 20, "the host is left alone")
    assert least < paused_s(run, f"{case.lower()}.localhost") <= most
    assert run.host.count(f"/{case}") == 1


def test_T090_a_date(run):
    date = email.utils.formatdate(time.time() + 30, usegmt=True)
    ask(run, "T090", reply(b"closed", 503, [f"Retry-After: {date}"]))
    run.facets.wait(lambda: paused_s(run, "t090.localhost"), 20, "the host is left alone")
    assert 15 < paused_s(run, "t090.localhost") <= 31
    assert run.host.count("/T090") == 1


def test_T091_unchanged(run):
    url = ask(run, "T091", validated(PICTURE, '"v1"', ["Cache-Control: max-age=7200"]))
    image, = run.wait_cached("T091")
    before = run.entry(url)
    path = next(run.store.glob(f"o/*/*/{image['sha256']}.png"))
    stamp = path.stat().st_mtime_ns
    move(run, url, "expiresAt", -1)
    run.send({"T091-second": url})
    run.facets.wait(lambda: run.host.count("/T091") == 2, 20, "it is asked for again")
    assert run.host.requests("/T091")[1].header("If-None-Match") == '"v1"'
    until(lambda: int(run.entry(url)["expiresAt"]) > time.time() * 1000 + HOUR * 1000, 10, "its time has moved")
    after = run.entry(url)
    assert after["sha256"] == before["sha256"] and after["state"] == "cached" and path.stat().st_mtime_ns == stamp
    assert run.wait_cached("T091-second")[0]["sha256"] == image["sha256"]
    assert all(states == ["cached"] for states in run.history("T091-second"))  # a stale one stays cached


def test_T092_unchanged_without_being_asked(run):
    ask(run, "T092", raw(head(304)))
    run.wait_failed("T092", "bad_status")


@pytest.mark.parametrize("name, etag", [("long", '"' + "x" * 10_240 + '"'), ("broken", '"a\rX-Evil: 1"')])
def test_T093_validators_that_are_none(run, name, etag):
    case = f"T093-{name}"
    url = ask(run, case, reply(PICTURE, fields=[f"ETag: {etag}"]))
    run.facets.wait(lambda: run.settled(case), 20, "it is settled")
    if outcome(run.image(case)) != "cached":  # a bare CR may also end the header, or the answer
        assert name == "broken" and outcome(run.image(case)) == "protocol_error"
        return
    move(run, url, "expiresAt", -1)
    run.send({f"{case}-second": url})
    run.facets.wait(lambda: run.host.count(f"/{case}") == 2, 20, "it is asked for again")
    assert all(r.header("If-None-Match") is None and b"Evil" not in r.head for r in run.host.requests(f"/{case}"))


def test_T094_changed(run):
    """Every article that shows it gets the new one; the old object stays until gc."""
    url = ask(run, "T094", sequence(GOOD, reply(OTHER)), n=3)
    old = [run.wait_cached(f"T094/{n}")[0]["sha256"] for n in range(3)]
    assert len(set(old)) == 1 and run.host.count("/T094") == 1
    move(run, url, "expiresAt", -1)
    run.send({"T094/0": url})
    new = [run.wait_images(f"T094/{n}", lambda images: images[0].get("sha256") not in (None, old[0]))[0]["sha256"] for n in range(3)]
    assert len(set(new)) == 1 and run.host.count("/T094") == 2
    assert {f"{old[0]}.png", f"{new[0]}.png"} <= set(run.objects())


@pytest.mark.parametrize("case, scenario, wanted", [
    ("T095-206", reply(PICTURE, 206), "bad_status"), ("T095-203", reply(PICTURE, 203), "bad_status"),
    ("T095-204", raw(head(204)), "bad_status"), ("T095-empty", reply(b""), "too_small")])
def test_T095_other_success(run, case, scenario, wanted):
    ask(run, case, scenario)
    run.wait_failed(case, wanted)
    assert run.host.count(f"/{case}") == 1


def many(rig, case, names):
    """One URL for each name, three in each article; until all are there."""
    urls = [rig.url(f"/{case}/{n}", name) for n, name in enumerate(names)]
    rig.send({f"{case}/{n}": urls[n:n + 3] for n in range(0, len(urls), 3)})
    rig.settle([f"{case}/{n}" for n in range(0, len(urls), 3)])
    assert all(outcome(image) == "cached" for n in range(0, len(urls), 3) for image in rig.images(f"{case}/{n}"))
    assert rig.host.count() == len(urls)


@pytest.mark.parametrize("instances", [1, 4])
def test_T100_places_at_a_host_and_at_an_address(new_rig, instances):
    rig = new_rig(options={"fetch": {"perHost": 4, "perAddress": 8}}, partitions=4)
    rig.host.other = delayed(0.1, GOOD)
    rig.start(instances)
    many(rig, "T100", ["one.localhost"] * 40)
    assert 1 <= rig.host.most_by_name["one.localhost"] <= 4
    assert rig.host.most_open <= 4
    assert instances > 1 or len({r.connection for r in rig.host.requests()}) <= 8  # places go on with their connections
    until(lambda: rig.host.open_now() == 0, 10, "no connection is left without a place")
    rig.host.forget()
    many(rig, "T100-names", [f"n{n}.localhost" for n in range(40)])
    assert 4 < rig.host.most_asked <= rig.host.most_open <= 8


def test_a_task_that_waits_for_its_turn_keeps_place_and_connection(new_rig):
    """Where the rate of a host is the limit, it is served over the connections that are open."""
    rig = new_rig(options={"fetch": {"perHost": 4, "hostRate": 20, "hostBurst": 1}})
    rig.host.other = delayed(0.02, GOOD)
    rig.start()
    many(rig, "turn", ["turn.localhost"] * 40)
    requests = rig.host.requests()
    assert requests[-1].at - requests[0].at > 39 / 20 - 0.2
    assert len({r.connection for r in requests}) <= 8 and rig.host.most_open <= 4


def test_T101_a_dead_host_holds_up_nobody(new_rig):
    rig = new_rig(partitions=4)
    rig.host.by_name["dead.localhost"] = cut()
    rig.host.other = GOOD
    rig.worker = rig.start()
    dead = [rig.url(f"/{n}", "dead.localhost") for n in range(1000)]
    rig.send({f"dead/{n}": dead[n:n + 16] for n in range(0, 1000, 16)})
    good = {f"good/{n}": rig.url(f"/{n}", f"good{n}.localhost") for n in range(100)}
    began = time.monotonic()
    rig.send(good)
    rig.settle(good, 60)
    took = time.monotonic() - began
    assert all(outcome(rig.image(case)) == "cached" for case in good)
    assert took < 30
    # Ten failures in a row, and what was under way then.
    assert 10 <= rig.host.count(name="dead.localhost") <= 10 + 4
    with rig.ns.redis.client(decode_responses=True) as client:
        assert int(client.hget(f"{rig.ns.name}:img:host:{{dead.localhost}}", "openUntil")) > time.time() * 1000


def test_T102_waiting_for_a_place_is_no_timeout(new_rig):
    rig = new_rig(options={"fetch": {"perHost": 1, "totalMs": 1500}, "retry": {"tries": 1}})
    rig.host.other = delayed(0.5, GOOD)
    rig.start()
    cases = {f"T102/{n}": rig.url(f"/{n}", "t102.localhost") for n in range(8)}
    began = time.monotonic()
    rig.send(cases)
    rig.settle(cases)
    assert [outcome(rig.image(case)) for case in cases] == ["cached"] * 8
    assert time.monotonic() - began > 3 and rig.host.most_by_name["t102.localhost"] == 1


def test_a_place_that_is_held_is_no_place_for_others(new_rig):
    """The control of T100: with four places taken, a fifth request comes only after one of them is free."""
    rig = new_rig(options={"fetch": {"perHost": 4}})
    go = threading.Event()
    rig.host.other = held(go, GOOD)
    rig.start()
    rig.send({f"held/{n}": rig.url(f"/{n}", "held.localhost") for n in range(6)})
    rig.facets.wait(lambda: rig.host.count() == 4, 20, "four requests")
    rig.host.by_name["free.localhost"] = GOOD
    rig.send({"free": rig.url("/", "free.localhost")})
    rig.wait_cached("free")
    assert rig.host.count(name="held.localhost") == 4
    go.set()
    rig.settle([f"held/{n}" for n in range(6)])
    assert rig.host.count(name="held.localhost") == 6
