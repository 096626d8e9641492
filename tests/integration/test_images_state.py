"""images on real servers: the store that is full, away, cut from its power, meddled with (T138 to T143, T148 to T151 of the
catalogue of hostile cases). The store by itself is tested in unit/test_images_store*.c and test_images_store*.py."""

import os
import shutil
import subprocess
import time

import pytest

from support import pictures
from support import s3 as s3_rig
from support.articles import refused, wait_ready
from support.image_host import reply
from support.images import outcome
from support.waiting import until

GOOD = reply(pictures.png(), type="image/png")
TMPFS = "mount -t tmpfs -o size={size},mode=700 tmpfs {{store}}"


def need_root():
    if os.geteuid() != 0:
        pytest.skip("not run: only root can mount")


def need_loop(tmp_path):
    need_root()
    path = tmp_path / "disk"
    with open(path, "wb") as out:
        out.truncate(48 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", path], check=True, stdin=subprocess.DEVNULL)
    (tmp_path / "try").mkdir()
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "mount", "-o", "loop", path, tmp_path / "try"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"not run: no loop device: {done.stderr.strip()}")
    return path


def remount(worker, rig, options):
    subprocess.run(["nsenter", "-t", str(worker.pid), "-m", "mount", "-o", f"remount,{options}", rig.store], check=True, stdin=subprocess.DEVNULL)


def whole_objects(rig, folder):
    """{name} of the objects below it; each is what its name says."""
    found = {path.name: path.read_bytes() for path in (folder / "o").rglob("*") if path.is_file()}
    for name, data in found.items():
        assert rig.sha256(data) == name.partition(".")[0]
    return set(found)


def counted(rig, worker, word):
    return sum(value for name, value in rig.metrics(worker).items() if name.startswith("newsmill_images_") and word in name)


def test_T138_what_is_called_cached_survives_a_power_cut(new_rig, tmp_path):
    """The disk is copied at the instant the facet is seen, and the copy is mounted."""
    disk = need_loop(tmp_path)
    rig = new_rig(options={"thumbnails": {"edgePixels": [32]}})
    worker = rig.start_on(f"mount -o loop {disk} {{store}}")
    seen = []
    for n in range(4):
        rig.host.at[f"/{n}"] = reply(pictures.jpeg(200, 150, seed=n + 1))
        rig.send({f"T138/{n}": rig.url(f"/{n}")})
        image, = rig.wait_cached(f"T138/{n}", 40)
        shutil.copyfile(disk, tmp_path / f"copy{n}")
        seen.append(image)
    worker.kill()
    for n in range(4):
        (tmp_path / f"mnt{n}").mkdir()
        script = 'mount -o loop "$1" "$2" && cp -r "$2" "$3"'
        subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", tmp_path / f"copy{n}", tmp_path / f"mnt{n}",
                        tmp_path / f"files{n}"], check=True, stdin=subprocess.DEVNULL)
        names = whole_objects(rig, tmp_path / f"files{n}")
        assert {f"{image['sha256']}.jpg" for image in seen[:n + 1]} <= names
        for image in seen[:n + 1]:
            sha = image["sha256"]
            small = (tmp_path / f"files{n}" / "t/32" / sha[:2] / sha[2:4] / f"{sha}.jpg").read_bytes()
            with rig.ns.redis.client(decode_responses=True) as client:
                assert rig.sha256(small) in client.hget(f"{rig.ns.name}:img:o:{{{sha}}}", "thumbs")


def test_T139_full(new_rig):
    """Nothing waits, nothing is half there, nothing is held against a URL; with room again all are cached without a restart."""
    need_root()
    rig = new_rig(options={"store": {"maxPercent": 100}})
    files = [pictures.noise(230, 220, n) for n in range(12)]  # of 150 kB
    for n, data in enumerate(files):
        rig.host.at[f"/{n}"] = reply(data)
    worker = rig.start_on(TMPFS.format(size="1m"))
    cases = {f"T139/{n}": rig.url(f"/{n}", f"f{n}.localhost") for n in range(12)}
    rig.send(cases)
    rig.facets.wait(lambda: counted(rig, worker, '"store_full"') > 0, 40, "it is full")
    rig.ns.wait_done("images", "normalized", 20)
    rig.facets.poll()
    states = {case: [outcome(image) for image in rig.images(case)] for case in cases}
    assert set(sum(states.values(), [])) <= {"cached", "pending"} and ["pending"] in states.values()
    rig.facets.wait(lambda: counted(rig, worker, "store_paused") == 1, 20, "it is paused")
    assert len(whole_objects(rig, rig.inside(worker))) < 12
    remount(worker, rig, "size=32m")
    rig.settle(cases, 90)
    assert [outcome(rig.image(case)) for case in cases] == ["cached"] * 12
    assert len(whole_objects(rig, rig.inside(worker))) == 12 and worker.alive


def test_T140_read_only(new_rig):
    need_root()
    rig = new_rig()
    rig.host.at["/one"], rig.host.at["/two"] = GOOD, reply(pictures.png(seed=2))
    worker = rig.start_on(TMPFS.format(size="16m"))
    rig.send({"before": rig.url("/one")})
    rig.wait_cached("before", 40)
    remount(worker, rig, "ro")
    rig.send({"T140": rig.url("/two")})
    rig.facets.wait(lambda: counted(rig, worker, '"store_io"') > 0, 40, "it fails")
    rig.ns.wait_done("images", "normalized", 20)
    rig.facets.poll()
    assert outcome(rig.image("T140")) == "pending"
    rig.facets.wait(lambda: rig.host.count("/two") >= 3, 20, "it is tried again")
    first, second, third = [request.at for request in rig.host.requests("/two")][:3]
    assert second - first > 0.9 and third - second > 1.8 and counted(rig, worker, "store_paused") == 1
    entry = rig.entry(rig.url("/two"))
    assert entry.get("state") is None and "nextTry" not in entry and "reason" not in entry
    remount(worker, rig, "rw")
    rig.wait_cached("T140", 90)
    assert worker.alive


def test_T142_one_object_for_the_same_bytes(new_rig):
    rig = new_rig()
    rig.host.other = GOOD
    rig.start()
    urls = [rig.url(f"/{n}", f"u{n}.localhost") for n in range(5)]
    rig.send({"T142": urls})
    images = rig.wait_cached("T142")
    sha, = {image["sha256"] for image in images}
    assert len(rig.objects()) == 1 and rig.host.count() == 5
    with rig.ns.redis.client(decode_responses=True) as client:
        assert client.smembers(f"{rig.ns.name}:img:urls:{{{sha}}}") == {rig.sha256(url.encode()) for url in urls}
    assert all(rig.entry(url)["sha256"] == sha for url in urls)


def test_T143_deleted_behind_our_back(new_rig):
    """The next use sees it: its articles are pending, it is fetched again, they are cached again."""
    rig = new_rig()
    rig.host.at["/one"] = GOOD
    rig.start()
    url = rig.url("/one")
    rig.send({"T143": url, "T143/other": url})
    image, = rig.wait_cached("T143")
    rig.wait_cached("T143/other")
    path = next(rig.store.glob(f"o/*/*/{image['sha256']}.png"))
    path.unlink()
    rig.send({"T143": url})
    rig.facets.wait(lambda: rig.host.count() == 2 and path.exists(), 30, "it is fetched again")
    rig.facets.wait(lambda: all(rig.history(case)[-2:] == [["pending"], ["cached"]] for case in ("T143", "T143/other")), 20,
                    lambda: f"pending, then cached; {rig.history('T143')}, {rig.history('T143/other')}")


def test_T148_left_over_files(new_rig):
    rig = new_rig()
    folder = rig.store / "tmp"
    folder.mkdir(mode=0o700)
    old, young, other = folder / ".t0123456789abcdef", folder / ".tfedcba9876543210", folder / "notes.txt"
    for path in old, young, other:
        path.write_bytes(b"half")
    for path in old, other:
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    wait_ready(rig.start())
    assert not old.exists() and young.exists() and other.exists()


def test_T149_links_in_the_store_are_not_followed(new_rig, tmp_path):
    rig = new_rig()
    rig.host.at["/one"] = GOOD
    worker = rig.start()
    wait_ready(worker)
    sha = rig.sha256(pictures.png())
    (tmp_path / "elsewhere").mkdir()
    place = rig.store / "o" / sha[:2]
    if place.exists():
        place.rmdir()
    place.symlink_to(tmp_path / "elsewhere")
    rig.send({"T149": rig.url("/one")})
    rig.facets.wait(lambda: counted(rig, worker, '"store_io"') > 0, 30, "it is refused")
    assert outcome(rig.image("T149")) == "pending" and list((tmp_path / "elsewhere").iterdir()) == []
    place.unlink()
    place.mkdir()
    rig.wait_cached("T149", 60)
    assert rig.sha256(rig.stored(rig.image("T149"))) == sha


def test_T150_others_can_write_to_the_folder(new_rig):
    rig = new_rig(store_mode=0o777)
    refused(rig.start(), str(rig.store), "0777")


def test_T150_the_folder_belongs_to_another(new_rig):
    need_root()
    rig = new_rig()
    os.chown(rig.store, 12345, -1)
    refused(rig.start(), str(rig.store), "12345")


# ---- S3

@pytest.fixture(scope="module")
def server():
    one = s3_rig.S3().start()
    yield one
    one.close()


def s3_options(server, url, prefix, temp):
    temp.mkdir(mode=0o700, exist_ok=True)
    return {"store": {"kind": "s3", "s3": {"endpoint": url, "region": s3_rig.REGION, "bucket": s3_rig.BUCKET, "prefix": prefix, "timeoutMs": 2000,
                                           "accessKeyFile": str(server.folder / "access"), "secretKeyFile": str(server.folder / "secret")}},
            "tempPath": str(temp)}


@pytest.mark.parametrize("plan", [[], ["swallow"], [("cut", 600)], ["damage"]], ids=["well", "swallow", "cut", "damage"])
def test_T151_puts_over_a_bad_network(new_rig, server, tmp_path, plan):
    """Repeated: one object, the right bytes, and the picture cached."""
    wire = s3_rig.S3Wire(server)
    wire.plan = list(plan)
    prefix = f"T151{len(plan)}{plan[0][0] if plan else ''}"
    try:
        rig = new_rig(options=s3_options(server, wire.url, prefix, tmp_path / "temp"))
        rig.host.at["/one"] = GOOD
        worker = rig.start()
        rig.send({"T151": rig.url("/one")})
        image, = rig.wait_cached("T151", 60)
        keys = server.keys(prefix)
        name = f"o/{image['sha256'][:2]}/{image['sha256'][2:4]}/{image['sha256']}.png"
        assert [key for key in keys if key.startswith("o/")] == [name] and rig.sha256(keys[name]) == image["sha256"]
        assert wire.puts >= (1 if plan == ["swallow"] else 1 + len(plan)) and worker.alive  # what was swallowed is found there
        assert list((tmp_path / "temp").iterdir()) == []
    finally:
        wire.close()


def test_T140_server_away(new_rig, server, tmp_path):
    rig = new_rig(options=s3_options(server, server.url, "T140", tmp_path / "temp"))
    rig.host.at["/one"], rig.host.at["/two"] = GOOD, reply(pictures.png(seed=2))
    worker = rig.start()
    rig.send({"before": rig.url("/one")})
    rig.wait_cached("before", 40)
    server.kill()
    rig.send({"T140": rig.url("/two")})
    rig.facets.wait(lambda: counted(rig, worker, '"store_io"') > 0, 40, "it fails")
    rig.ns.wait_done("images", "normalized", 20)
    assert outcome(rig.image("T140")) == "pending"
    server.start()
    rig.wait_cached("T140", 90)
    until(lambda: counted(rig, worker, "store_paused") == 0, 20, "it is paused no more")
