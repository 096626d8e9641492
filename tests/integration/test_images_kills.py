"""images, killed: the worker with kill -9 while thumbnails are made, its decoder processes, and the worker on a disk that is full or
read-only (T137, T139, T140 of the catalogue of hostile cases; test_images_fleet.py and test_images_state.py have them without thumbnails and
without kills, tests/chaos/test_images_points.py one by one). After each: nobody's last facet is lost, no file is cut or unknown.

NM_KILLS=200: as many kills in each of the first two, some minutes.
"""

import os
import random
import signal
import subprocess
import time

import pytest

from support import kept, pictures
from support.articles import refused, wait_ready
from support.image_host import Gone, head
from support.images import outcome
from support.waiting import until
from support.workers import program

KILLS = int(os.environ.get("NM_KILLS", "10"))
SEED = int(os.environ.get("NM_SEED") or random.SystemRandom().randrange(1_000_000))
ARTICLES, PICTURES = max(40, 2 * KILLS), 40
QUICK = {"kafka": {"consumer": {"session.timeout.ms": "1500", "heartbeat.interval.ms": "300"}}}
OPTIONS = {"leaseMs": 500, "thumbnails": {"edgePixels": [64, 160]}, "retry": {"tries": 6, "baseMs": 50}}


def served(rig, width=300, height=200, every_s=0.004):
    """{path: bytes} of pictures that come in pieces."""
    bodies = {f"/{n}": pictures.jpeg(width, height, seed=n + 1) for n in range(PICTURES)}

    def serve(x):
        body = bodies[x.request.path]
        x.send(head(200, "Content-Type: image/jpeg", f"Content-Length: {len(body)}"))
        for at in range(0, len(body), 4096):
            x.pause(every_s)
            x.send(body[at:at + 4096])
        raise Gone
    rig.host.other = serve
    return bodies


def articles(rig, n, fresh=None):
    """n articles of three pictures each, each picture of a host of its own; every one is in some. fresh: as many URLs a picture."""
    return {f"kill/{number}": [rig.url(f"/{(number * 7 + k) % PICTURES}", f"k{(number * 7 + k) % (fresh or PICTURES)}.localhost") for k in range(3)]
            for number in range(n)}


def until_random(rng, look, seen, count):
    """Until something more happened than `seen`, or a moment by chance; the instants are spread over everything that goes on."""
    deadline, more = time.monotonic() + rng.uniform(0.02, 0.4), rng.randrange(1, 6)
    while count() < seen + more and time.monotonic() < deadline:
        look()


def end(rig, cases, bodies, watch, timeout_s=120):
    rig.settle(cases, timeout_s)
    watch.look()
    until(lambda: kept.nothing_is_due(rig), 60, "nothing is due")
    watch.look()
    kept.check_last(rig, cases, bodies)
    kept.check_known(rig, watch.root)


def test_T137_the_worker_is_killed(new_rig):
    print(f"seed={SEED}")
    rng = random.Random(SEED)
    rig = new_rig(options=OPTIONS, partitions=2, more=QUICK)
    bodies, cases, watch = served(rig), articles(rig, ARTICLES, fresh=4 * ARTICLES), kept.Watch(rig)
    workers, names, kills = [rig.start(), rig.start()], list(cases), 0
    wait_ready(workers[0], 30)
    for kill in range(KILLS):
        with rig.ns.redis.client() as client:
            def stored(client=client):
                return client.zcard(f"{rig.ns.name}:img:lru") + rig.host.count()
            rig.send({case: cases[case] for case in names[kill * len(names) // KILLS:(kill + 1) * len(names) // KILLS]})
            until_random(rng, watch.look, stored(), stored)
        victim = rng.randrange(2)
        kills += workers[victim].kill()
        kept.check_whole(rig)
        workers[victim] = rig.start()
    end(rig, cases, bodies, watch, 60 + KILLS)
    assert kills == KILLS


def decoders(worker):
    """Processes that the worker started and that have begun their program."""
    found = []
    for task in os.listdir(f"/proc/{worker.pid}/task"):
        with open(f"/proc/{worker.pid}/task/{task}/children", encoding="ascii") as children:
            found += map(int, children.read().split())
    return found


def test_decoders_are_killed(new_rig):
    """The worker goes on and starts others. A picture whose decoder died twice has failed for now: the next look finds it good."""
    print(f"seed={SEED}")
    rng = random.Random(SEED)
    rig = new_rig(options={**OPTIONS, "decoder": {"processes": 2}}, partitions=2)
    bodies, cases, watch = served(rig, 800, 600, 0.0001), articles(rig, ARTICLES, fresh=4 * ARTICLES), kept.Watch(rig)
    worker, names, kills, gone = rig.start(), list(cases), 0, set()
    wait_ready(worker, 30)
    for kill in range(KILLS):
        rig.send({case: cases[case] for case in names[kill * len(names) // KILLS:(kill + 1) * len(names) // KILLS]})
        until_random(rng, watch.look, rig.host.count(), rig.host.count)
        victim = rng.choice(until(lambda: [pid for pid in decoders(worker) if pid not in gone], 30, "there is a decoder"))
        os.kill(victim, signal.SIGKILL)
        gone.add(victim)
        kills += 1
    rig.settle(cases, 60 + KILLS)
    ends = {outcome(image) for case in cases for image in rig.images(case)}
    assert ends <= {"cached", "decode_killed"}, ends
    look_again(rig, cases)
    end(rig, cases, bodies, watch, 60 + KILLS)
    assert kills == KILLS and worker.alive


def look_again(rig, cases):
    """The time of the next try has come for what failed."""
    failed = {case: urls for case, urls in cases.items() if any(image["state"] == "failed" for image in rig.images(case))}
    with rig.ns.redis.client() as client:
        for url in {url for urls in failed.values() for url in urls}:
            key = f"{rig.ns.name}:img:{{{rig.sha256(url.encode())}}}"
            if client.hexists(key, "nextTry"):
                client.hset(key, "nextTry", "1")
    rig.send(failed)
    rig.facets.wait(lambda: all(rig.facets.states(rig.number(case)) == ["cached"] * 3 for case in failed), 60, "all are cached at last")


class Mount:
    """A tmpfs as the store, in a mount namespace that outlives the workers in it."""

    def __init__(self, rig, options):
        if os.geteuid() != 0:
            pytest.skip("not run: only root can mount")
        script = f"mount -t tmpfs -o {options},mode=700 tmpfs {rig.store} && echo ready && exec cat"
        self.rig, self.holder = rig, subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
                                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"ready\n"
        self.root = f"/proc/{self.holder.pid}/root{rig.store}"

    def _inside(self, *command):
        return ["nsenter", "-t", str(self.holder.pid), "-m", *command]

    def start(self):
        return self.rig.workers.start("images", self.rig.ns.config, command=self._inside(program("newsmill-images")))

    def remount(self, options):
        """False while somebody writes."""
        return subprocess.run(self._inside("mount", "-o", f"remount,{options}", self.rig.store), stdin=subprocess.DEVNULL,
                              capture_output=True, check=False).returncode == 0

    def close(self):
        self.holder.stdin.close()
        self.holder.wait(20)
        self.holder.stdout.close()


@pytest.fixture
def new_mount():
    made = []

    def make(rig, options):
        made.append(Mount(rig, options))
        return made[-1]
    yield make
    for one in made:
        one.rig.workers.close()
        one.close()


def test_T139_killed_on_a_full_disk(new_rig, new_mount):
    """Facets go out as pending and events are done; what is there is whole; with room again all of it comes in the end."""
    rig = new_rig(options=OPTIONS, partitions=2, more=QUICK)
    bodies, cases = served(rig), articles(rig, 30)
    mount = new_mount(rig, "size=300k")
    watch, worker = kept.Watch(rig, mount.root), mount.start()
    rig.send(cases)
    for _ in range(3):
        rig.facets.wait(lambda worker=worker: watch.look() or "store_full" in worker.log_text(), 40, "the disk is full")
        assert worker.kill()
        kept.check_whole(rig, mount.root)
        worker = mount.start()
    rig.facets.wait(lambda: watch.look() or all(rig.facets.last(rig.number(case)) for case in cases), 40, "a facet for each")
    states = {image["state"] for case in cases for image in rig.images(case)}
    assert "pending" in states and states <= {"pending", "cached"}
    rig.ns.wait_done("images", "normalized")
    assert mount.remount("size=64m")
    end(rig, cases, bodies, watch)
    assert worker.alive


def test_T140_killed_on_a_read_only_disk(new_rig, new_mount):
    """It does not start while the disk is so, and says what to do; writable again, all of it comes."""
    rig = new_rig(options=OPTIONS, partitions=2, more=QUICK)
    bodies, cases = served(rig), articles(rig, 30)
    mount = new_mount(rig, "size=64m")
    watch, worker, first = kept.Watch(rig, mount.root), mount.start(), list(cases)[:10]
    rig.send({case: cases[case] for case in first})
    rig.settle(first)
    until(lambda: mount.remount("ro"), 20, "nobody writes")
    rig.send({case: cases[case] for case in list(cases)[10:]})
    rig.facets.wait(lambda: watch.look() or "store_io" in worker.log_text(), 40, "the disk is read-only")
    assert worker.kill()
    kept.check_known(rig, mount.root)
    asked = rig.host.count()
    refused(mount.start(), str(rig.store), "read-only; mount it writable", "images.store.path")
    assert rig.host.count() == asked
    until(lambda: mount.remount("rw"), 20, "it is writable")
    worker = mount.start()
    end(rig, cases, bodies, watch)
    assert worker.alive
