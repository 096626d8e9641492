"""gc, eviction, purge, refetch and the scrubber beside a worker that runs: what its facets say, and that a picture which is
gone is fetched again only where it is to be (T143, T144, T147 of the catalogue)."""

import threading
import time

from support import pictures
from support.articles import wait_ready
from support.collect import flip
from support.image_host import reply
from support.waiting import until
from support.workers import tool

KEEP = {"gc": {"idleMs": 1, "graceMs": 400, "minAgeMs": 1}}


def images(rig, *words, code=0):
    done = tool("images", words[0], "-c", rig.ns.config, *words[1:])
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout


def start(rig, n):
    """n pictures, each of an article of its own, cached."""
    for number in range(n):
        rig.host.at[f"/{number}.png"] = reply(pictures.png(seed=number + 1), type="image/png")
    wait_ready(rig.start(), 30)
    cases = {f"case/{number}": rig.url(f"/{number}.png") for number in range(n)}
    rig.send(cases)
    rig.settle(cases)
    assert all(rig.image(case)["isCached"] for case in cases)
    return list(cases)


def path_of(rig, case):
    sha = rig.image(case)["sha256"]
    return next((rig.store / "o" / sha[:2] / sha[2:4]).glob(f"{sha}.*"))


def test_purge_and_refetch(new_rig):
    rig = new_rig(options=KEEP)
    one, other = start(rig, 2)
    path = path_of(rig, one)
    images(rig, "purge", rig.url("/0.png"))
    assert not path.exists()
    rig.wait_failed(one, "evicted")
    assert rig.image(one)["isCached"] is False and "nextTry" not in rig.image(one)
    requests = rig.host.count("/0.png")
    rig.send({one: rig.url("/0.png")})  # again, and it stays out
    images(rig, "refetch", rig.url("/1.png"))
    until(lambda: rig.host.count("/1.png") == 2, 20, "fetched again")
    rig.wait_cached(other)
    assert rig.host.count("/0.png") == requests and rig.image(one)["reason"] == "evicted"
    images(rig, "refetch", rig.url("/0.png"))
    rig.wait_cached(one)
    assert path_of(rig, one) == path and path.exists()


def test_scrub_has_it_fetched_again(new_rig):
    """T144: damaged, put away, fetched again."""
    rig = new_rig()
    hurt, missing, good = start(rig, 3)
    flip(path_of(rig, hurt))
    path_of(rig, missing).unlink()
    images(rig, "scrub", "--percent", "100")
    until(lambda: rig.host.count("/0.png") == 2 and rig.host.count("/1.png") == 2, 20, "both are fetched again")
    for case in (hurt, missing):
        rig.wait_images(case, lambda found: found[0]["isCached"], 20, "cached again")
        assert rig.sha256(rig.stored(rig.image(case))) == rig.image(case)["sha256"]
        assert ["pending"] in rig.history(case)[1:]
    assert rig.host.count("/2.png") == 1 and len(rig.objects("q")) == 1
    assert "damaged                                             0" in images(rig, "scrub", "--percent", "100")


def test_eviction_tells_articles_before_the_file_goes(new_rig):
    """T147: in use, and so the last to go."""
    size = len(pictures.png(seed=1))
    rig = new_rig(options={**KEEP, "store": {"maxBytes": 4 * size, "maxPercent": 100}})
    cases = start(rig, 8)
    paths = {case: path_of(rig, case) for case in cases}
    time_of = {case: None for case in cases}
    images(rig, "gc")
    gone = [case for case in cases if rig.entry(rig.url(f"/{cases.index(case)}.png"))["state"] == "failed"]
    assert 4 <= len(gone) <= 6
    for case in gone:
        rig.wait_failed(case, "evicted")
        time_of[case] = paths[case].exists()
    assert all(time_of[case] for case in gone)
    until(lambda: images(rig, "gc") and not any(paths[case].exists() for case in gone), 20, "the files go")
    for case in set(cases) - set(gone):
        assert rig.sha256(rig.stored(rig.image(case))) == rig.image(case)["sha256"]


def test_gc_again_and_again_beside_a_worker(new_rig):
    """T146: nothing is old enough here to be safe from gc: whatever an article shows is there all the same."""
    rig = new_rig(options={"gc": {"idleMs": 1, "graceMs": 300, "minAgeMs": 1}})
    cases = start(rig, 10)
    ended = threading.Event()
    runs = []

    def collect():
        while not ended.is_set():
            runs.append(images(rig, "gc"))
    collector = threading.Thread(target=collect)
    collector.start()
    try:
        for turn in range(8):
            shown = [case for number, case in enumerate(cases) if (number + turn) % 3]
            for case in set(cases) - set(shown):
                rig.retract(case)
            rig.send({case: rig.url(f"/{cases.index(case)}.png") for case in shown})
            rig.settle(shown, 30)
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                for case in shown:
                    assert rig.image(case)["state"] != "cached" or rig.stored(rig.image(case))
    finally:
        ended.set()
        collector.join()
    assert len(runs) > 5 and any("removed" in run for run in runs)
    rig.settle(shown)
    for case in shown:
        rig.wait_cached(case)
        assert rig.sha256(rig.stored(rig.image(case))) == rig.image(case)["sha256"]
