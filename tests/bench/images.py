"""images: what a picture costs the worker, its decoder processes and Redis; what slow hosts cost the others; memory with a thousand transfers in
flight.

cost     --pictures JPEGs of some 100 KB, no two alike, from nginx by connections that are kept; articles of one picture each, some hundred under way at a
         time. Without thumbnails and with one of 400 pixels on a disk; without, in memory, where the syncs of a store cost nothing: what is left is
         the worker's own. --image-pairs rounds; in each, plain_jpeg.c makes the same thumbnails.
slow     the same number at --image-rate a second from a server that takes 20 ms, in pairs: with 5 % of them on other hosts that take --slow-s, and
         without. Which goes first alternates.
memory   --in-flight transfers at once, each held after 70 KB. The places of their one address in Redis are emptied all the while: an option allows an
         address 32.
"""

import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import threading
import time
from contextlib import closing

from support.articles import address_of, article, ident, message, samples, wait_ready
from support.namespace import merged
from support.waiting import until
from support.workers import program

from .image_origin import Nginx, Origin, draw, names
from .machine import Meter, children_cpu_s, usage
from .report import Figure, Result
from .rig import say

SUMMARY = "CPU of images, its decoders and Redis a picture; slow hosts; memory with 1,000 transfers"
PARTS = ("cost", "slow", "memory")
MOST_US, MOST_RATIO, MOST_P99, MOST_MIB = 250, 1.5, 2, 128
EDGE, HOSTS, AT_ONCE, SLOW_SHARE, IN_FLIGHT = 400, 16, 512, 20, 256
OPTIONS = {"mode": "test", "contact": "https://news.example/about", "publicBase": "https://img.example",
           "fetch": {"tryHttps": False, "perHost": 16, "perAddress": 32, "hostRate": 1000, "hostBurst": 1000}}


def add_arguments(parser):
    parser.add_argument("--pictures", type=int, default=2000, help="images: pictures of a run (default 2,000)")
    parser.add_argument("--image-pairs", type=int, default=5, help="images: pairs of runs (default 5)")
    parser.add_argument("--image-rate", type=float, default=100, help="images: articles a second beside slow hosts (default 100)")
    parser.add_argument("--slow-s", type=float, default=20, help="images: how long a slow host takes (default 20)")
    parser.add_argument("--in-flight", type=int, default=1000, help="images: transfers of the memory figure (default 1,000)")
    parser.add_argument("--memory-folder", default="/dev/shm", help="images: a folder in memory, where a store costs no disk (default /dev/shm)")
    parser.add_argument("--image-part", action="append", choices=PARTS, help="images: only this part; default: all")


class Run:
    """One instance over an empty store."""

    def __init__(self, rig, name, options, folder=None):
        self.folder = tempfile.TemporaryDirectory(prefix="newsmill-bench-", dir=folder or rig.folder)
        store = pathlib.Path(self.folder.name) / "store"
        store.mkdir(mode=0o700)
        self.rig, self.space = rig, rig.space(options={"images": merged(merged(OPTIONS, {"store": {"path": str(store)}}), options)})
        self.producer, self.sent, self.redis, self.asked = self.space.producer(), {}, rig.redis.client(), 0
        self.worker = rig.workers.start("images", self.space.config)
        wait_ready(self.worker, 60)

    def send(self, number, url):
        """An article of one picture; nothing waits for the broker."""
        key, value, _, headers = message(self.space, article(number, 1000, images=[{"url": url}]))
        self.sent[key] = time.time()
        self.producer.produce(self.space.topic["normalized"], value, key, headers=headers)
        self.producer.poll(0)

    def done(self):
        """Pictures that are stored and known."""
        assert self.worker.alive, f"images ended with {self.worker.code}\n{self.worker.log_tail()}"
        return self._count("img:lru")

    def _count(self, key):
        self.asked += 1
        return self.redis.zcard(f"{self.space.name}:{key}")

    def settled(self):
        return self.done() >= len(self.sent) and not any(self._count(f"due:images:{p}") for p in range(self.space.partitions))

    def settle(self, timeout_s):
        self.producer.flush(60)
        until(self.settled, timeout_s, lambda: f"{len(self.sent)} pictures are stored, {self.done()} are\n{self.worker.log_tail()}", every_s=0.05)

    def cached(self):
        """{id: seconds from an article to the facet that says cached}."""
        found = {}
        for item in self.space.read_batches("facets", raw=True, check=False):
            facet = json.loads(item.value())
            if all(image["state"] == "cached" for image in facet["data"]["images"]):
                found.setdefault(facet["id"], item.timestamp()[1] / 1000 - self.sent[facet["id"]])
        assert len(found) == len(self.sent), f"{len(found)} of {len(self.sent)} articles have a facet that says cached"
        return found

    def close(self):
        self.worker.term()
        code = self.worker.wait(60)
        assert code == 0, f"images ended with {code}\n{self.worker.log_tail()}"
        self.redis.close()
        self.rig.forget(self.space)
        self.folder.cleanup()


# ---- cost

def _commands(client):
    """(all commands, calls of scripts)."""
    scripts = client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
    return client.info("stats")["total_commands_processed"], scripts


def _cost(rig, name, origin, n, kind):
    """µs a picture by process, and what else is counted."""
    hosts, leads = names(origin.port, {"fast": HOSTS})
    run = Run(rig, name, merged(leads, {"thumbnails": {"edgePixels": list(kind.edges)}}), kind.folder)
    meter, decoders = Meter(worker=run.worker.pid, **rig.pids()), children_cpu_s(run.worker.pid)
    before, run.asked = _commands(run.redis), 0
    for number in range(n):
        run.send(number, f"http://{hosts[number % HOSTS]}:{origin.port}/{number}.jpg")
        if number % 64 == 63:
            until(lambda number=number: number - run.done() < AT_ONCE, 120, "the pictures before are stored")
    run.settle(600)
    (cpu, seconds), after = meter.spent(), _commands(run.redis)
    decoders = children_cpu_s(run.worker.pid) - decoders
    costs = {"worker": cpu["worker"] / n * 1e6, "decoders": decoders / n * 1e6, "redis": cpu["redis"] / n * 1e6, "broker": cpu["broker"] / n * 1e6,
             "commands": (after[0] - before[0] - run.asked) / n, "scripts": (after[1] - before[1]) / n, "rate": n / seconds,
             "facets": sum(run.space.ends("facets").values()) / n, "peak": usage(run.worker.pid).peak_mib}
    run.close()
    say(f"images {name}: " + ", ".join(f"{kind} {cost:.4g}" for kind, cost in costs.items()))
    return costs


def _plain(files):
    return int(subprocess.run([program("plain_jpeg"), str(EDGE), *files], capture_output=True, text=True, timeout=600, check=True).stdout)


@dataclasses.dataclass(frozen=True)
class Kind:
    """Of a run. folder: where its store lies, None: beside the logs; most: µs a picture of the worker process."""
    name: str
    edges: tuple
    folder: str = None
    most: float = None


def _kinds(options):
    kinds = [Kind("disk", ()), Kind(f"disk, {EDGE} px", (EDGE,))]
    return kinds + [Kind("memory", (), options.memory_folder, MOST_US)] * os.path.isdir(options.memory_folder)


def _costs(rig, options, files, result):
    kinds = _kinds(options)
    rows, plain = {kind: [] for kind in kinds}, []
    with closing(Nginx(rig.folder / "nginx", files[0].parent)) as origin:
        for pair in range(options.image_pairs):
            for kind in kinds if pair % 2 else reversed(kinds):
                rows[kind].append(_cost(rig, f"{kind.name}, {pair}", origin, len(files), kind))
            plain.append(_plain(files))
    for kind in kinds:
        def of(what, kind=kind):
            return [row[what] for row in rows[kind]]
        result.figures += [Figure(f"{kind.name}: client CPU", "µs/picture", of("worker"), kind.most),
                           Figure(f"{kind.name}: decoders' CPU", "µs/picture", of("decoders")), Figure(f"{kind.name}: Redis CPU", "µs/picture", of("redis")),
                           Figure(f"{kind.name}: Redis commands", "a picture", of("commands")), Figure(f"{kind.name}: scripts", "a picture", of("scripts")),
                           Figure(f"{kind.name}: facets", "a picture", of("facets")),
                           Figure(f"{kind.name}: rate", "pictures/s", of("rate")), Figure(f"{kind.name}: peak memory", "MiB", of("peak"), MOST_MIB)]
    ratios = [row["decoders"] / one for kind in kinds if kind.edges for row, one in zip(rows[kind], plain)]
    result.figures += [Figure(f"{EDGE} px: the plain library", "µs/picture", plain), Figure(f"{EDGE} px: decoders beside it", "times", ratios, MOST_RATIO)]


# ---- slow hosts

def _overlap(log):
    """[(began, ended, slow)] -> most at once, most slow ones at once."""
    steps = sorted((at, change, slow) for began, ended, slow in log for at, change in ((began, 1), (ended, -1)))
    now = [0, 0]
    most = [0, 0]
    for _, change, slow in steps:
        now[0] += change
        now[1] += change * slow
        most = [max(pair) for pair in zip(most, now)]
    return most


def _paced(rig, name, options, files, slow):
    """(p99 of the fast ones in s, most transfers at once, of which slow ones, fast ones that began while all places were taken)."""
    with closing(Origin(rig.folder / f"origin-{name}", files[0].parent, options.slow_s)) as origin:
        times = _send_paced(rig, name, options, files, slow, origin)
    log = [(start, end, host.startswith("slow")) for host, _, start, end in origin.log()]
    most, most_slow = _overlap(log)
    p99 = times[len(times) * 99 // 100]
    say(f"images {name}: p50 {statistics.median(times) * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, {most} at once, {most_slow} of them slow")
    return p99, most, most_slow, _behind(log)


def _send_paced(rig, name, options, files, slow, origin):
    """The seconds of each fast one, the least first."""
    hosts, leads = names(origin.port, {"fast": 12, "slow": 4})
    wide = {"firstByteMs": 30000, "totalMs": 60000, "inFlightItems": IN_FLIGHT}
    run = Run(rig, name, merged(leads, {"thumbnails": {"edgePixels": []}, "fetch": wide}))
    began, late = time.monotonic(), set()
    for number in range(len(files)):
        is_slow = slow and number % SLOW_SHARE == 0
        host = hosts[12 + number // SLOW_SHARE % 4] if is_slow else hosts[number % 12]
        if is_slow:
            late.add(ident(number))
        wait_s = began + number / options.image_rate - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        run.send(number, f"http://{host}:{origin.port}/{number}.jpg")
    run.settle(options.slow_s * (3 + len(late) / 64) + 600)
    times = sorted(seconds for id, seconds in run.cached().items() if id not in late)
    run.close()
    return times


def _behind(log):
    """Fast ones at whose start every other place was taken, at least one of them by a slow one: those may have waited for it. (Hosts and
    addresses are apart.)"""
    behind = 0
    for began, _, slow in log:
        if not slow:
            others = [other[2] for other in log if other[0] < began <= other[1]]
            behind += len(others) >= IN_FLIGHT - 1 and any(others)
    return behind


def _slow(rig, options, files, result):
    pairs = []
    for pair in range(options.image_pairs):
        rows = {slow: _paced(rig, f"{'slow' if slow else 'even'}{pair}", options, files, slow) for slow in ((True, False) if pair % 2 else (False, True))}
        pairs.append((rows[False], rows[True]))
    result.figures += [Figure("p99 to cached, no slow ones", "ms", [even[0] * 1000 for even, _ in pairs]),
                       Figure("p99 to cached beside slow ones", "ms", [slow[0] * 1000 for _, slow in pairs]),
                       Figure("p99 beside slow ones against without", "times", [slow[0] / even[0] for even, slow in pairs], MOST_P99),
                       Figure("transfers at once, most", "", [slow[1] for _, slow in pairs], note=f"places: {IN_FLIGHT}"),
                       Figure("slow ones at once, most", "", [slow[2] for _, slow in pairs]),
                       Figure("began when no place was free and a slow one had one", "", [slow[3] for _, slow in pairs], 0)]


# ---- memory

def _memory(rig, options, files, result):
    with closing(Origin(rig.folder / "origin-memory", files[0].parent, options.slow_s)) as origin:
        _hold(rig, options, files, result, origin)


def _hold(rig, options, files, result, origin):
    n, n_hosts = options.in_flight, -(-options.in_flight // 4)
    run = Run(rig, "memory", {"testAllow": [f"127.0.0.1:{origin.port}"], "thumbnails": {"edgePixels": []},
                              "fetch": {"inFlightItems": 1024, "slowBytes": 0, "totalMs": 120000, "perHost": 4}})
    empty, key, over = usage(run.worker.pid).rss_mib, f"{run.space.name}:img:slots:{{127.0.0.1}}", threading.Event()

    def no_limit():
        with rig.redis.client() as client:
            while not over.wait(0.002):
                client.delete(key)
    thread = threading.Thread(target=no_limit)
    thread.start()
    try:
        for number in range(n):
            run.send(number, f"http://hold{number % n_hosts}.localhost:{origin.port}/{number % len(files)}.jpg?{number}")
        run.producer.flush(60)
        until(lambda: origin.held() >= n, 110, lambda: f"{n} transfers are held, {origin.held()} are\n{run.worker.log_tail()}", every_s=0.1)
        address = address_of(run.worker)
        seen = until(lambda: (shown := samples(address))["newsmill_images_in_flight_items"] >= n and shown, 20, "the worker counts them")
        now = usage(run.worker.pid)
    finally:
        over.set()
        thread.join()
    origin.release()
    until(lambda: samples(address)["newsmill_images_in_flight_items"] == 0, 300, "all ended", every_s=0.2)
    result.figures += [Figure("resident, nothing in flight", "MiB", [empty]), Figure(f"resident, {n:,} in flight", "MiB", [now.rss_mib], MOST_MIB),
                       Figure("newsmill_images_in_flight_bytes", "MiB", [seen["newsmill_images_in_flight_bytes"] / 2 ** 20]),
                       Figure("newsmill_images_in_flight_items", "", [seen["newsmill_images_in_flight_items"]])]
    run.close()


def run(rig, options):
    result = Result("images", {"input": f"{options.pictures:,} JPEGs of 1200 x 630; one instance, {HOSTS} hosts and addresses, HTTP/1.1 without TLS"})
    files = draw(rig.folder / "pictures", options.pictures)
    result.settings["bytes of a picture"] = f"{sum(file.stat().st_size for file in files) / len(files):,.0f}"
    for part in options.image_part or PARTS:
        {"cost": _costs, "slow": _slow, "memory": _memory}[part](rig, options, files, result)
    return result
