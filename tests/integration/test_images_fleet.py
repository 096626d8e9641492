"""images, several instances: one fetch for all, leaders that die or stall in the middle of one, hosts that ask for time, kills
at any moment (T88, T97 to T99, T137, T141, T152 of the catalogue of hostile cases)."""

import os
import pathlib
import random
import threading

import pytest

from support import pictures
from support.articles import ident, wait_ready
from support.image_host import Gone, delayed, head, held, reply
from support.images import outcome
from support.waiting import until

PICTURE, OTHER = pictures.png(), pictures.png(seed=2)
GOOD = reply(PICTURE, type="image/png")
LEASE_MS = 2000
LEASE = {"leaseMs": LEASE_MS}


def owner_of(connection, workers):
    """The worker whose socket it is."""
    port = f":{connection.peer[1]:04X} "
    for worker in workers:
        inodes = {line.split()[9] for line in pathlib.Path(f"/proc/{worker.pid}/net/tcp").read_text().splitlines()[1:]
                  if f"{line.split()[1]} ".endswith(port)}
        for link in pathlib.Path(f"/proc/{worker.pid}/fd").iterdir():
            try:
                target = str(link.readlink())
            except OSError:
                continue
            if target.startswith("socket:[") and target[8:-1] in inodes:
                return worker
    raise AssertionError(f"nobody has the connection from port {connection.peer[1]}")


def fleet(rig, n):
    """n instances, all of them with partitions."""
    workers = rig.start(n)
    for worker in workers if n > 1 else [workers]:
        wait_ready(worker, 30)
    until(lambda: spread(rig, n), 30, f"the partitions are spread over {n} instances")
    return workers


def spread(rig, n):
    admin = rig.ns.kafka.admin()  # an answer comes only while its client is there
    members = admin.describe_consumer_groups([rig.ns.group("images")])[rig.ns.group("images")].result(20).members
    return len(members) == n and all(m.assignment and m.assignment.topic_partitions for m in members)


def test_T097_one_request_for_five_hundred_articles(new_rig):
    rig = new_rig(partitions=4)
    go = threading.Event()
    rig.host.at["/one"] = held(go, GOOD)
    fleet(rig, 4)
    url = rig.url("/one", "t097.localhost")
    cases = {f"T097/{n}": url for n in range(500)}
    rig.send(cases)
    # A facet for each at once, while the picture is still under way.
    rig.facets.wait(lambda: all(rig.facets.last(rig.number(case)) for case in cases), 30, "a facet for each")
    assert all(rig.images(case)[0]["state"] == "pending" for case in cases)
    go.set()
    rig.settle(cases)
    assert [outcome(rig.image(case)) for case in cases] == ["cached"] * 500
    assert rig.host.count() == 1 and len(rig.objects()) == 1


def sent(rig, name, workers):
    """Twelve articles with one picture, whose fetch is under way: its URL, the cases, and who fetches it."""
    url = rig.url("/one", f"{name.lower()}.localhost")
    cases = {f"{name}/{n}": url for n in range(12)}
    rig.send(cases)
    rig.facets.wait(lambda: rig.host.count() == 1 and all(rig.facets.last(rig.number(case)) for case in cases), 20, "it is under way")
    return url, cases, owner_of(rig.host.log[0].connection, workers)


def test_T098_leader_dies_in_the_middle(new_rig):
    rig = new_rig(options=LEASE, partitions=2)
    go = threading.Event()
    rig.host.at["/one"] = held(go, GOOD)
    _, cases, leader = sent(rig, "T098", fleet(rig, 2))
    go.set()
    leader.kill()
    # An article of the other instance gets it when the lease is over; those of the dead one follow after takeover.
    rig.facets.wait(lambda: any(rig.settled(case) for case in cases), LEASE_MS / 1000 + 1 + 3, "another instance finishes it")
    rig.settle(cases)
    assert [outcome(rig.image(case)) for case in cases] == ["cached"] * 12
    assert 1 <= rig.host.count() <= 2 and len(rig.objects()) == 1 and rig.temp_files() == []


def test_T099_leader_stalls_past_its_lease(new_rig):
    """It comes back with other bytes than the second instance got: the entry stays as that one wrote it."""
    rig = new_rig(options=LEASE, partitions=2)
    go = threading.Event()
    first = []

    def serve(x):
        if first:
            return reply(OTHER)(x)
        first.append(x)
        return held(go, reply(PICTURE))(x)
    rig.host.at["/one"] = serve
    url, cases, leader = sent(rig, "T099", fleet(rig, 2))
    leader.pause()
    rig.facets.wait(lambda: any(rig.settled(case) for case in cases), 20, "the other instance finishes it")
    assert rig.host.count() == 2
    leader.resume()
    go.set()
    rig.settle(cases)
    assert rig.entry(url)["sha256"] == rig.sha256(rig.objects()[f"{rig.entry(url)['sha256']}.png"])
    assert {rig.image(case)["sha256"] for case in cases} == {rig.entry(url)["sha256"]}
    assert (rig.image("T099/0")["width"], len(rig.stored(rig.image("T099/0")))) == (64, len(OTHER))
    assert leader.alive


def test_an_endless_queue_leaves_places_to_other_instances(new_rig):
    """A place goes from task to task of one instance with its connection, but not for ever."""
    rig = new_rig(options={"fetch": {"perHost": 1, "hostRate": 1000}}, partitions=2)
    rig.host.other = GOOD
    rig.host.by_name["busy.localhost"] = delayed(0.2, GOOD)
    fleet(rig, 2)
    cases = {str(n): rig.url(f"/{n}", f"h{n}.localhost") for n in range(32)}
    rig.send(cases)
    rig.settle(cases)
    of = [[case for case in cases if rig.facets.partition[ident(rig.number(case))] == p] for p in range(2)]
    backlog = {case: [rig.url(f"/{case}/{n}", "busy.localhost") for n in range(16)] for case in of[0][:8]}
    rig.send(backlog)  # 26 s of work
    rig.facets.wait(lambda: rig.host.count(name="busy.localhost") >= 3, 20, "one instance has begun")
    rig.send({of[1][0]: rig.url("/other", "busy.localhost")})
    rig.facets.wait(lambda: rig.host.count("/other"), 22, "the other instance has its turn")
    assert rig.host.count(name="busy.localhost") < 120 and rig.host.most_by_name["busy.localhost"] == 1


def test_T088_a_pause_holds_in_all_instances(new_rig):
    rig = new_rig(partitions=4)
    rig.host.at["/slow-down"] = reply(b"slow down", 429, ["Retry-After: 120"])
    rig.host.other = GOOD
    fleet(rig, 4)
    rig.send({"T088": rig.url("/slow-down", "t088.localhost")})
    with rig.ns.redis.client() as client:
        rig.facets.wait(lambda: client.hget(f"{rig.ns.name}:img:host:{{t088.localhost}}", "pausedUntil"), 20, "the host is left alone")
    rig.send({f"T088/{n}": rig.url(f"/{n}", "t088.localhost") for n in range(24)})
    others = {f"free/{n}": rig.url(f"/{n}", f"free{n}.localhost") for n in range(24)}
    rig.send(others)
    rig.settle(others)
    assert [outcome(rig.image(case)) for case in others] == ["cached"] * 24
    assert [r.path for r in rig.host.requests(name="t088.localhost")] == ["/slow-down"]


def test_T141_two_put_the_same_bytes_at_once(new_rig):
    """The same picture under twenty URLs, fetched by two instances side by side."""
    rig = new_rig(partitions=2)
    go = threading.Event()
    rig.host.other = held(go, GOOD)
    fleet(rig, 2)
    cases = {f"T141/{n}": rig.url(f"/{n}", f"same{n}.localhost") for n in range(20)}
    rig.send(cases)
    rig.facets.wait(lambda: rig.host.count() == 20, 20, "all are asked for")
    go.set()
    rig.settle(cases)
    assert [outcome(rig.image(case)) for case in cases] == ["cached"] * 20
    assert len(rig.objects()) == 1 and len({rig.image(case)["sha256"] for case in cases}) == 1


@pytest.mark.parametrize("seed", range(1, 1 + int(os.environ.get("NM_SEEDS", "1"))))
def test_T137_kills_at_any_moment(new_rig, seed):
    """Instances die by kill -9 all the while; then every article has its pictures, each object is whole, and no facet has ever
    called cached what was not in the store. The points between two steps of a put are killed one by one in
    unit/test_images_store_kill.c."""
    rng = random.Random(seed)
    rig = new_rig(options={"leaseMs": 500}, partitions=2,
                  more={"kafka": {"consumer": {"session.timeout.ms": "1500", "heartbeat.interval.ms": "300"}}})
    files = [pictures.png(20 + n % 60, 30 + n // 60) for n in range(180)]

    def serve(x):
        body = files[int(x.request.path[1:])]
        x.send(head(200, f"Content-Length: {len(body)}"))
        for at in range(0, len(body), 100):
            x.pause(0.005)
            x.send(body[at:at + 100])
        raise Gone
    rig.host.other = serve
    workers = [rig.start(), rig.start()]
    cases = {f"T137/{n}": [rig.url(f"/{3 * n + k}", f"k{3 * n + k}.localhost") for k in range(3)] for n in range(60)}
    names = list(cases)
    told = set()

    def look():
        """What a facet calls cached is there at that moment."""
        rig.facets.poll()
        for case in cases:
            for image in rig.images(case):
                if image["state"] == "cached" and image["sha256"] not in told:
                    assert rig.sha256(rig.stored(image)) == image["sha256"]
                    told.add(image["sha256"])
    kills = 0
    for at in range(0, len(names), 5):
        seen, least = rig.host.count(), rng.randrange(1, 4)
        rig.send({case: cases[case] for case in names[at:at + 5]})
        rig.facets.wait(lambda seen=seen, least=least: look() or rig.host.count() >= seen + least, 60, "it works")
        victim = rng.randrange(2)
        kills += workers[victim].kill()
        workers[victim] = rig.start()
    rig.settle(cases, 90)
    look()
    assert kills >= 10
    ends = [outcome(image) for case in cases for image in rig.images(case)]
    assert ends == ["cached"] * 180, {end: ends.count(end) for end in ends}
    for name, data in rig.objects().items():
        assert rig.sha256(data) == name.partition(".")[0]
    assert rig.temp_files() == []
    with rig.ns.redis.client() as client:
        until(lambda: all(client.zcard(f"{rig.ns.name}:due:images:{p}") == 0 for p in range(2)), 20, "nothing is due")


def test_T152_redis_forgets_everything(new_rig):
    """No wrong "cached"; with onStateLoss: rebuild the articles are read again, the pictures fetched again and stored once."""
    rig = new_rig(partitions=2, more={"runtime": {"commitMs": 200, "onStateLoss": "rebuild"}})
    rig.host.other = GOOD
    rig.worker = rig.start()
    cases = {f"T152/{n}": rig.url(f"/{n}", f"f{n}.localhost") for n in range(5)}
    rig.send(cases)
    rig.settle(cases)
    old = rig.objects()
    with rig.ns.redis.client() as client:
        client.flushall()
    rig.send(cases)
    until(lambda: all(rig.entry(url).get("state") == "cached" for url in cases.values()), 40,
          lambda: f"each is known again\n{rig.workers.show_logs()}")
    rig.settle(cases)
    assert [outcome(rig.image(case)) for case in cases] == ["cached"] * 5
    assert rig.objects() == old and rig.temp_files() == [] and rig.worker.alive


def test_T152_or_the_worker_stops(new_rig):
    """The default: an operator is to say what is to be done."""
    rig = new_rig(partitions=2)
    rig.host.other = GOOD
    worker = rig.start()
    rig.send({"T152": rig.url("/", "f.localhost")})
    rig.wait_cached("T152")
    rig.ns.wait_done("images", "normalized")
    with rig.ns.redis.client() as client:
        client.flushall()
    rig.send({"T152/second": rig.url("/", "f.localhost")})
    assert worker.wait(40) == 2
    assert "onStateLoss" in worker.log_text()
