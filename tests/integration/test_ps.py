"""`newsmill ps` against a real Redis: workers that announce themselves, and everything else that may stand there.

What a worker writes is tests/integration/test_admin.py's and tests/unit/test_announce.c's matter; here announcements are
written by hand.
"""

import json
import secrets
import time

import pytest
import yaml

from support.servers import free_port
from support.workers import tool

STARTED = "2031-04-12T06:00:00Z"


class Space:
    """A namespace without streams: `ps` asks Redis only."""

    def __init__(self, folder, redis):
        self.name = f"t{secrets.token_hex(5)}"
        self.config = folder / "newsmill.yaml"
        self.config.write_text(yaml.safe_dump({"namespace": self.name, "redis": {"url": redis.url}}))
        self.client = redis.client()

    def announce(self, member, value=None, life_ms=15000, **members):
        """value: bytes that stand there in place of an announcement; life_ms None: the string has expired."""
        worker, _, instance = member.rpartition(":")
        text = json.dumps({"worker": worker, "version": "0.1.0", "instance": instance, "host": "box-1", "pid": 4711,
                           "admin": "127.0.0.1:43211", "startedAt": STARTED, "ready": True, "partitions": [], "lag": 0,
                           **members})
        if life_ms is not None:
            self.client.set(f"{self.name}:ps:{member}", text if value is None else value, px=life_ms)
        self.client.zadd(f"{self.name}:ps", {member: int(time.time() * 1000)})

    def ps(self, *args, **options):
        return tool("ps", "-c", self.config, *args, **options)

    def rows(self):
        return [json.loads(line) for line in self.ps("--json", check=True).stdout.splitlines()]


@pytest.fixture
def space(redis, tmp_path):
    made = Space(tmp_path, redis)
    yield made
    made.client.close()


def test_nobody(space):
    done = space.ps(check=True)
    assert done.stdout.split() == ["worker", "version", "host/pid", "state", "assignment", "lag", "up", "admin"]
    assert f"no worker of namespace {space.name} has announced itself" in done.stderr
    assert space.ps("--json", check=True).stdout == ""


def test_table(space):
    space.announce("publish:aa", partitions=[{"stream": "facets", "partitions": [0, 1, 2]},
                                             {"stream": "normalized", "partitions": [0, 2]}], lag=1234)
    space.announce("normalize:bb", host="box-2", pid=7, ready=False, admin="")
    space.announce("normalize:cc", life_ms=None)
    lines = space.ps(check=True, env={"COLUMNS": "160"}).stdout.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["normalize", "0.1.0", "box-2/7", "not", "ready", "-", "0", "0s", "off"],
        ["normalize", "instance", "cc", "gone"],
        ["publish", "0.1.0", "box-1/4711", "ready", "facets", "0-2;", "normalized", "0,2", "1234", "0s",
         "127.0.0.1:43211"],
    ]


def test_json(space):
    partitions = [{"stream": "raw", "partitions": [3, 4]}]
    space.announce("normalize:aa", partitions=partitions, lag=5, secret="x")
    (row,) = space.rows()
    assert 0 <= row.pop("ageMs") < 10000
    assert row == {"worker": "normalize", "instance": "aa", "state": "ready", "version": "0.1.0", "host": "box-1",
                   "pid": 4711, "admin": "127.0.0.1:43211", "startedAt": STARTED, "ready": True,
                   "partitions": partitions, "lag": 5}


def test_a_worker_that_falls_silent_is_shown_so(space):
    space.announce("normalize:aa", life_ms=4000)
    (row,) = space.rows()
    assert row["state"] in ("silent", "gone")  # gone when this machine was slow


@pytest.mark.parametrize("value", [b"", b"{}", b"\xff\x00\xfe", b"[" * 60000, b" " * 70000, b"\x1b[2J"])
def test_a_broken_entry_is_shown_as_such(space, value):
    space.announce("normalize:good")
    space.announce("normalize:bad", value=value)
    states = {row["instance"]: row["state"] for row in space.rows()}
    assert states == {"good": "ready", "bad": "broken" if value else "gone"}
    assert "\x1b" not in space.ps(check=True).stdout


def test_foreign_types_are_broken_entries(space):
    space.announce("normalize:good")
    space.announce("normalize:list", life_ms=None)
    space.client.rpush(f"{space.name}:ps:normalize:list", "x")
    space.announce("normalize:hash", life_ms=None)
    space.client.hset(f"{space.name}:ps:normalize:hash", "a", "b")
    assert {row["instance"]: row["state"] for row in space.rows()} == {
        "good": "ready", "list": "broken", "hash": "broken"}


def test_a_foreign_index_is_told(space):
    space.client.set(f"{space.name}:ps", "x")
    done = space.ps()
    assert done.returncode == 2
    assert f"'{space.name}:ps'" in done.stderr and "another program" in done.stderr


@pytest.mark.parametrize("member", [b"", b":", b"\xff:\x00", b"\x1b[2J\x07:aa", b"normalize:" + b"x" * 100000])
def test_any_name_is_borne(space, member):
    space.announce("normalize:good")
    space.client.zadd(f"{space.name}:ps", {member: 1})
    assert [row["state"] for row in space.rows() if row["instance"] == "good"] == ["ready"]
    text = space.ps(check=True).stdout
    assert "\x1b" not in text and "\x07" not in text


def test_more_than_are_listed(space):
    pipe = space.client.pipeline()
    pipe.zadd(f"{space.name}:ps", {f"normalize:{n:05}": n for n in range(1200)})
    pipe.execute()
    done = space.ps("--json", check=True)
    ids = {json.loads(line)["instance"] for line in done.stdout.splitlines()}
    assert ids == {f"{n:05}" for n in range(200, 1200)}  # the latest
    assert "only the 1000 that announced themselves last, of 1200" in done.stderr


def test_redis_that_is_away(tmp_path):
    port = free_port()
    config = tmp_path / "newsmill.yaml"
    config.write_text(yaml.safe_dump({"redis": {"url": f"redis://127.0.0.1:{port}/0"}}))
    done = tool("ps", "-c", config)
    assert done.returncode == 1
    assert f"connecting to Redis at 127.0.0.1:{port}" in done.stderr and "kafka" not in done.stderr.lower()
