"""linking: what `related` costs an article, its own CPU and that of Redis, and what it leaves in Redis.

The articles are those of a large replay of real titles (../shared/tools/linking, needed for this one): --twins made-up stories for each
known one, in the order of their times, one process. normalize works first; what is measured begins with the start of related. The second
half is told apart from the first, since the state grows. Redis keeps no append-only file here.
"""

import time

from support import linking
from support.waiting import until

from .machine import Meter, usage
from .report import Figure, Result
from .rig import say

SUMMARY = "CPU of related and of Redis an article, and Redis memory, on a large replay"
MOST_US, MOST_BYTES = 60, 1900
KINDS = ("p", "v", "m", "l", "s", "c", "z", "df", "h", "out")


def add_arguments(parser):
    parser.add_argument("--twins", type=int, default=250, help="linking: made-up stories for each known one (default 250)")


def _run(rig, space, n_articles):
    """[(CPU of related, CPU of Redis), ...] of the two halves, µs an article; articles a second; peak memory."""
    process = rig.workers.start("related", space.config)
    halves, began_s = [], time.monotonic()
    for wanted in (n_articles // 2, n_articles):
        meter, before, had = Meter(**rig.pids()), usage(process.pid).cpu_s, space.done("related", "normalized")
        until(lambda: space.done("related", "normalized") >= wanted, 1200, lambda: f"related finishes {wanted}, has {space.done('related', 'normalized')}", every_s=0.2)
        cpu, _ = meter.spent()
        n = space.done("related", "normalized") - had
        halves.append(((usage(process.pid).cpu_s - before) / n * 1e6, cpu["redis"] / n * 1e6))
    seconds, peak = time.monotonic() - began_s, usage(process.pid).peak_mib
    linking.wait_linked(space, 600)
    process.term()
    assert process.wait(15) == 0, f"related ended with {process.code}\n{process.log_tail()}"
    return halves, n_articles / seconds, peak


def _memory(rig, space, n_articles):
    """{kind: bytes an article} by MEMORY USAGE of every key, keys' own cost included."""
    prefix = f"{space.name}:{{rel}}:"
    sums = dict.fromkeys(KINDS, 0)
    with rig.redis.client() as client:
        for kind in KINDS:
            batch = list(client.scan_iter(match=f"{prefix}{kind}:*", count=10000))
            for at in range(0, len(batch), 5000):
                pipe = client.pipeline(transaction=False)
                for key in batch[at:at + 5000]:
                    pipe.memory_usage(key, samples=0)
                sums[kind] += sum(size or 0 for size in pipe.execute())
    return {kind: total / n_articles for kind, total in sums.items()}


def run(rig, options):
    result = Result("linking", {"input": f"crowd, seed 1, {options.twins} twins a story; one process, one partition, batches of 64"})
    if not linking.THERE:
        result.failures.append(f"skipped: {linking.WHY}")
        return result
    articles = linking.replay("crowd", 1, "--twins", str(options.twins))
    space = rig.space(partitions=1)
    normalize = rig.workers.start("normalize", space.config)
    space.produce("raw", linking.raw_events(articles), timeout_s=300)
    space.wait_done("normalize", "raw", 600)
    normalize.term()
    say(f"linking: {len(articles):,} articles are normalized")
    with rig.redis.client() as client:
        client.config_set("appendonly", "no")  # as the trial beside the tools, which it is compared with
        before = client.info("memory")["used_memory"]
    halves, rate, peak = _run(rig, space, len(articles))
    with rig.redis.client() as client:
        after = client.info("memory")["used_memory"]
    n_facets = sum(1 for _ in linking.facets(space))
    bytes_of = _memory(rig, space, len(articles))
    result.figures += [
        Figure("client CPU, first half", "µs/article", [halves[0][0]], MOST_US),
        Figure("client CPU, second half", "µs/article", [halves[1][0]], MOST_US),
        Figure("Redis CPU, first half", "µs/article", [halves[0][1]]),
        Figure("Redis CPU, second half", "µs/article", [halves[1][1]]),
        Figure("rate", "articles/s", [rate], note=f"{len(articles):,} articles"),
        Figure("facets sent", "an article", [n_facets / len(articles)], 3),
        Figure("peak memory of related", "MiB", [peak], 96),
        Figure("Redis memory, all", "bytes/article", [(after - before) / len(articles)], MOST_BYTES),
        *(Figure(f"Redis memory, {kind}", "bytes/article", [size]) for kind, size in bytes_of.items() if size),
    ]
    rig.forget(space)
    return result
