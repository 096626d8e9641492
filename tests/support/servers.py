"""The real servers of the tests: one Kafka, one Redis, each in a folder of its own, on free loopback ports.

Both keep their port and their data over kill, stop and start, as a server that comes back does. Only processes
that were started here are ever signalled, by their pid. Redis runs as design.md demands it (append-only file, fsync
each second, noeviction), so a kill -9 loses nothing; rollback() is how writes get lost.
"""

import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile

import redis as redis_client
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from .waiting import until

ROOT = pathlib.Path(__file__).resolve().parents[2]


def free_port():
    """Below the usual range of outgoing connections, so that nothing takes the port of a stopped server by chance."""
    while True:
        port = random.SystemRandom().randrange(12000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


# Compaction at once, and sessions short enough that a test can wait for the end of one.
BROKER = ("log.cleaner.backoff.ms=200", "log.cleaner.threads=1", "group.min.session.timeout.ms=1000")


@contextlib.contextmanager
def standing_still(pid):
    """A process with all its threads: one of them has to run to take the signal, and meanwhile the others go on."""
    def still():
        states = [path.read_text().rsplit(")", 1)[1].split()[0] for path in pathlib.Path(f"/proc/{pid}/task").glob("*/stat")]
        return set(states) == {"T"}
    os.kill(pid, signal.SIGSTOP)
    try:
        until(still, 20, f"process {pid} stands still")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Kafka:
    """A broker run by deploy/kafka/broker. `brokers` is its address and stays the same over restarts."""

    def __init__(self, folder=None, properties=BROKER, java=None):
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="newsmill-kafka-"))
        self.properties = list(properties)
        self.environment = {**os.environ, "NM_KAFKA_JAVA": java} if java else None
        self.brokers = None

    def _broker(self, command, *args, timeout_s=120):
        done = subprocess.run(
            [str(ROOT / "deploy/kafka/broker"), command, str(self.folder), *args],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False, env=self.environment)
        if done.returncode != 0:
            raise RuntimeError(f"broker {command} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout.strip()

    def start(self):
        self.brokers = self._broker("start", *self.properties)
        return self

    def kill(self):
        """SIGKILL; start() recovers the log."""
        self._broker("kill")

    def stop(self):
        self._broker("stop")

    def stopped(self):
        """The broker stands still: connections stay and nothing is answered, so what is sent meanwhile waits for its report."""
        return standing_still(int((self.folder / "pid").read_text()))

    def restart_after_kill(self):
        self.kill()
        self.start()

    def admin(self):
        return AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})

    def close(self, keep=False):
        self.kill()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


class Redis:
    """A redis-server of its own: start() always takes the same port and the same data."""

    def __init__(self, folder=None, extra=()):
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="newsmill-redis-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.extra = list(extra)
        self.process = None
        self._snapshots = 0

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self, **options):
        return redis_client.Redis(host="127.0.0.1", port=self.port, socket_timeout=30, **options)

    def start(self, timeout_s=60):
        assert self.process is None or self.process.poll() is not None, "this Redis runs already"
        arguments = [
            "redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder),
            "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction",
            "--lazyfree-lazy-expire", "yes", "--enable-debug-command", "local", "--daemonize", "no", *self.extra]
        with open(self.folder / "redis.log", "ab") as log:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(self._answers, timeout_s, f"Redis on port {self.port} answers; log: {self.folder}/redis.log")
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"redis-server ended with {self.process.returncode}: {self.log_tail()}")
        try:
            with self.client() as client:
                return client.ping()
        except redis_client.exceptions.RedisError:
            return False  # not listening yet, or still loading

    def stopped(self):
        """It stands still: connections stay, what is asked meanwhile is answered afterwards."""
        return standing_still(self.process.pid)

    def log_tail(self, n_bytes=2000):
        return (self.folder / "redis.log").read_bytes()[-n_bytes:].decode(errors="replace")

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        if self.alive:
            self.process.kill()
        self.process.wait()

    def stop(self):
        if self.alive:
            self.process.terminate()
        self.process.wait(timeout=30)

    def restart_after_kill(self):
        """Nothing is lost: with an append-only file each write is in the kernel before its reply."""
        self.kill()
        self.start()

    # ---- losing the last writes

    def snapshot(self):
        """Copies the data as they are now, while the server works, and returns the copy's folder. What is written
        meanwhile may be in it up to some point and not after it, as in a real backup."""
        self._rewrite()
        self._snapshots += 1
        target = self.folder / f"snapshot-{self._snapshots}"
        source = self.folder / "appendonlydir"
        manifest = source / "appendonly.aof.manifest"

        def copied():
            before = manifest.read_bytes()
            shutil.rmtree(target, ignore_errors=True)
            try:
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("temp-*"))
            except (FileNotFoundError, shutil.Error):
                return False  # a rewrite took a file away
            return manifest.read_bytes() == before and (target / manifest.name).read_bytes() == before

        until(copied, 30, "a copy of Redis' data during which they were not rewritten")
        return target

    def _rewrite(self):
        """Makes the append-only file short first: then copies are cheap however long the run is."""
        with self.client() as client:
            def asked():
                try:
                    return client.bgrewriteaof()
                except redis_client.exceptions.ResponseError:
                    return False  # one is running; ask for another
            until(asked, 60, "Redis begins to rewrite its append-only file")

            def rewritten():
                state = client.info("persistence")
                return not state["aof_rewrite_in_progress"] and not state["aof_rewrite_scheduled"]
            until(rewritten, 60, "Redis has rewritten its append-only file")

    def rollback(self, snapshot):
        """Kills the server, puts the copy in the place of the data, and starts it on the same port: every write
        after the snapshot is lost."""
        self.kill()
        data = self.folder / "appendonlydir"
        shutil.rmtree(data)
        shutil.copytree(snapshot, data)
        self.start()

    def lose_everything(self):
        """Kills the server and starts it on the same port without its data."""
        self.kill()
        shutil.rmtree(self.folder / "appendonlydir")
        self.start()

    def close(self, keep=False):
        if self.process is not None:
            self.kill()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def kafka_answers(kafka):
    """True when the broker answers a metadata request."""
    try:
        return bool(kafka.admin().list_topics(timeout=2).brokers)
    except KafkaException:
        return False
