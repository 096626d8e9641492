"""Short fault tests and negative controls; tests/chaos/run has the long ones. Each prints its seed; NM_SEED repeats one."""

import os
import random

import pytest
from chaos import scenarios

SEED = int(os.environ.get("NM_SEED") or random.SystemRandom().randrange(1_000_000))


@pytest.mark.parametrize("name", list(scenarios.SHORT))
def test_nothing_is_lost(name, kafka, redis, tmp_path):
    result = scenarios.run_once(scenarios.SHORT[name], SEED, kafka, redis, tmp_path)
    print(result.line())
    assert result.good, result.report()
    plan = {kind: n for kind, n in scenarios.SHORT[name].plan().items() if n}
    assert all(result.counts[kind] >= n for kind, n in plan.items()), f"{dict(result.counts)}, planned {plan}"


@pytest.mark.parametrize("name", list(scenarios.CONTROLS))
def test_control_is_caught(name, kafka, redis, tmp_path):
    results = scenarios.run_control(name, SEED, kafka, redis, tmp_path)
    for result in results:
        print(result.line())
    assert results[-1].caught, f"{len(results)} runs with {name}, and the checker saw nothing wrong"
