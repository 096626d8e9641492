"""`newsmill images gc` on a real Redis and a directory: what goes, what stays, and that no kill, no second run and no
worker beside it leaves a picture that is said to be cached and is not there."""

import os
import signal

import pytest

from support.collect import (DAY, HOUR, RedisWire, Space, at_command, build, deleted, deleting, ident, kill, marked, stop_and_go,
                             url)
from support.servers import Redis


# ---- garbage collection

def test_what_nobody_uses_goes_in_two_steps(space):
    space.article(1, 1, 1)
    used, unused = space.keep(1), space.keep(2)
    again = space.keep(3, address=url(2) + "?other")  # another picture under another URL: young below
    space.age(30 * DAY)
    space.keep(4)
    first = space.gc()
    assert first["mark"] == {"n": 2, "bytes": first["mark"]["bytes"]} and first["remove"]["n"] == 0
    assert first["objects"] == 4 and first["files"] == 4 and first["thumbnails"] == 4
    assert "dying" in space.object(unused) and "dying" in space.entry(2) and "dying" not in space.object(used)
    second = space.gc()  # the grace is not over
    assert second["mark"]["n"] == 0 and second["waiting"] == 2 and second["remove"]["n"] == 0
    space.age(HOUR)
    third = space.gc()
    assert third["remove"]["n"] == 2
    assert not space.file(unused).exists() and not space.thumb(unused).exists() and not space.file(again).exists()
    assert space.entry(2) == {} and space.object(unused) == {}
    assert space.file(used).exists()
    assert len(space.check()) == 2
    assert space.gc()["remove"]["n"] == 0


def test_the_same_bytes_under_five_urls_are_one_object(space):
    shas = {space.ask("keep", url(f"{n}"), 7, 4000, 320)["sha256"] for n in range(5)}
    assert len(shas) == 1 and len(space.names("o")) == 1
    sha = shas.pop()
    space.article(1, 1, 3)
    space.age(31 * DAY)
    assert space.gc()["mark"]["n"] == 0  # one of the five is shown
    space.ask("retract", ident(1), 2)
    space.age(31 * DAY)
    assert space.gc()["mark"]["n"] == 1
    space.age(HOUR)
    assert space.gc()["remove"]["n"] == 1
    assert space.names() == set() and space.object(sha) == {}
    assert all(space.entry(n) == {} for n in range(5))


def test_articles_that_are_gone_leave(space):
    for number in range(1, 4):
        space.article(number, 1, number)
        space.keep(number)
    space.client.delete(space.key("a:", ident(1)))  # its time ran out
    space.client.hset(space.key("a:", ident(2)), "1", "- other")  # lists it no more
    space.age(31 * DAY)
    done = space.gc()
    assert done["mark"]["n"] == 2 and done["members"] == 2
    space.age(HOUR)
    assert space.gc()["remove"]["n"] == 2
    assert len(space.check()) == 1


def test_many_articles_that_are_gone_leave(space):
    for number in range(250):
        space.article(number, 1, 1)
    sha = space.keep(1)
    for number in range(249):
        space.client.delete(space.key("a:", ident(number)))
    space.age(31 * DAY)
    assert space.gc("--dry-run")["mark"]["n"] == 0  # one still shows it
    assert space.gc()["mark"]["n"] == 0
    space.client.delete(space.key("a:", ident(249)))
    assert space.gc()["mark"]["n"] == 1
    assert "dying" in space.object(sha)


@pytest.mark.parametrize("way", ("article", "fetched", "object", "leased"))
def test_a_use_between_mark_and_deletion_keeps_it(space, way):
    """T146: it takes `dying` back."""
    sha = space.keep(1)
    space.age(31 * DAY)
    assert space.gc()["mark"]["n"] == 1
    if way == "leased":  # a fetch is under way when the grace is over
        space.age(HOUR)
        assert space.ask("lease", url(1), "t") == {"how": "taken"}
    else:
        if way == "article":
            space.article(1, 1, 1)
        elif way == "fetched":
            space.ask("keep", url("other"), 1, 5000, 320)
        else:
            space.ask("object", sha)
        space.age(HOUR, files=False)
    assert space.gc()["remove"]["n"] == 0
    assert space.file(sha).exists() and space.thumb(sha).exists()
    space.check()


def test_young_full_and_leased_ones_stay(new_space):
    """T146: never, however little they are used."""
    space = new_space(gc={"idleMs": 1, "graceMs": 1, "minAgeMs": HOUR}, maxUsers=1)
    young, full, leased = space.keep(1), space.keep(2), space.keep(3)
    space.client.hset(space.key("", space.hash(2)), "full", 1)
    space.age(31 * DAY)
    assert space.ask("lease", url(3), "t") == {"how": "taken"}  # stale by then
    space.client.hset(space.key("o:", young), "storedAt", space.now())
    assert space.gc()["mark"]["n"] == 0
    space.client.hset(space.key("o:", young), "storedAt", space.now() - 2 * HOUR)
    assert space.gc()["mark"]["n"] == 1
    assert "dying" not in space.object(full) and "dying" not in space.object(leased)


# ---- what Redis does not know

def test_files_that_redis_does_not_know_are_adopted(space):
    old, young = space.ask("put", 1, 3000, 0, 320), space.ask("put", 2, 3000, 0)
    space.age(DAY)
    os.utime(space.file(young["sha256"]))
    done = space.gc()
    assert done["adopt"] == {"n": 1, "bytes": 3000} and done["mark"]["n"] == 0
    assert space.object(old["sha256"])["type"] == "image/png" and space.object(young["sha256"]) == {}
    space.age(30 * DAY)
    done = space.gc()
    assert done["adopt"]["n"] == 1 and done["mark"]["n"] == 2  # both, by now
    space.age(HOUR)
    assert space.gc()["remove"]["n"] == 2
    assert space.names() == set() and space.check() == {}


def test_all_of_redis_lost(space):
    """Files stay until gc.idleMs after they were stored; what is fetched again meanwhile is no second copy."""
    shas = [space.keep(number) for number in range(6)]
    space.age(10 * DAY)
    for key in space.client.scan_iter(f"{space.name}:*"):
        space.client.delete(key)
    assert space.ask("keep", url(0), 0, 5000, 320)["sha256"] == shas[0]
    done = space.gc()
    assert done["adopt"]["n"] == 5 and done["objects"] == 6 and done["mark"]["n"] == 0
    assert space.ask("keep", url(1), 1, 5000, 320)["sha256"] == shas[1]
    space.article(1, 1, 1)
    space.age(20 * DAY)
    assert space.gc()["mark"]["n"] == 4
    assert space.ask("keep", url(2), 2, 5000, 320)["sha256"] == shas[2]  # between mark and deletion
    space.age(HOUR)
    assert space.gc()["remove"]["n"] == 3
    assert {path.stem for path in space.files(("o",))} == set(shas[:3])
    space.check()


def test_thumbnails_without_an_object_go(space):
    lone, kept = space.ask("put", 1, 3000, 0, 320, 1200), space.keep(2)
    space.file(lone["sha256"]).unlink()
    assert space.gc()["orphan"]["n"] == 0  # young
    space.age(DAY)
    done = space.gc()
    assert done["orphan"] == {"n": 2, "bytes": 200} and done["adopt"]["n"] == 0 and done["mark"]["n"] == 1
    space.age(HOUR)
    assert space.gc()["remove"]["n"] == 1
    assert not space.thumb(lone["sha256"]).exists() and not space.thumb(lone["sha256"], 1200).exists()
    assert space.thumb(kept).exists()
    assert set(space.check()) == {kept}


def test_thumbnails_that_their_object_no_longer_lists_go(space):
    sha, today = space.keep(1, edges=(320,)), space.keep(3, edges=(100,))
    space.ask("put", 1, 5000, 0, 100)  # of other settings, once
    space.ask("put", 3, 5000, 0, 320)  # of the settings of today: somebody may be about to list it
    space.age(DAY)
    assert space.gc("--dry-run")["orphan"]["n"] == 1
    space.ask("object", sha)
    assert space.gc()["orphan"]["n"] == 0  # used just now
    space.age(DAY)
    assert space.gc()["orphan"]["n"] == 1
    assert not space.thumb(sha, 100).exists() and space.thumb(sha, 320).exists() and space.thumb(today, 320).exists()
    space.check()


def test_names_that_are_not_ours_are_counted_and_left(space):
    space.keep(1)
    (space.path / "o" / "aa" / "note.txt").write_text("mine")
    space.client.zadd(f"{space.name}:img:lru", {"not a hash": 1})
    space.age(31 * DAY)
    assert space.gc()["foreign"] == 2
    assert (space.path / "o" / "aa" / "note.txt").exists()
    space.client.zrem(f"{space.name}:img:lru", "not a hash")


def test_more_than_a_page_with_equal_scores(space):
    """Objects of a second look the same to the index; none is passed over."""
    for number in range(450):
        space.ask("put", number, 20, 0)
    space.age(DAY)
    for path in space.files():
        os.utime(path, (1_700_000_000, 1_700_000_000))
    done = space.gc()
    assert done["adopt"]["n"] == 450 and done["mark"]["n"] == 450
    space.age(HOUR)
    assert space.gc()["remove"]["n"] == 450
    assert space.names() == set() and space.check() == {}


# ---- nothing is changed

def test_a_dry_run_changes_nothing(new_space):
    space = new_space()
    space.options["store"]["maxBytes"] = 20_000
    space.write(space.redis.url)
    for number in range(1, 9):
        space.article(number, 1, number)
        space.keep(number)
    space.client.delete(space.key("a:", ident(1)))
    for number in (2, 3):
        space.ask("retract", ident(number), 2)
    space.client.sadd(space.key("urls:", space.entry(5)["sha256"]), "f" * 64)  # only seems to be one
    lone = space.ask("put", 50, 3000, 0)
    space.file(space.ask("put", 51, 3000, 0, 320)["sha256"]).unlink()
    space.age(31 * DAY)
    marked = space.keep(60)
    space.client.hset(space.key("o:", marked), "dying", space.now() - 2 * HOUR)
    before = space.everything()
    dry = space.gc("--dry-run")
    text = space.images("gc", "--dry-run", check=True).stdout
    assert space.run("scrub", "--percent", "100", "--dry-run")["hashed"] > 0
    assert space.run("purge", url(4), "--dry-run")["dryRun"]
    assert space.everything() == before
    assert (dry["mark"]["n"], dry["members"], dry["adopt"]["n"], dry["orphan"]["n"], dry["remove"]["n"]) == (3, 1, 1, 1, 1)
    assert f"adopt   {lone['name']}" in text and f"remove  {marked}" in text
    assert text.count("\nmark ") + text.startswith("mark ") == 3 and "would mark, long unused" in text
    real = space.gc()
    # Without the articles that a dry run leaves in, and what it does not adopt.
    assert real["evict"] == dry["evict"] and real["mark"]["n"] == 3 + 2


# ---- two at once, and killed

def finish(space):
    """What one gc after the other makes of it in the end."""
    for _ in range(4):
        space.gc()
        space.age(HOUR)
    objects = space.check()
    assert {path.stem for path in space.files()} == set(objects)
    return set(objects)


def test_killed_before_each_command(new_space, redis):
    """kill -9 at every step: the next run ends where an undisturbed one ends, and at no time is there an entry that is cached
    without its object."""
    twin = new_space()
    build(twin)
    expected = finish(twin)
    assert len(expected) == 4
    space = new_space()
    build(space)
    kills = 0
    for step in range(1000):
        wire = RedisWire(redis.port)
        wire.stop_at, wire.answered = 6 + step, step % 2 == 1
        process = space.start("gc", config=space.write(wire.url, space.folder / "wire.yaml"))
        wire.action = lambda _, process=process: kill(process)
        process.communicate(timeout=60)
        wire.close()
        space.check()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, process.returncode
        kills += 1
        if step % 7 == 0:
            space.age(HOUR)
    assert kills > 20
    assert finish(space) == expected


def test_two_at_once(new_space):
    twin, space = new_space(), new_space()
    build(twin, 60)
    build(space, 60)
    expected = finish(twin)
    for _ in range(4):
        pair = [space.start("gc", "--json") for _ in range(3)]
        for process in pair:
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, (out, err)
        space.check()
        space.age(HOUR)
    assert finish(space) == expected


def test_a_use_right_before_the_script_keeps_it(space, redis):
    sha = marked(space)
    process, _, err = at_command(space, redis, deleting(sha), lambda _: space.article(1, 1, 1))
    assert process.returncode == 0, err
    assert space.file(sha).exists()
    space.check()


def test_a_gc_that_is_stopped_after_the_script_and_a_writer_of_the_same_bytes(space, redis):
    """The writer is told to put it again; the late gc removes nothing, and what it had says is fetched again."""
    sha = marked(space)

    def between():
        assert space.ask("lease", url("new"), "w") == {"how": "taken"}
        assert space.ask("put", 1, 5000, 0, 320)["put"] == "existed"
        answer = space.ask("result", url("new"), "w", 1, 5000, 0, 0, 320)
        assert answer["how"] == "deleting"
        space.age(60_000, files=False)  # the writer waits
        space.client.pexpire(space.key("lease:", space.hash("new")), 15000)
        answer = space.ask("result", url("new"), "w", 1, 5000, 0, 0, 320)
        since = answer["since"]
        assert space.ask("put", 1, 5000, 1, 320)["put"] == "replaced"
        assert space.ask("result", url("new"), "w", 1, 5000, since, 0, 320)["how"] == "cached"

    process, _, err = at_command(space, redis, deleting(sha), lambda process: stop_and_go(process, between), answered=True)
    assert process.returncode == 0, err
    space.check()


def test_a_writer_that_found_the_file_before_gc_removed_it(space):
    """All of gc between the put and the result: nothing is left that could tell the writer but what he found."""
    marked(space)
    assert space.ask("lease", url("new"), "w") == {"how": "taken"}
    assert space.ask("put", 1, 5000, 0, 320)["put"] == "existed"
    assert space.gc()["remove"]["n"] == 1
    answer = space.ask("result", url("new"), "w", 1, 5000, 0, 1, 320)
    assert (answer["how"], answer["value"]) == ("late", 1)
    space.check()
    assert space.ask("put", 1, 5000, 1, 320)["put"] == "replaced"
    assert space.ask("result", url("new"), "w", 1, 5000, 0, 0, 320)["how"] == "cached"
    space.check()


def test_a_gc_that_is_killed_after_the_script_is_taken_over(space, redis):
    sha = marked(space)
    process, *_ = at_command(space, redis, deleting(sha), kill, answered=True)
    assert process.returncode == -signal.SIGKILL
    assert "deleting" in space.object(sha) and space.file(sha).exists() and space.entry(1) == {}
    assert space.gc()["waiting"] == 1  # somebody else's, for a minute
    space.age(60_000)
    assert space.gc()["remove"]["n"] == 1
    assert space.names() == set() and space.check() == {}


def test_a_gc_that_is_killed_after_the_file_is_taken_over(space, redis):
    sha = marked(space)
    process, *_ = at_command(space, redis, deleted(sha), kill)
    assert process.returncode == -signal.SIGKILL
    assert "deleting" in space.object(sha) and not space.file(sha).exists()
    space.age(60_000)
    assert space.gc()["remove"]["n"] == 1
    assert space.check() == {}


def test_redis_goes_back_across_the_removal(new_space, tmp_path):
    """T146: Redis is as it was before the mark, while the file goes: it learns that, and what shows the object is fetched again."""
    own = Redis(tmp_path / "own").start()
    try:
        space = Space(tmp_path, own)
        space.article(1, 1, 1)
        sha = space.keep(1)
        space.ask("retract", ident(1), 2)
        space.age(31 * DAY)
        snapshot = own.snapshot()
        assert space.gc()["mark"]["n"] == 1
        space.age(HOUR)

        def rollback(_):
            space.client.close()
            own.rollback(snapshot)

        process, _, err = at_command(space, own, deleted(sha), rollback)
        assert process.returncode == 0 and "trying again" in err
        assert not space.file(sha).exists() and "state" not in space.entry(1) and space.object(sha) == {}
        space.check()
        space.driver.process.kill()
        space.driver.process.communicate()
        space.client.close()
    finally:
        own.close()
