"""Instances of `related` without Kafka: a test decides which of them goes on next, and where one dies (unit/related_driver.c).

Partitions are arrays; the partition of an article is its number modulo their count, the owner of partition p the instance p
modulo theirs. What is produced lies in `sent`; `facets` is what a careful reader keeps of it.
"""

import json
import secrets
import subprocess

import yaml

from .workers import build_folder

OUT_ITEMS = 64


class Fleet:
    def __init__(self, redis, folder, instances=1, partitions=None, **options):
        self.redis, self.name, self.instances = redis, f"t{secrets.token_hex(5)}", instances
        self.partitions = partitions or instances
        config = folder / f"{self.name}.yaml"
        config.write_text(yaml.safe_dump({"namespace": self.name, "redis": {"url": redis.url}}))
        self.process = subprocess.Popen(
            [build_folder() / "bin" / "related_driver", config, str(instances), *(f"{name}={value}" for name, value in options.items())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        self.end, self.next, self.done = ([0] * self.partitions for _ in range(3))
        self.flights = [[] for _ in range(instances)]  # of each: {partition: next offset after the batch}
        self.sent, self.calls, self.facets, self.kills = [], [], {}, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        assert self.process.wait(timeout=30) == 0
        self.process.stdout.close()

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the driver ended at {str(words)[:200]}"
        return json.loads(line)

    # ---- one thing at a time

    def partition_of(self, item):
        return int(item["id"], 16) % self.partitions

    def put(self, *items):
        for item in items:
            p = self.partition_of(item)
            self.ask("put", p, item["id"], json.dumps(item, separators=(",", ":")))
            self.end[p] += 1

    def mine(self, instance):
        return range(instance, self.partitions, self.instances)

    def begin(self, instance, most=64):
        """A batch of the next events of the instance's partitions. False: there are none, or it may not begin now."""
        words, ends = [], {}
        for p in self.mine(instance):
            n = min(most, self.end[p] - self.next[p])
            if n:
                words += [p, self.next[p], n]
                ends[p] = self.next[p] + n
                most -= n
        if not words or "items" not in self.ask("begin", instance, *words):
            return False
        for p, end in ends.items():
            self.next[p] = end
        self.flights[instance].append(ends)
        return True

    def begin_out(self, instance, partition):
        if not self.ask("out", instance, partition, OUT_ITEMS).get("items"):
            return False
        self.flights[instance].append({})
        return True

    def step(self, instance, flight=0, most=None, produced=None):
        """`produced`: how many outputs get through, of a process that dies among them."""
        answer = self.ask("step", instance, flight, *(() if most is None else (most,)))
        self.calls += answer.get("calls", ())
        if answer["at"] == "produce":
            assert not answer["dead"]
            for output in answer["outputs"][:produced]:
                value = output["value"]
                assert (value["id"], value["revision"], value["facet"]) == (output["key"], output["revision"], "related")
                self.sent.append(value)
                if value["revision"] >= self.facets.get(value["id"], (0,))[0]:
                    self.facets[value["id"]] = (value["revision"], value["data"])
        if answer["at"] == "done":
            for p, end in self.flights[instance].pop(flight).items():
                self.done[p] = end
        return answer

    def crash(self, instance):
        self.ask("crash", instance)
        self.kills += 1
        self.flights[instance] = []
        for p in self.mine(instance):
            self.next[p] = self.done[p]

    # ---- until something is over

    def run(self, instance):
        """Every batch of the instance, to its end."""
        while self.flights[instance]:
            self.step(instance)

    def feed(self, *items, most=64):
        """Sends events, in batches of their own."""
        self.put(*items)
        for instance in range(self.instances):
            self.run(instance)
            while self.begin(instance, most):
                self.run(instance)

    def drain(self):
        for instance in range(self.instances):
            self.run(instance)
        for _ in range(200):
            if not any([self._drain_one(p) for p in range(self.partitions)]):
                return
        raise AssertionError("the out sets do not empty")

    def _drain_one(self, partition):
        instance = partition % self.instances
        found = self.begin_out(instance, partition)
        self.run(instance)
        return found

    def settle(self):
        self.feed()
        self.drain()

    def scramble(self, rng, most=8, kill=0.0):
        """All events, whatever comes next being chance: an instance, its batch, a few commands of its pipe, its death."""
        while any(self.flights) or self.next != self.end:
            i = rng.randrange(self.instances)
            if self.flights[i] and rng.random() < kill:
                self.crash(i)
            elif not self.flights[i] or rng.random() < 0.2:
                if rng.random() < 0.2:
                    self.begin_out(i, rng.choice(self.mine(i)))
                else:
                    self.begin(i, rng.randint(1, most))
            else:
                self.step(i, rng.randrange(len(self.flights[i])), rng.choice((None, None, 1, 3, rng.randint(1, 40))))
        self.settle()
