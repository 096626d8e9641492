"""Eviction, purge and the scrubber of `newsmill images` on a real Redis, a directory and an S3 server; and what is wrong
around them: a store that fails, permissions, stops, usage."""

import os
import random
import secrets
import signal
import subprocess

import pytest

from support import s3 as rig
from support.collect import DAY, HOUR, RedisWire, at_command, build, flip, ident, kill, purging, url
from support.secured import documented_acl
from support.workers import program


# ---- eviction

def capped(new_space, cap=100_000, n=20, **options):
    space = new_space(**options)
    space.options["store"]["maxBytes"] = cap
    space.write(space.redis.url)
    shas = []
    for number in range(n):
        space.article(number, 1, number)
        shas.append(space.keep(number, size=10_000, edges=()))
        space.client.zadd(f"{space.name}:img:lru", {shas[-1]: space.now() - 2 * HOUR + number * 1000})
    space.age(2 * HOUR)
    space.not_due()
    return space, shas


def test_eviction_takes_the_least_used_and_stops_at_15_sixteenths(new_space):
    """T147: 75 % of a volume at 80 %."""
    space, shas = capped(new_space, cap=160_000)
    done = space.gc()
    assert done["evict"] == {"n": 5, "bytes": 50_000} and done["unused"]["n"] == 0 and done["remove"]["n"] == 0
    assert [number for number in range(20) if space.entry(number)["state"] == "failed"] == list(range(5))
    assert space.entry(0)["reason"] == "evicted" and "nextTry" not in space.entry(0)
    assert space.due(0) and not space.due(5)  # its article is told before the file goes
    assert space.file(shas[0]).exists()
    again = space.gc()  # what is on its way counts
    assert again["evict"]["n"] == 0 and again["waiting"] == 5
    space.age(HOUR)
    assert space.gc()["remove"]["n"] == 5
    assert {path.stem for path in space.files(("o",))} == set(shas[5:])
    assert space.gc()["evict"]["n"] == 0
    space.check()


def test_eviction_takes_what_no_article_shows_first(new_space):
    space, shas = capped(new_space, cap=160_000)
    for number in (17, 18, 19):  # of all the ones that were used last
        space.ask("retract", ident(number), 2)
    done = space.gc()
    assert done["unused"]["n"] == 3 and done["evict"]["n"] == 2
    assert [number for number in range(20) if "dying" in space.object(shas[number])] == [0, 1, 17, 18, 19]
    assert space.entry(17)["state"] == "cached"  # not failed: a use takes it back
    space.article(17, 3, 17)
    space.age(HOUR)
    assert space.gc()["remove"]["n"] == 4
    space.check()


def test_eviction_spares_young_leased_and_full_ones(new_space):
    space, shas = capped(new_space, cap=16_000)
    space.client.hset(space.key("o:", shas[0]), "storedAt", space.now())
    space.client.hset(space.key("", space.hash(1)), "full", 1)
    space.client.set(space.key("lease:", space.hash(2)), "t", px=60_000)
    done = space.gc(code=3)
    assert done["evict"]["n"] == 17 and done["shortBytes"] == 200_000 - 15_000 - 170_000
    assert all("dying" not in space.object(sha) for sha in shas[:3])
    space.check()


def test_the_volume_above_its_percentage(new_space):
    """A cap that no run can reach: all that may go goes, and the exit code says that it was not enough."""
    space, _ = capped(new_space, cap=0)
    volume = os.statvfs(space.path)
    if volume.f_bfree > volume.f_blocks * 0.98:
        pytest.skip("the volume is empty")
    space.options["store"]["maxPercent"] = 1
    space.write(space.redis.url)
    dry = space.gc("--dry-run", code=3)
    done = space.gc(code=3)
    assert done["evict"]["n"] == dry["evict"]["n"] == 20 and done["shortBytes"] > 0
    assert "above its cap by" in space.images("gc").stderr
    space.check()


def test_two_evictions_at_once_take_no_more_than_one(new_space):
    space, _ = capped(new_space, cap=800_000, n=120)
    processes = [space.start("gc", "--json") for _ in range(3)]
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, (out, err)

    def evicted():
        return sum(space.entry(number)["state"] == "failed" for number in range(120))

    assert 15 <= evicted() <= 46  # 45 of one alone; what each of them saw the other take counts, if in doubt twice
    space.gc()
    assert 45 <= evicted() <= 46
    space.check()


def test_a_reader_goes_on_reading(new_space):
    space, shas = capped(new_space, cap=16_000)
    space.gc()
    space.age(HOUR)
    with open(space.file(shas[3]), "rb") as reader:
        assert space.gc()["remove"]["n"] > 10
        assert not space.file(shas[3]).exists()
        assert len(reader.read()) == 10_000


# ---- purge

def test_purge_takes_it_at_once(space):
    space.article(1, 1, 1)
    sha = space.keep(1)
    space.ask("keep", url("twin"), 1, 5000, 320)
    space.not_due()
    assert space.run("purge", url(1))["sha256"] == sha
    assert not space.file(sha).exists() and not space.thumb(sha).exists()
    assert space.entry(1)["reason"] == space.entry("twin")["reason"] == "evicted" and space.due(1)
    assert "deleting" in space.object(sha)  # a writer may have seen the file
    assert space.gc()["remove"]["n"] == 0
    space.age(HOUR)
    assert space.gc()["remove"]["n"] == 1
    assert space.check() == {}
    assert space.run("refetch", url(1))["articles"] == 1
    assert "state" not in space.entry(1) and space.due(1)


def test_purge_and_a_writer_that_saw_the_file(space):
    sha = space.keep(1)
    assert space.ask("lease", url(2), "w") == {"how": "taken"}
    assert space.ask("put", 1, 5000, 0, 320)["put"] == "existed"
    assert space.run("purge", sha)["sha256"] == sha
    answer = space.ask("result", url(2), "w", 1, 5000, 0, 0, 320)
    assert answer["how"] == "deleting"
    since = answer["since"]
    assert space.ask("put", 1, 5000, 1, 320)["put"] == "replaced"
    assert space.gc()["remove"]["n"] == 0
    assert space.ask("result", url(2), "w", 1, 5000, since, 0, 320)["how"] == "cached"
    space.age(2 * HOUR)
    assert space.gc()["remove"]["n"] == 0
    space.check()


def test_purge_takes_the_lease_of_who_fetches_it(space):
    sha = space.keep(1)
    space.age(91 * DAY)
    space.client.hset(space.key("o:", sha), "storedAt", space.now())  # young, too
    assert space.ask("lease", url(1), "w") == {"how": "taken"}
    assert space.run("purge", sha)["sha256"] == sha
    assert not space.client.exists(space.key("lease:", space.hash(1)))
    assert space.ask("result", url(1), "w", 1, 5000, 0, 0, 320)["how"] == "lost"
    assert space.entry(1)["reason"] == "evicted"
    space.check()


def test_purge_twice_and_after_a_kill(space, redis):
    sha = space.keep(1)
    process, *_ = at_command(space, redis, purging(sha), kill, ("purge", sha), answered=True)
    assert process.returncode == -signal.SIGKILL and space.file(sha).exists()
    done = space.images("purge", sha)
    assert done.returncode == 3 and "just now" in done.stderr
    space.age(60_000, files=False)
    space.run("purge", sha)
    assert not space.file(sha).exists()
    space.run("purge", sha)
    space.age(HOUR)
    assert space.gc()["remove"]["n"] == 1
    assert space.images("purge", sha).returncode == 3 and space.check() == {}


def test_after_a_purge_nobody_waits_to_put_it_again(space):
    sha = space.keep(1)
    space.run("purge", sha)
    space.run("refetch", url(1))
    assert space.ask("lease", url(1), "w") == {"how": "taken"}
    assert space.ask("put", 1, 5000, 0, 320)["put"] == "stored"
    answer = space.ask("result", url(1), "w", 1, 5000, 0, 0, 320)
    assert answer["how"] == "deleting" and answer["value"] <= space.now()
    assert space.ask("put", 1, 5000, 1, 320)["put"] == "replaced"
    assert space.ask("result", url(1), "w", 1, 5000, answer["since"], 0, 320)["how"] == "cached"
    space.age(2 * HOUR)
    assert space.gc()["remove"]["n"] == 0
    space.check()


@pytest.mark.parametrize("what", (url(9), "0" * 64))
def test_purge_of_what_is_not_there(space, what):
    space.keep(1)
    done = space.images("purge", what)
    assert done.returncode == 3 and done.stdout == "", done.stderr
    space.check()


# ---- the scrubber

@pytest.mark.parametrize("thumb", (False, True))
def test_scrub_finds_a_flipped_bit(space, thumb):
    """T144, of an object and of a thumbnail."""
    space.article(1, 1, 1)
    sha = space.keep(1)
    space.keep(2)
    space.not_due()
    path = space.thumb(sha) if thumb else space.file(sha)
    flip(path)
    done = space.run("scrub", "--percent", "100")
    assert done["damaged"]["n"] == 1 and done["missing"]["n"] == 0 and done["hashed"] == 4 - (not thumb)
    assert not path.exists() and len(space.files(("q",))) == 1
    assert "state" not in space.entry(1) and space.due(1) and space.entry(2)["state"] == "cached"
    space.keep(1)
    assert space.run("scrub", "--percent", "100")["damaged"]["n"] == 0
    space.check()


@pytest.mark.parametrize("thumb", (False, True))
def test_scrub_finds_what_is_missing(space, thumb):
    space.article(1, 1, 1)
    sha = space.keep(1)
    space.keep(2)
    (space.thumb(sha) if thumb else space.file(sha)).unlink()
    done = space.run("scrub", "--percent", "100")
    assert done["missing"]["n"] == 1 and done["damaged"]["n"] == 0
    assert "state" not in space.entry(1) and space.due(1)
    space.check()


def test_scrubs_one_after_the_other_see_everything(space):
    rng = random.Random(7)
    shas = [space.keep(number, size=50, edges=()) for number in range(300)]
    seen = 0
    for turn in range(10):
        seen += space.run("scrub", "--percent", "10")["files"]
    assert seen == 300
    hurt = rng.sample(shas, 20)
    for sha in hurt[:10]:
        flip(space.file(sha))
    for sha in hurt[10:]:
        space.file(sha).unlink()
    found = [0, 0]
    for turn in range(4):
        done = space.run("scrub", "--percent", "25")
        found[0] += done["damaged"]["n"]
        found[1] += done["missing"]["n"]
    assert found == [10, 10]
    space.check()


def test_a_scrub_that_is_killed_goes_on_where_it_was(space, redis):
    shas = [space.keep(number, size=50, edges=()) for number in range(200)]
    hurt = sorted(shas)[::20]
    for sha in hurt:
        flip(space.file(sha))
    cursors = []
    for step in range(60):
        wire = RedisWire(redis.port)
        wire.stop_at, wire.answered = 215 + 40 * step, step % 2 == 1
        process = space.start("scrub", "--percent", "100", "--json", config=space.write(wire.url, space.folder / "wire.yaml"))
        wire.action = lambda _, process=process: kill(process)
        process.communicate(timeout=60)
        wire.close()
        if process.returncode == 0:
            break
        cursors.append(space.client.get(f"{space.name}:img:scrub") or "")
    else:
        raise AssertionError("never came to the end")
    assert step > 2 and len(set(cursors)) > 2  # each began where the one before was
    assert space.run("scrub", "--percent", "100")["damaged"]["n"] == 0
    assert len(space.files(("q",))) == len(hurt)
    space.check()


# ---- S3

@pytest.fixture(scope="module")
def server():
    one = rig.S3().start()
    yield one
    one.close(keep=bool(os.environ.get("NM_KEEP")))


@pytest.fixture
def bucket(server, new_space, tmp_path):
    """A space whose store is a prefix on the server; .keys(): what lies there."""
    prefix, temp = f"c{secrets.token_hex(5)}", tmp_path / "temp"
    temp.mkdir(mode=0o700)
    space = new_space(tempPath=str(temp), store={"kind": "s3", "s3": {
        "endpoint": server.url, "region": rig.REGION, "bucket": rig.BUCKET, "prefix": prefix,
        "accessKeyFile": str(server.folder / "access"), "secretKeyFile": str(server.folder / "secret")}})
    space.keys = lambda: server.keys(prefix)
    space.top = server.folder / "data" / rig.BUCKET / prefix
    return space


def test_s3_gc_and_orphans(bucket):
    bucket.article(1, 1, 1)
    used, unused = bucket.keep(1), bucket.keep(2)
    orphan = bucket.ask("put", 3, 3000, 0)
    for path in bucket.top.rglob("*.png"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    bucket.age(31 * DAY)
    done = bucket.gc()
    assert (done["mark"]["n"], done["adopt"]["n"], done["files"], done["thumbnails"]) == (2, 1, 3, 2)
    bucket.age(HOUR)
    assert bucket.gc()["remove"]["n"] == 2
    assert {key.split("/")[-1].split(".")[0] for key in bucket.keys()} == {used}
    assert unused not in str(bucket.keys()) and orphan["sha256"] not in str(bucket.keys())
    bucket.check(bucket.keys())


def test_s3_eviction_purge_and_scrub(bucket):
    shas = []
    for number in range(8):
        bucket.article(number, 1, number)
        shas.append(bucket.keep(number, size=10_000, edges=()))
    bucket.age(2 * HOUR)
    bucket.options["store"]["maxBytes"] = 64_000
    bucket.write(bucket.redis.url)
    assert bucket.gc()["evict"]["n"] == 2
    bucket.age(HOUR)
    assert bucket.gc()["remove"]["n"] == 2
    left = [number for number in range(8) if bucket.entry(number)["state"] == "cached"]
    assert len(left) == 6 and len(bucket.keys()) == 6
    bucket.run("purge", url(left[0]))
    assert len(bucket.keys()) == 5
    next(bucket.top.rglob(f"{shas[left[1]]}.png")).write_bytes(b"x" * 10_000)
    next(bucket.top.rglob(f"{shas[left[2]]}.png")).unlink()
    done = bucket.run("scrub", "--percent", "100")
    assert (done["damaged"]["n"], done["missing"]["n"], done["files"]) == (1, 1, 4)
    assert any(key.startswith("q/") for key in bucket.keys())
    bucket.check(bucket.keys())


def test_s3_that_stops_answering(bucket, server):
    bucket.keep(1)
    bucket.age(31 * DAY)
    bucket.gc()
    bucket.age(HOUR)
    server.kill()
    try:
        done = bucket.images("gc")
        assert done.returncode == 1 and "connect" in done.stderr
    finally:
        server.start()
    assert bucket.gc()["remove"]["n"] == 1
    assert bucket.keys() == {} and bucket.check({}) == {}


# ---- what is wrong around it

def test_the_documented_permissions_are_enough(space, redis):
    """The user of common/README.md may do all of it, and Redis notes no command that he may not."""
    build(space)
    words = [{">PASSWORD": ">once", "~news:*": f"~{space.name}:*", "newsmill": space.name}.get(word, word) for word in documented_acl()]
    space.client.execute_command("ACL", *words)
    space.client.acl_log_reset()
    limited = space.write(redis.url.replace("//", f"//{space.name}:once@"), space.folder / "limited.yaml")
    try:
        flip(space.file(space.keep(300)))
        for words in (("gc", "--dry-run"), ("gc",), ("scrub", "--percent", "100"), ("ls",), ("show", url(300)), ("refetch", url(300)),
                      ("purge", url(200))):
            space.images(*words, config=limited, check=True)
        assert [one for one in space.client.acl_log() if one["username"] == space.name] == []
    finally:
        space.client.execute_command("ACL", "DELUSER", space.name)
    space.check()

def test_the_store_fails(space):
    """A file that cannot be removed: the others go, the exit code tells, and the next run tries again."""
    shas = [space.keep(number) for number in range(3)]
    space.age(31 * DAY)
    space.gc()
    space.age(HOUR)
    space.file(shas[0]).unlink()
    space.file(shas[0]).mkdir()
    done = space.images("gc")
    assert done.returncode == 1 and "store failed at 1" in done.stderr
    assert not space.file(shas[1]).exists() and not space.file(shas[2]).exists()
    space.file(shas[0]).rmdir()
    space.age(60_000, files=False)
    assert space.gc()["remove"]["n"] == 1
    assert space.check() == {}


def test_wrong_paths_and_servers_are_said(space):
    space.options["store"]["path"] = str(space.folder / "mistyped")
    space.write(space.redis.url)
    done = space.images("gc", "--dry-run")
    assert done.returncode == 2 and "mistyped" in done.stderr and not (space.folder / "mistyped").exists()
    space.options["store"]["path"] = str(space.path)
    space.write("redis://127.0.0.1:1/0")
    done = space.images("gc")
    assert done.returncode == 1 and "Redis" in done.stderr


def test_a_stop_ends_it_in_order(space, redis):
    build(space)
    wire = RedisWire(redis.port)
    wire.stop_at = 8
    process = space.start("gc", config=space.write(wire.url, space.folder / "wire.yaml"))
    wire.action = lambda _: process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    wire.close()
    assert process.returncode == 1 and "the next run goes on" in err and "objects in Redis" in out
    space.check()


@pytest.mark.parametrize("words", (("gc", "x"), ("show",), ("refetch",), ("purge", "a", "b"), ("ls", "--percent", "3"), ("gc", "--limit", "3"),
                                   ("scrub", "--percent", "0"), ("refetch", "no url"), ("ls", "--reason", "nonsense"), ("ls", "--host", "a b"),
                                   ("what",)))
def test_usage(space, words):
    done = subprocess.run([program("newsmill"), "images", *words, "-c", str(space.config)], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "newsmill: error:" in done.stderr, done
