"""What the tests of `newsmill images gc|scrub|purge` share: a namespace with a store, a worker of images by hand
(unit/images_collect_driver.c), a clock that goes on by making everything older, and a wire to Redis that stops the tool
before any of its commands.
"""

import hashlib
import json
import os
import pathlib
import secrets
import signal
import socket
import subprocess

import yaml

from .talker import Talker
from .waiting import until
from .wire import Wire
from .workers import build_folder, environment, program, tool

HOUR, DAY = 3_600_000, 86_400_000
OPTIONS = {"mode": "test", "contact": "https://news.example/bot", "publicBase": "https://img.site.example",
           "gc": {"idleMs": 30 * DAY, "graceMs": HOUR, "minAgeMs": HOUR}, "thumbnails": {"edgePixels": [320]}}
TIMES = {"": ("lastUsed", "dying", "fetchedAt", "expiresAt", "nextTry", "retryAt"), "o:": ("storedAt", "dying", "deleting")}


def url(number):
    return f"https://img.test/{number}.png"


def ident(number):
    return f"{number:032x}"


class Space:
    """options: under images:. store: the part of it that names one; a directory by default."""

    def __init__(self, folder, redis, store=None, **options):
        self.redis = redis
        self.name = f"t{secrets.token_hex(5)}"
        self.folder = folder / self.name
        self.folder.mkdir()
        self.path = self.folder / "store"
        self.path.mkdir(mode=0o700)
        self.config = self.folder / "newsmill.yaml"
        self.options = {**OPTIONS, "store": {"maxPercent": 100, **(store or {"kind": "directory", "path": str(self.path)})}, **options}
        self.write(redis.url)
        self.client = redis.client(decode_responses=True)
        self.driver = Talker([build_folder() / "bin" / "images_collect_driver", self.config])
        self.ask("object", "0" * 64)  # by now it has read the option file, which a test may change

    def write(self, redis_url, path=None):
        (path or self.config).write_text(yaml.safe_dump(
            {"namespace": self.name, "redis": {"url": redis_url}, "images": self.options}))
        return path or self.config

    def close(self):
        self.client.close()
        _, err = self.driver.process.communicate(timeout=60)
        assert self.driver.process.returncode == 0, err

    # ---- what a worker does

    def ask(self, *words):
        return self.driver.ask(*words)

    def keep(self, number, size=5000, edges=(320,), address=None):
        """The picture of that number is fetched and cached; its sha256."""
        answer = self.ask("keep", address or url(number), number, size, *edges)
        assert answer["how"] == "cached", answer
        return answer["sha256"]

    def article(self, number, revision, *numbers):
        return self.ask("article", ident(number), revision, *map(url, numbers))["how"]

    # ---- the tool

    def images(self, *words, config=None, **options):
        return tool("images", words[0], "-c", config or self.config, *words[1:], **options)

    def run(self, *words, code=0):
        """With --json; the document."""
        done = self.images(*words, "--json")
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def gc(self, *words, code=0):
        return self.run("gc", *words, code=code)

    def start(self, *words, config=None, env=None):
        return self.popen([program("newsmill"), "images", words[0], "-c", str(config or self.config), *words[1:]], env)

    @staticmethod
    def popen(command, env=None):
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=environment(env))

    # ---- time

    def age(self, ms, files=True):
        """Everything becomes older, as if that time had passed."""
        for key in self.client.scan_iter(f"{self.name}:img:*", count=1000):
            kind = key[len(self.name) + 5:]
            if kind.startswith("{") or kind.startswith("o:"):
                for field in TIMES["o:" if kind.startswith("o:") else ""]:
                    if self.client.hexists(key, field):
                        self.client.hincrby(key, field, -ms)
            elif kind == "lru":
                for member, score in self.client.zrange(key, 0, -1, withscores=True):
                    self.client.zadd(key, {member: int(score) - ms})
        for path in self.files() if files else ():
            os.utime(path, ns=(os.stat(path).st_mtime_ns - ms * 1_000_000,) * 2)

    def now(self):
        seconds, us = self.client.time()
        return seconds * 1000 + us // 1000

    # ---- what there is

    def key(self, kind, name):
        return f"{self.name}:img:{kind}{{{name}}}"

    @staticmethod
    def hash(number):
        return hashlib.sha256(url(number).encode()).hexdigest()

    def entry(self, number):
        return self.client.hgetall(self.key("", self.hash(number)))

    def object(self, sha):
        return self.client.hgetall(self.key("o:", sha))

    def files(self, areas=("o", "t")):
        return [path for area in areas for path in sorted((self.path / area).rglob("*")) if path.is_file()]

    def names(self, *areas):
        return {str(path.relative_to(self.path)) for path in self.files(areas or ("o", "t"))}

    def file(self, sha):
        return self.path / "o" / sha[:2] / sha[2:4] / f"{sha}.png"

    def thumb(self, sha, edge=320):
        return self.path / "t" / str(edge) / sha[:2] / sha[2:4] / f"{sha}.jpg"

    def due(self, number):
        """Whether the article is to look at its images."""
        return any(self.client.zscore(key, ident(number)) is not None
                   for key in self.client.scan_iter(f"{self.name}:due:images:*"))

    def not_due(self):
        for key in list(self.client.scan_iter(f"{self.name}:due:images:*")):
            self.client.delete(key)

    def everything(self):
        """All keys with their values and times to live, all files with their bytes and times."""
        keys = {key: (self.client.type(key), self.dump(key), self.client.pttl(key) > 0)
                for key in self.client.scan_iter(f"{self.name}:*", count=1000)}
        files = {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(self.path.rglob("*")) if path.is_file()}
        return keys, files

    def dump(self, key):
        kind = self.client.type(key)
        if kind == "hash":
            return self.client.hgetall(key)
        if kind == "set":
            return self.client.smembers(key)
        return self.client.zrange(key, 0, -1, withscores=True) if kind == "zset" else self.client.get(key)

    def check(self, stored=None):
        """What must hold whenever nothing runs: an entry that is cached has its object, whole, with each thumbnail, in Redis
        and in the store; every object is in the index. stored: {name: bytes} of a store that is no directory."""
        stored = stored if stored is not None else {name: (self.path / name).read_bytes() for name in self.names()}
        objects = {}
        for key in self.client.scan_iter(f"{self.name}:img:o:*", count=1000):
            objects[key.split("{")[1][:-1]] = self.client.hgetall(key)
        for key in self.client.scan_iter(f"{self.name}:img:{{*", count=1000):
            entry = self.client.hgetall(key)
            if entry.get("state") != "cached":
                continue
            sha = entry["sha256"]
            assert sha in objects and "deleting" not in objects[sha], (key, entry, objects.get(sha))
            assert self.client.sismember(self.key("urls:", sha), key.split("{")[1][:-1])
            assert hashlib.sha256(stored[f"o/{sha[:2]}/{sha[2:4]}/{sha}.png"]).hexdigest() == sha
            for line in filter(None, objects[sha]["thumbs"].split(";")):
                edge, *_, thumb = line.split(" ")
                assert hashlib.sha256(stored[f"t/{edge}/{sha[:2]}/{sha[2:4]}/{sha}.jpg"]).hexdigest() == thumb
        index = set(self.client.zrange(f"{self.name}:img:lru", 0, -1))
        assert index == set(objects)
        return objects


DROP = "drop"


class RedisWire(Wire):
    """Passes the commands of one client on to Redis, one by one. stop_at N: before command N goes on (`answered` False) or
    after it was answered, which the client does not know yet, `action` is called with its words; where it returns DROP, the
    command goes nowhere. All commands: `seen`."""

    def __init__(self, port):
        self.port, self.seen = port, []
        self.stop_at, self.answered, self.action = None, False, None
        super().__init__()
        self.url = f"redis://{self.address}/0"

    @staticmethod
    def _command(stream):
        """One command as its bytes and its words; (b"", []) at the end."""
        head = stream.readline()
        raw, words = head, []
        for _ in range(int(head[1:]) if head else 0):
            size = stream.readline()
            body = stream.read(int(size[1:]) + 2)
            raw += size + body
            words.append(body[:-2])
        return raw, words

    @classmethod
    def _reply(cls, stream):
        head = stream.readline()
        raw = head
        if head[:1] == b"$" and head[1:2] != b"-":
            raw += stream.read(int(head[1:]) + 2)
        elif head[:1] == b"*":
            for _ in range(max(int(head[1:]), 0)):
                raw += cls._reply(stream)
        return raw

    def _serve(self, client):
        with client, socket.create_connection(("127.0.0.1", self.port)) as upstream:
            asks, answers = client.makefile("rb"), upstream.makefile("rb")
            try:
                while True:
                    raw, words = self._command(asks)
                    if not raw:
                        return
                    here = len(self.seen) == self.stop_at
                    self.seen.append(words)
                    if here and not self.answered and self.action(words) == DROP:
                        return
                    upstream.sendall(raw)
                    reply = self._reply(answers)
                    if here and self.answered:
                        self.action(words)
                    client.sendall(reply)
            except (OSError, ValueError):
                return


def stopped(process):
    """True once SIGSTOP has stopped it."""
    text = pathlib.Path(f"/proc/{process.pid}/stat").read_text()
    return text.rsplit(")", 1)[1].split()[0] == "T"


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()
    return DROP


def flip(path, at=100):
    """A bit of the file changes."""
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 1
    path.write_bytes(data)


# ---- what several tests do with it

def build(space, n=12):
    """Of everything something: used, unused, marked, orphans."""
    for number in range(n):
        if number % 3 == 0:
            space.article(number, 1, number)
        space.keep(number)
    for number in range(100, 103):
        space.ask("put", number, 2000, 0, 320)
    space.file(space.ask("put", 103, 2000, 0, 320)["sha256"]).unlink()
    space.age(31 * DAY)
    space.gc()
    space.age(HOUR)
    for number in range(200, 203):
        space.keep(number)
    space.age(31 * DAY)


def at_command(space, redis, word, action, run=("gc", "--json"), nth=0, answered=False):
    """Runs the tool; `action(process)` is called before the nth script whose arguments hold `word`, or after its answer."""
    wire = RedisWire(redis.port)
    seen = []

    def watch(words):
        if words[0] == b"EVALSHA" and word(words):
            seen.append(words)
            return len(seen) == nth + 1
        return False

    process = space.start(*run, config=space.write(wire.url, space.folder / "wire.yaml"))
    wire.action = lambda _: action(process)
    wire.answered = answered
    original = wire._command

    def command(stream):
        raw, words = original(stream)
        if words and watch(words):
            wire.stop_at = len(wire.seen)
        return raw, words
    wire._command = command
    out, err = process.communicate(timeout=120)
    wire.close()
    assert seen, "no such command"
    return process, out, err


def deleting(sha):
    """The script that allows the removal: sha256, token, and nothing else."""
    return lambda words: len(words) == 8 and words[5] == sha.encode() and words[7] == b""


def purging(sha):
    return lambda words: len(words) == 8 and words[5] == sha.encode() and words[7] == b"purge" and len(words[6]) == 32


def deleted(sha):
    """Said after the file is gone: the second script that has both."""
    seen = []

    def is_it(words):
        if deleting(sha)(words):
            seen.append(words)
        return len(seen) == 2
    return is_it


def stop_and_go(process, between):
    process.send_signal(signal.SIGSTOP)
    until(lambda: stopped(process), 10, "stopped")
    between()
    process.send_signal(signal.SIGCONT)


def marked(space, number=1):
    sha = space.keep(number)
    space.age(31 * DAY)
    assert space.gc()["mark"]["n"] == 1
    space.age(HOUR)
    return sha
