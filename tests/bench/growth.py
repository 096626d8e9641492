"""growth: what `related` and its Redis cost an article when the state holds 10,000, 100,000, 1,000,000 articles.

Made-up articles, directly on `normalized`, in the order of their times over two weeks: 200 stories are told at a time, by five articles on
average; a title has three of four words that only its story has and four of a vocabulary in which some words are far commoner than others. Measured
are windows of articles behind each of the sizes, one process, one partition, no append-only file.
"""

import itertools
import json
import random
import time

from support.articles import article
from support.waiting import until

from .linking import MOST_BYTES, MOST_US, _memory
from .machine import Meter, usage
from .report import Figure, Result
from .rig import say

SUMMARY = "CPU of related and of Redis an article, while the state grows a hundredfold"
WINDOW, ROUNDS, ACTIVE, TOLD, MOST_GROWTH = 5000, 5, 200, 5, 1.3
FIRST_S = 1_767_225_600  # 2026-01-01T00:00:00Z


def add_arguments(parser):
    parser.add_argument("--sizes", default="10000,100000,1000000", help="growth: articles in the state (default 10000,100000,1000000)")


def _word(number):
    """Each number has its own, which no stemmer touches."""
    syllables = ("ka", "lo", "mu", "ri", "ta", "vo", "zu", "pe")
    return "x" + "".join(syllables[number >> 3 * place & 7] for place in range(7)) + "q"


def articles(total):
    """Endless for all that matters: articles with number, title and time."""
    rng = random.Random("growth")
    common = [_word(2 ** 20 + n) for n in range(20_000)]
    fresh = itertools.count()
    active = [[_word(next(fresh)) for _ in range(4)] for _ in range(ACTIVE)]
    step_s = 14 * 86400 / total
    for number in itertools.count():
        at = rng.randrange(ACTIVE)
        if rng.random() < 1 / TOLD:
            active[at] = [_word(next(fresh)) for _ in range(4)]
        words = [*rng.sample(active[at], 3), *(common[int(20_000 * rng.random() ** 4)] for _ in range(4))]
        date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(FIRST_S + int(number * step_s)))
        yield article(number, 1, title=" ".join(words), publishedDateTime=date, quality=rng.randrange(131))


def _feed(space, process, source, n):
    """Stores the next n articles and waits until related has placed them."""
    wanted = space.done("related", "normalized") + n
    space.produce("normalized", ((item["id"], json.dumps(item), None, space.headers("article/1", 1)) for item in itertools.islice(source, n)),
                  timeout_s=600, **{"queue.buffering.max.messages": 100_000})
    until(lambda: space.done("related", "normalized") >= wanted, 3600, lambda: f"related finishes {wanted}, has {space.done('related', 'normalized')}\n{process.log_tail()}", every_s=0.2)


def _window(rig, space, process, source):
    """(CPU of related, CPU of Redis, commands of Redis) an article."""
    with rig.redis.client() as client:
        meter, before = Meter(**rig.pids()), usage(process.pid).cpu_s
        commands = client.info("stats")["total_commands_processed"]
        _feed(space, process, source, WINDOW)
        cpu, _ = meter.spent()
        commands = client.info("stats")["total_commands_processed"] - commands
    return (usage(process.pid).cpu_s - before) / WINDOW * 1e6, cpu["redis"] / WINDOW * 1e6, commands / WINDOW


def _measure(rig, options):
    """{size: [windows]} and {size: bytes an article}. Each size has a namespace and a process; the windows take turns, so that whatever else the
    machine does meets all of them."""
    sizes, filled, memory = [int(size) for size in options.sizes.split(",")], {}, {}
    with rig.redis.client() as client:
        client.config_set("appendonly", "no")
        for size in sizes:
            empty, space = client.info("memory")["used_memory"], rig.space(partitions=1)
            filled[size] = space, rig.workers.start("related", space.config), articles(sizes[-1])
            _feed(*filled[size], size)
            memory[size] = (client.info("memory")["used_memory"] - empty) / size
            say(f"growth: {size:,} articles are there, {memory[size]:,.0f} bytes each")
    windows = {size: [] for size in sizes}
    for _ in range(ROUNDS):
        for size in sizes:
            windows[size].append(_window(rig, *filled[size]))
            say(f"growth: {size:,} articles: related %.0f µs, Redis %.0f µs, %.0f commands" % windows[size][-1])
    return filled, windows, memory


def run(rig, options):
    result = Result("growth", {"input": f"made-up articles, {ROUNDS} windows of {WINDOW:,}; one process each, one partition, batches of 64"})
    filled, windows, memory = _measure(rig, options)
    for size, rows in windows.items():
        client, redis, commands = ([row[k] for row in rows] for k in range(3))
        result.figures += [Figure(f"{size:,}: client CPU", "µs/article", client, MOST_US), Figure(f"{size:,}: Redis CPU", "µs/article", redis),
                           Figure(f"{size:,}: commands", "an article", commands),
                           Figure(f"{size:,}: Redis memory", "bytes/article", [memory[size]], MOST_BYTES)]
    first, last = min(windows), max(windows)
    for k, what in enumerate(("client", "Redis")):
        ratios = [b[k] / a[k] for a, b in zip(windows[first], windows[last])]
        result.figures.append(Figure(f"{what} CPU, last against first", "times", ratios, MOST_GROWTH))
    result.figures += [Figure(f"Redis memory, {kind}", "bytes/article", [size]) for kind, size in _memory(rig, filled[last][0], last + ROUNDS * WINDOW).items() if size]
    for _, process, _ in filled.values():
        process.term()
        assert process.wait(30) == 0, f"related ended with {process.code}\n{process.log_tail()}"
    for space, _, _ in filled.values():  # only now: it empties the Redis of all
        rig.forget(space)
    return result
