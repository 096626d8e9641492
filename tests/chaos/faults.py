"""The faults, each an actor: a function that runs in a thread of its own until its share of the plan is done.

An actor waits until the workers have moved on since its last act (so there is work to break), then a random while more
(so that the instant is anywhere in a batch), then acts. It counts only what really happened: a kill that hit a living
process, a rollback that took writes away.
"""

import functools
import random
import shutil
import threading
import time

from redis.exceptions import RedisError
from support.waiting import until
from support.workers import INPUTS

KEPT = 3  # snapshots; an old one takes more away
NAMES = list(INPUTS)


def actors(run):
    scenario = run.scenario
    chosen = []
    if scenario.kills:
        chosen += [functools.partial(killer, run, name) for name in NAMES]
    if scenario.redis_restarts or scenario.rollbacks:
        chosen.append(functools.partial(redis_breaker, run))
    if scenario.broker_kills:
        chosen.append(functools.partial(broker_breaker, run))
    if scenario.zombies:
        chosen.append(functools.partial(zombie_maker, run))
    if scenario.joins:
        chosen.append(functools.partial(joiner, run))
    return chosen


def _rng(run, name):
    return random.Random(f"{name} {run.scenario.name} {run.seed}")


def _pause(run, seconds):
    """A random while that is part of the plan; ends early when the run does."""
    run.over.wait(seconds)


def killer(run, name):
    """kill -9 from outside, one instance or all of a worker's. Crash points inside are to do half of the kills, by
    themselves; while they are behind, this waits for them, but not for ever."""
    rng = _rng(run, f"killer {name}")
    position = 0
    while run.wanted("kills"):
        if rng.random() < 0.8:
            position = run.await_progress(name, position, timeout_s=6)
        _pause(run, rng.uniform(0, 0.12))
        patience = time.monotonic() + 6
        while run.counts["killed_outside"] > run.counts["killed_inside"] and time.monotonic() < patience:
            _pause(run, 0.05)
        living = run.living(name)
        if not living or not run.wanted("kills"):
            continue
        for worker in living if rng.random() < 0.3 else [rng.choice(living)]:
            run.kill(worker)


def redis_breaker(run):
    """Restarts Redis (nothing lost) or puts it back to a snapshot, while the workers go on; one server, one actor."""
    rng = _rng(run, "redis")
    snapshots = []
    until(lambda: run.over.is_set() or _every_wm(run), 300, "every partition has a wm, so that a snapshot has them all")
    while run.wanted("redis_restarts") or run.wanted("rollbacks"):
        before = {name: run.progress(name) for name in NAMES}
        if run.wanted("rollbacks"):
            snapshots.append(run.redis.snapshot())
            for old in snapshots[:-KEPT]:
                shutil.rmtree(old, ignore_errors=True)
        for name in NAMES:
            run.await_progress(name, before[name], timeout_s=10)
        _pause(run, rng.uniform(0, 0.3))
        if run.over.is_set():
            return
        if run.wanted("rollbacks") and (not run.wanted("redis_restarts") or rng.random() < 0.5):
            _roll_back(run, rng, snapshots)
        else:
            run.redis.kill()
            _pause(run, rng.choice((0.0, 0.1, 1.0)))
            run.redis.start()
            run.counts["redis_restarts"] += 1


def _every_wm(run):
    try:
        return all(words for name, streams in INPUTS.items() for stream in streams
                   for words in run.space.wm(run.space.group(name), stream).values())
    except (RedisError, OSError):
        return False


def _roll_back(run, rng, snapshots):
    snapshot = snapshots[-1] if rng.random() < 0.7 else rng.choice(snapshots[-KEPT:])
    held = {name: run.progress(name) for name in NAMES}
    run.redis.kill()
    if rng.random() < run.scenario.crash_share:  # the machine that all of them were on: nobody is left who knows
        for worker in run.living():
            run.kill(worker)
        run.counts["crashes_with_rollback"] += 1
    run.redis.rollback(snapshot)
    # The first look may already see replayed work, so compare at once.
    lost = any(0 <= run.progress(name) < held[name] for name in NAMES)
    run.counts["rollbacks" if lost else "rollbacks_of_nothing"] += 1


def broker_breaker(run):
    rng = _rng(run, "broker")
    position = 0
    while run.wanted("broker_kills"):
        position = run.await_progress(rng.choice(NAMES), position if rng.random() < 0.5 else 0, timeout_s=20)
        _pause(run, rng.uniform(0, 0.5))
        if run.over.is_set():
            return
        run.kafka.kill()
        _pause(run, rng.choice((0.0, 0.5, 2.0)))
        run.kafka.start()
        run.counts["broker_kills"] += 1
        _pause(run, rng.uniform(0.5, 3))


def zombie_maker(run):
    """Stops several workers at once for longer than the session, and wakes them: others have their partitions then."""
    rng = _rng(run, "zombies")
    while run.wanted("zombies"):
        for name in NAMES:
            run.await_progress(name, run.progress(name), timeout_s=5)
        _pause(run, rng.uniform(0, 0.1))
        stopped = []
        for name in NAMES:
            living = run.living(name)
            rng.shuffle(living)
            # Mostly somebody is left to take over; sometimes all sleep.
            some = living[: max(1, len(living) // 2)] if rng.random() < 0.8 else living
            with run.lock:
                stopped += [worker for worker in some if worker.pause()]
        _stopped_for(run, stopped, run.scenario.zombie_s)
        for worker in stopped:
            with run.lock:
                if worker.resume():
                    run.counts["zombies"] += 1
        _pause(run, rng.uniform(0.2, 2))


def _stopped_for(run, stopped, seconds):
    """Lets the others work meanwhile; the time itself is the fault."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not run.over.is_set():
        _pause(run, 0.1)
    return stopped


def joiner(run):
    """An instance leaves by SIGTERM, another one joins; now and then one more than usual joins first."""
    rng = _rng(run, "joiner")
    while run.wanted("joins"):
        name = rng.choice(NAMES)
        run.await_progress(name, run.progress(name), timeout_s=5)
        _pause(run, rng.uniform(0, 0.2))
        extra = rng.random() < 0.4
        if extra:
            run.start(name)
            _pause(run, rng.uniform(0, 1.5))
        living = run.living(name)
        if not living or run.over.is_set():
            continue
        leaving = threading.Thread(target=run.leave, args=(rng.choice(living),))
        leaving.start()
        _pause(run, rng.uniform(0, 0.5))
        if not extra:
            run.start(name)
        leaving.join()
        run.counts["joins"] += 1
