"""images killed at each point on the way of a picture (T137 of the catalogue of hostile cases): decoded and not yet stored, stored while Redis does
not know, known before anybody was told; and at the points of a batch, among them a facet that was reported while its due entry stands. In the
end everybody's last facet is right, and no file is cut or unknown. (A put itself is cut at each of its system calls in unit/test_images_store_kill.c.)

NM_PARTS=20: as many kills a point.
"""

import os
import random
import signal

import pytest
from support import kept, pictures
from support.image_host import reply
from support.waiting import until

POINTS = ("made", "kept", "known", "redis_done", "produced", "reported", "marked", "committed")
SEED = int(os.environ.get("NM_SEED") or random.SystemRandom().randrange(1_000_000))
PARTS, AT_ONCE = int(os.environ.get("NM_PARTS", "2")), 12  # kills of each point
MOST = 4  # times as many parts at most: a victim may come through by chance


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_point_nothing_is_lost(point, new_rig):
    print(f"seed={SEED}")
    rng = random.Random(f"{SEED} {point}")
    rig = new_rig(options={"leaseMs": 500, "thumbnails": {"edgePixels": [64]}}, partitions=2,
                  more={"kafka": {"consumer": {"session.timeout.ms": "1500", "heartbeat.interval.ms": "300"}}, "runtime": {"commitMs": 50, "batchItems": 4}})
    bodies, cases, watch, killed, part = {}, {}, kept.Watch(rig), 0, 0
    while part < PARTS or (killed < PARTS and part < MOST * PARTS):
        sent = {}
        for n in range(part * AT_ONCE, (part + 1) * AT_ONCE):
            bodies[f"/{n}"] = pictures.jpeg(120 + n % 40, 90 + n // 40)
            rig.host.at[f"/{n}"] = reply(bodies[f"/{n}"], type="image/jpeg")
            sent[f"{point}/{n}"] = [rig.url(f"/{n}", f"p{n}.localhost"), rig.url(f"/{n // 2}", f"p{n // 2}.localhost")][:1 + (n > 0)]
        cases.update(sent)
        part += 1
        rig.send(sent)
        victim = rig.start(env={"NM_FAULT": f"{point}:1/3", "NM_FAULT_SEED": str(rng.randrange(1 << 30))})
        rig.facets.wait(lambda: watch.look() or not victim.alive or all(map(rig.settled, cases)), 60, "it dies at the point, or came through")
        killed += not victim.alive
        if victim.alive:
            victim.kill()
        assert victim.code == -signal.SIGKILL, victim.log_tail()
        kept.check_whole(rig)
    last = rig.start()
    rig.settle(cases, 120)
    until(lambda: watch.look() or kept.nothing_is_due(rig), 60, "nothing is due")
    watch.look()
    kept.check_last(rig, cases, bodies)
    kept.check_known(rig)
    assert killed >= 1, "it was killed at the point"
    print(f"{killed} of {part} died at the point")
    last.term()
    assert last.wait() == 0
