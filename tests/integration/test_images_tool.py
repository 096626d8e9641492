"""`newsmill images ls`, `show` and `refetch`: what is shown of the state that a worker of images left in Redis, and of
what anybody else may have written there."""

import json
import subprocess

from support.collect import DAY, HOUR, ident, url
from support.workers import program


def rows(space, *words):
    return [json.loads(line) for line in space.images("ls", "--json", *words, check=True).stdout.splitlines()]


def fill(space):
    """1 cached, 2 failed for a day, 3 pending, 4 failed for ever, of another host."""
    space.article(1, 1, 1, 2)
    space.article(2, 1, 1, 3)
    other = "https://cdn.other.test/a%20b.png?size=large"
    assert space.ask("article", ident(3), 1, other)["how"] == "article"
    sha = space.keep(1)
    for address, reason, status in ((url(2), "bad_status", 404), (other, "url_port", 0)):
        assert space.ask("lease", address, "t") == {"how": "taken"}
        assert space.ask("failed", address, "t", reason, status) == {"how": "failed"}
    return sha, other


def test_ls(space):
    done = space.images("ls", check=True)
    assert done.stdout.split() == ["state", "reason", "size", "bytes", "fetched", "next", "try", "users", "url"]
    assert f"namespace {space.name} knows no images" in done.stderr
    sha, other = fill(space)
    found = {row["url"]: row for row in rows(space)}
    assert set(found) == {url(1), url(2), url(3), other}
    one = found[url(1)]
    assert (one["state"], one["sha256"], one["width"], one["height"], one["bytes"], one["users"]) == ("cached", sha, 64, 48, 5000, 2)
    assert one["hash"] == space.hash(1) and one["type"] == "image/png" and one["fetchedAt"].endswith("Z")
    assert found[url(2)]["reason"] == "bad_status" and "nextTry" in found[url(2)] and found[url(3)]["state"] == "pending"
    assert found[other]["never"] == 1 and "nextTry" not in found[other]
    assert [row["url"] for row in rows(space, "--state", "cached")] == [url(1)]
    assert [row["url"] for row in rows(space, "--state", "failed", "--reason", "url_port")] == [other]
    assert [row["url"] for row in rows(space, "--host", "CDN.Other.test")] == [other]
    assert len(rows(space, "--limit", "3")) == 3 and rows(space, "--host", "cdn.other.example") == []
    assert space.images("ls", "--limit", "10001").returncode == 2
    table = space.images("ls", "--state", "failed", env={"COLUMNS": "200"}, check=True).stdout
    assert "url_port" in table and other in table and url(1) not in table


def test_ls_of_many(space):
    space.article(0, 1, *range(16))
    pipe = space.client.pipeline()
    for number in range(16, 3000):
        pipe.hset(space.key("", space.hash(number)), mapping={"lastUsed": 1, "token": "x"})
    pipe.execute()
    assert len(rows(space, "--limit", "5000")) == 3000
    assert len(rows(space, "--host", "img.test", "--limit", "5000")) == 16  # of the others no article says what they are


def test_show_of_a_url_of_an_object_and_of_an_article(space):
    sha, other = fill(space)
    by_url, by_hash = space.run("show", url(1)), space.run("show", space.hash(1))
    assert by_url == by_hash
    shown = by_url["url"]
    assert (shown["url"], shown["hash"], shown["state"], shown["users"]) == (url(1), space.hash(1), "cached", 2)
    assert sorted(shown["articles"]) == sorted((ident(1), ident(2))) and shown["rawWidth"] == 64 and shown["orientation"] == 1
    thumb = by_url["object"].pop("thumbs")
    assert [(one["edge"], one["width"], one["height"], one["type"]) for one in thumb] == [(320, 320, 10, "image/jpeg")]
    assert by_url["object"] == space.run("show", sha)["object"] | {} or "thumbs" not in by_url["object"]
    assert space.run("show", sha)["object"]["urlHashes"] == [space.hash(1)]
    article = space.run("show", ident(1))
    assert article["article"] == ident(1)
    assert [(image["url"], image["state"]) for image in article["images"]] == [(url(1), "cached"), (url(2), "failed")]
    assert space.ask("lease", url(3), "t") == {"how": "taken"}
    assert 0 < space.run("show", url(3))["url"]["leaseMs"] <= 15000
    text = space.images("show", url(1), check=True).stdout
    assert sha in text and "cached" in text and ident(2) in text
    space.ask("retract", ident(1), 2)
    assert space.run("show", ident(1))["retracted"] is True
    for unknown in (url(99), "f" * 64, ident(99), "https://news.example/an-article"):
        done = space.images("show", unknown)
        assert done.returncode == 3 and done.stdout == "" and "nothing is known" in done.stderr
    done = space.images("show", "neither")
    assert done.returncode == 2


def test_show_of_a_refused_image(space):
    refused = "ftp://user:secret@h.test/x.png"
    space.client.hset(space.key("a:", ident(7)), mapping={"rev": "1".zfill(16), "1": f"- 1 url_scheme {len(refused)} {refused}"})
    shown = space.run("show", ident(7))["images"][0]
    assert (shown["state"], shown["reason"]) == ("failed", "url_scheme") and "secret" not in json.dumps(shown)


def test_refetch(space):
    fill(space)
    space.not_due()
    assert space.run("refetch", url(2)) == {"hash": space.hash(2), "articles": 1}
    assert "state" not in space.entry(2) and space.due(1) and not space.due(2)
    assert space.ask("lease", url(2), "again") == {"how": "taken"}
    space.not_due()
    assert space.run("refetch", space.hash(1))["articles"] == 2  # fresh, and yet
    assert "sha256" not in space.entry(1) and space.due(2)
    text = space.images("refetch", url(3), check=True).stdout
    assert "1 article looks at it now" in text
    space.ask("retract", ident(2), 2)
    assert "nobody fetches it" in space.images("refetch", url(3), check=True).stdout
    before = space.everything()
    done = space.images("refetch", url(77))
    assert done.returncode == 3 and space.everything() == before
    sha = space.keep(1)
    assert space.images("refetch", sha).returncode == 3 and space.entry(1)["state"] == "cached"


def test_what_others_wrote_is_left_out(space):
    """Whoever can write to Redis can write anything there: nothing of it crashes, or reaches a terminal as it is."""
    fill(space)
    evil = "\x1b[31m\u202e\nred"
    space.client.hset(space.key("", space.hash(2)), mapping={
        "reason": evil, "width": "9" * 30, "nextTry": "-5", "etag": "e" * 100_000, "bytes": "x", "state": "cached?"})
    space.client.hset(space.key("a:", ident(1)), mapping={"1": "x" * 200, "2": f"{space.hash(2)} 1 - 999 https://img.test/2.png",
                                                           "3": f"{space.hash(2)} 1 - 22 https://img.test/3.png!", "4": "no space"})
    space.client.sadd(space.key("users:", space.hash(2)), "junk", "0:short", "x" * 5000)
    space.client.set(f"{space.name}:img:{{{'zz' * 32}}}", "not one of ours")
    space.client.hset(f"{space.name}:img:{{short}}", "state", "cached")
    for words in (("ls",), ("ls", "--host", "img.test"), ("show", url(2)), ("show", ident(1))):
        done = space.images(*words, check=True)
        assert "\x1b" not in done.stdout and "\u202e" not in done.stdout and len(done.stdout) < 20_000
        json.loads(f"[{space.images(*words, '--json', check=True).stdout.strip().replace(chr(10) + '{', ',{')}]")
    row = next(row for row in rows(space) if row["hash"] == space.hash(2))
    assert row["state"] == "pending" and "width" not in row and "etag" not in row and "url" not in row
    space.client.delete(space.key("", space.hash(1)))
    space.client.set(space.key("", space.hash(1)), "a string")
    done = space.images("ls")
    assert done.returncode == 1 and "WRONGTYPE" in done.stderr


def test_gc_and_scrub_of_what_others_wrote(space):
    sha = space.keep(1)
    lru = f"{space.name}:img:lru"
    space.client.hset(space.key("o:", sha), mapping={"thumbs": "1 2 3", "bytes": "-9", "type": "image/../../x"})
    space.client.zadd(lru, {"ab" * 32: 5, "cd" * 32: -1e300, "x" * 10_000: 7, "": 8})
    space.client.sadd(space.key("urls:", sha), "x" * 9000, "y")
    space.client.set(f"{space.name}:img:scrub", "g" * 64)
    space.age(31 * DAY)
    space.client.zadd(lru, {sha: 5})
    space.client.hset(space.key("o:", "ab" * 32), mapping={"storedAt": "1e9999", "dying": "x"})
    assert space.gc()["mark"]["n"] == 1
    assert space.run("scrub", "--percent", "100")["files"] == 1
    space.client.delete(space.key("o:", "ab" * 32))
    space.age(HOUR)
    assert space.gc()["remove"]["n"] == 1
    assert not space.file(sha).exists() and not space.thumb(sha).exists()


def test_help_and_the_list_of_commands():
    text = subprocess.run([program("newsmill"), "help", "images"], capture_output=True, text=True, check=True).stdout
    for word in ("ls|show|refetch|purge|gc|scrub", "--dry-run", "--percent P", "images.gc.graceMs"):
        assert word in text
    assert all(len(line) <= 130 for line in text.splitlines())
    assert "\n  images " in subprocess.run([program("newsmill"), "help"], capture_output=True, text=True, check=True).stdout
