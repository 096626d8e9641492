"""related killed at every point of the runtime at which a batch may be cut, the commit among them: stories stay sound, nobody's last facet is
of before. (tests/integration/test_related_model.py kills between any two commands of a script's round trip.)"""

import json
import os
import random
import signal

import pytest
from support import related_events, stories
from support.articles import message
from support.linking import wait_told
from support.related_events import Events
from support.waiting import until

POINTS = ("redis_sent", "redis_done", "produced", "reported", "marked", "wm_written", "committed")
SEED = int(os.environ.get("NM_SEED") or random.SystemRandom().randrange(1_000_000))
PARTS, AT_ONCE = int(os.environ.get("NM_PARTS", "3")), 60  # kills of each point
MOST = 4  # times as many parts at most: a victim may come through, or die when everything is committed
# Little is in flight and each step is committed, so that a victim dies between two of them.
STEPWISE = ("--set", "runtime.batchItems=8", "--set", "runtime.inFlightItems=16", "--set", "runtime.commitMs=10")


def is_done(space):
    return not space.lag("related", "normalized")


def check(space, messages):
    with space.redis.client() as client:
        assert client.exists(f"{space.name}:{{rel}}:rev")
    state = stories.load(space)
    stories.check_sound(state)
    stories.check_facets(state, stories.newest_facets(space))
    related_events.check_found(state)
    related_events.check_newest(state, messages)
    related_events.check_no_trace(state)


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_point_related_is_sound(point, new_namespace, workers):
    print(f"seed={SEED}")
    rng = random.Random(f"{SEED} {point}")
    space = new_namespace(partitions=2).create_topics()
    messages, killed, part = Events(rng).history(40, MOST * PARTS * AT_ONCE), 0, 0
    while part < PARTS or (not killed and part < MOST * PARTS):
        sent = messages[part * AT_ONCE:(part + 1) * AT_ONCE]
        part += 1
        space.produce("normalized", (message(space, item) for item in sent), timeout_s=60)
        victim = workers.start("related", space.config, *STEPWISE,
                               env={"NM_FAULT": f"{point}:1/3", "NM_FAULT_SEED": str(rng.randrange(1 << 30))})
        until(lambda: not victim.alive or is_done(space), 60, "it dies at the point, or came through by chance")
        if victim.alive:
            victim.kill()
        assert victim.code == -signal.SIGKILL, victim.log_tail()
        killed += not is_done(space)
        after = workers.start("related", space.config, "--set", "runtime.batchItems=8")
        space.wait_done("related", "normalized")
        after.term()
        assert after.wait() == 0
    last = workers.start("related", space.config)
    wait_told(space, 150)
    check(space, messages[:part * AT_ONCE])
    assert not [m for m in space.read("dead")], json.dumps([m.headers["nm-message"].decode() for m in space.read("dead")])
    print(f"{killed} of {part} died with something left to do")
    assert killed >= 1, "it was killed with something left to do"
    last.term()
    assert last.wait() == 0
