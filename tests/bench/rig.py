"""What every benchmark stands on: a Kafka and a Redis of its own, namespaces with what is shipped, workers, progress."""

import json
import pathlib
import shutil
import tempfile
import time

from support.namespace import Namespace, merged
from support.servers import Kafka, Redis
from support.waiting import until
from support.workers import INPUTS, Workers, run

from . import feed

OUTPUT = {"normalize": "normalized", "publish": "records"}
# The tests' namespaces have short sessions and commits; the figures are those of the defaults.
SHIPPED = {"kafka": {"consumer": {"session.timeout.ms": None, "heartbeat.interval.ms": None, "fetch.wait.max.ms": None}},
           "runtime": {"commitMs": None}}


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


# What Kafka's own start script asks for; deploy/kafka/broker's default starts sooner and serves slower.
JAVA = "-server -Xms512m -Xmx1g -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35"


class Rig:
    """Servers of one call. close() ends everything that was started here."""

    def __init__(self, keep=False):
        self.keep = keep
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="newsmill-bench-"))
        self.kafka = Kafka(self.folder / "kafka", properties=(), java=JAVA)
        self.redis = Redis(self.folder / "redis")
        self.workers = Workers(self.folder / "logs")
        self._spaces = []

    def start(self):
        self.kafka.start()
        self.redis.start()
        return self

    def pids(self):
        """Those of the servers."""
        return {"broker": int((self.kafka.folder / "pid").read_text()), "redis": self.redis.process.pid}

    def space(self, topic_config=None, options=None, registries=True, partitions=8):
        """A namespace with the shipped defaults and its topics. registries: those of feed.py; else the
        ones of the tests, which the model of the fault tests knows."""
        more = {"providers": feed.providers(), "topics": feed.topics()} if registries else {}
        space = Namespace(self.kafka, self.redis, self.folder / f"ns{len(self._spaces)}", partitions=partitions, **more)
        space.options = merged(merged(space.options, SHIPPED), options or {})
        space.write_config()
        space.create_topics(config=topic_config)
        self._spaces.append(space)
        return space

    def forget(self, space):
        """Deletes the streams of a namespace and everything in Redis, so that the next run has the same beginning."""
        space.close()
        self._spaces.remove(space)
        with self.redis.client() as client:
            client.flushall()

    def close(self):
        self.workers.close()
        self.redis.close(keep=self.keep)
        self.kafka.close(keep=self.keep)
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def option_values(space, worker, names):
    """{name: value in force} as the worker itself says it."""
    told = json.loads(run(f"newsmill-{worker}", "-c", space.config, "--print-config", "--format", "json", check=True).stdout)
    return {option["name"]: option["value"] for option in told if option["name"] in names}


def progress(space, worker):
    """Events that the worker has finished: the sum of its watermarks."""
    return max(0, space.done(worker))


def stored(space, worker):
    """Events that lie on the inputs of a worker (of streams that nothing was deleted from)."""
    return sum(sum(space.ends(stream).values()) for stream in INPUTS[worker])


def wait_progress(space, worker, wanted, process, timeout_s, each=None, every_s=0.05):
    """Until so many events are finished. each(done): called with every look."""
    def reached():
        assert process.alive, f"{worker} ended with {process.code}\n{process.log_tail()}"
        done = progress(space, worker)
        if each:
            each(done)
        return done >= wanted
    until(reached, timeout_s, lambda: f"{worker} finishes {wanted} events, has {progress(space, worker)}\n{process.log_tail(10)}",
          every_s)


def wait_all(space, worker, process, timeout_s, each=None, every_s=0.05):
    """Until everything on its inputs is finished, what it writes to them itself included (touches of publish)."""
    deadline = time.monotonic() + timeout_s
    while progress(space, worker) < (wanted := stored(space, worker)):
        wait_progress(space, worker, wanted, process, max(1, deadline - time.monotonic()), each, every_s)
