"""What the tests of the whole images worker share: its options with the limits of the tests, articles whose images lie on a
hostile host, facets as they come, the files of the store.

One rig is one namespace, one host at 127.0.0.1:A and its canaries. Many cases go through one worker at once: send()
them all, settle(), then look at each. Names under .localhost lead to 127.0.0.1 in any number, so that each case can have a
host of its own, with its own breaker and places.
"""

import hashlib
import json
import pathlib

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from . import schemas
from .articles import article, ident, message, put, retraction, samples, address_of
from .image_host import Canaries, ImageHost
from .namespace import Namespace, merged, to_message
from .waiting import until
from .workers import Workers, program

CONTACT = "https://news.example/about-our-crawler"
BASE = "https://img.site.example"

# Bytes, pixels and counts are the limits for tests; times are wide, so that a busy machine fails no test. SHORT has those.
OPTIONS = {
    "mode": "test", "contact": CONTACT, "publicBase": BASE,
    "fetch": {"tryHttps": False, "maxHops": 3, "bodyBytes": 1_000_000, "connectMs": 10_000, "firstByteMs": 10_000, "slowBytes": 1,
              "slowMs": 10_000, "totalMs": 20_000, "perHost": 4, "perAddress": 32, "hostRate": 1000, "hostBurst": 1000},
    "check": {"maxPixels": 1_000_000, "maxEdgePixels": 4096, "maxGifPixels": 250_000, "maxFrames": 16, "maxScans": 20},
    "retry": {"tries": 2, "baseMs": 50},
    "gc": {"graceMs": 3_600_000},
}
SHORT = {"fetch": {"connectMs": 500, "firstByteMs": 1500, "slowBytes": 500, "slowMs": 1000, "totalMs": 2500}, "retry": {"tries": 1}}

EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/webp": "webp"}


def outcome(image):
    """"cached", or the reason why not, or "pending"."""
    return image.get("reason") or image["state"]


class Facets:
    """Facets of images as they come: all[id] in the order of the stream. Each is held against deploy/schemas, but for URLs
    that are none, which only a test can have in an article."""

    def __init__(self, ns):
        self.ns, self.all, self.partition = ns, {}, {}
        self.consumer = ns.consumer()
        self.consumer.assign([TopicPartition(ns.topic["facets"], p, 0) for p in range(ns.partitions)])

    def close(self):
        self.consumer.close()

    def poll(self, seconds=0.02):
        """Takes what has come."""
        for item in self.consumer.consume(1000, seconds):
            if item.error():
                if item.error().code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(item.error())
                continue
            value = json.loads(item.value())
            if value["facet"] != "images":
                continue
            self._check(to_message(item), value)
            self.all.setdefault(value["id"], []).append(value)
            self.partition[value["id"]] = item.partition()

    def _check(self, item, value):
        data = json.loads(json.dumps(value))
        for image in (data["data"] or {}).get("images", ()):
            if not schemas.value_problems("facet/1", {**data, "data": {"images": [{**image, "url": "http://a.test/"}]}}):
                image["url"] = "http://a.test/"
        schemas.check(self.ns, "facets", item._replace(value=json.dumps(data).encode()))

    def last(self, number):
        """The newest facet of an article by its revision, None where there is none."""
        found = self.all.get(ident(number))
        return max(found, key=lambda facet: facet["revision"]) if found else None

    def images(self, number):
        """data.images of the newest facet; [] where there is none yet."""
        facet = self.last(number)
        return (facet["data"] or {}).get("images", []) if facet else []

    def states(self, number):
        return [image["state"] for image in self.images(number)]

    def wait(self, condition, timeout_s, what):
        def looked():
            self.poll()
            return condition()
        return until(looked, timeout_s, what, every_s=0)


class Rig:
    def __init__(self, kafka, redis, folder, options=None, partitions=2, host=None, resolve=None, allow=(), more=None,
                 store_mode=0o700):
        """options: under images:, on top of OPTIONS; more: beside images:. resolve: {"name:port": [addresses]}, {A} is the port;
        allow: more pairs."""
        folder = pathlib.Path(folder)
        self.host = host or ImageHost()
        self.canaries = Canaries(self.host.port)
        self.store = folder / "store"
        self.store.mkdir(parents=True)
        self.store.chmod(store_mode)
        images = merged(OPTIONS, {
            "testAllow": [f"{self.host.address}:{self.host.port}", *allow], "store": {"kind": "directory", "path": str(self.store)}})
        if resolve:
            images["testResolve"] = {name.replace("{A}", str(self.host.port)): addresses for name, addresses in resolve.items()}
        self.ns = Namespace(kafka, redis, folder / "ns", partitions=partitions,
                            options={**(more or {}), "images": merged(images, options or {})})
        self.ns.create_topics(("normalized", "facets", "records", "dead"))
        self.ns.kept_producer = self.ns.producer(**{"message.max.bytes": 2_000_000})  # a URL of a megabyte fits
        self.workers = Workers(folder / "logs")
        self.facets = Facets(self.ns)
        self.numbers = {}
        self.revision = 1000

    # ---- sending

    def text(self, template):
        """{A}, {B}: the ports; {name}: 127.0.0.1 and the port of the host."""
        return template.replace("{A}", str(self.host.port)).replace("{B}", str(self.canaries.port))

    def url(self, path, name=None):
        return self.host.url(path, name)

    def start(self, n=1, env=None):
        started = [self.workers.start("images", self.ns.config, env=env) for _ in range(n)]
        return started[0] if n == 1 else started

    def start_on(self, mount):
        """A worker in a mount namespace of its own, in which `mount`, a shell command, mounts something on {store}; what lies
        there is seen at inside(worker). Needs root."""
        script = f'{mount.format(store=self.store)} && chmod 700 {self.store} && exec "$@"'
        return self.workers.start("images", self.ns.config, command=[
            "unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", program("newsmill-images")])

    def inside(self, worker):
        """The store as that worker sees it."""
        return pathlib.Path(f"/proc/{worker.pid}/root{self.store}")

    def number(self, case):
        """The number of the article of a case; any name of a case will do."""
        return self.numbers.setdefault(case, len(self.numbers) + 1)

    def item(self, case, *urls, **members):
        self.revision += 1
        images = [url if isinstance(url, dict) else {"url": url} for url in urls]
        return article(self.number(case), self.revision, **({"images": images} if images else {}), **members)

    def send(self, cases):
        """{case: URL, or a list of URLs}: an article for each."""
        put(self.ns, "normalized", [message(self.ns, self.item(case, *([urls] if isinstance(urls, str) else urls)))
                                    for case, urls in cases.items()])

    def retract(self, case):
        self.revision += 1
        put(self.ns, "normalized", [message(self.ns, retraction(self.number(case), self.revision))])

    # ---- what came of it

    def images(self, case):
        return self.facets.images(self.number(case))

    def image(self, case):
        """The one image of a case's article."""
        found = self.images(case)
        assert len(found) == 1, f"{case}: {len(found)} images in the facet"
        return found[0]

    def history(self, case):
        """The states of its images in each facet, in the order in which they came."""
        return [[image["state"] for image in facet["data"]["images"]] for facet in self.facets.all.get(ident(self.number(case)), ())
                if facet["data"]]

    def settled(self, case):
        states = self.facets.states(self.number(case))
        return bool(states) and "pending" not in states

    def settle(self, cases, timeout_s=60):
        """Until each of the cases has a facet without anything pending; the cases that are not so after the time fail by
        themselves, so that one of them does not take all the others along."""
        cases = list(cases)

        def open_cases():
            return [case for case in cases if not self.settled(case)]
        try:
            self.facets.wait(lambda: not open_cases() or not self.workers.living, timeout_s, "all settled")
        except AssertionError:
            pass
        if open_cases():
            if not any(self.facets.last(self.number(case)) for case in cases):
                raise AssertionError(f"not one facet came\n{self.workers.show_logs()}") from None

    def wait_images(self, case, condition, timeout_s=20, what=""):
        """Until the images of the newest facet are so; them."""
        self.facets.wait(lambda: self.facets.last(self.number(case)) and condition(self.images(case)), timeout_s,
                         lambda: f"{case}: {what or 'the facet'}; it is {self.images(case)}\n{self.workers.show_logs()}")
        return self.images(case)

    def wait_cached(self, case, timeout_s=20):
        return self.wait_images(case, lambda images: images and all(i["state"] == "cached" for i in images), timeout_s, "cached")

    def wait_failed(self, case, reason, timeout_s=20):
        return self.wait_images(case, lambda images: images and all(i.get("reason") == reason for i in images), timeout_s, reason)

    # ---- metrics and files

    def metrics(self, worker):
        return samples(address_of(worker))

    def objects(self, area="o"):
        """{name: bytes} of the public objects, or of another area of the store."""
        return {path.name: path.read_bytes() for path in sorted((self.store / area).rglob("*")) if path.is_file()}

    def stored(self, image):
        """The bytes of the object that a facet's image names; AssertionError where there is none."""
        sha = image["sha256"]
        path = self.store / "o" / sha[:2] / sha[2:4] / f"{sha}.{EXTENSIONS[image['type']]}"
        assert path.is_file(), f"{path} is not there"
        return path.read_bytes()

    def thumbnail(self, image, edge):
        sha = image["sha256"]
        return next((self.store / "t" / str(edge) / sha[:2] / sha[2:4]).glob(f"{sha}.*")).read_bytes()

    @staticmethod
    def sha256(data):
        return hashlib.sha256(data).hexdigest()

    def temp_files(self):
        return [path for path in (self.store / "tmp").rglob("*") if path.is_file()] if (self.store / "tmp").exists() else []

    def entry(self, url):
        """What Redis knows of a URL (in its canonical form), as text."""
        with self.ns.redis.client(decode_responses=True) as client:
            return client.hgetall(f"{self.ns.name}:img:{{{self.sha256(url.encode())}}}")

    def close(self):
        self.workers.close()
        self.facets.close()
        self.canaries.close()
        self.host.close()
        self.ns.close()
