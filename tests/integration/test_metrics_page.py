"""The page that Prometheus reads, as Prometheus' own tool sees it; no server is needed."""

import subprocess

import pytest

from support.workers import environment, program


def promtool(page):
    return subprocess.run(["promtool", "check", "metrics"], input=page, text=True, capture_output=True, timeout=60,
                          check=False)


@pytest.fixture
def page():
    """A page with every family of the runtime, and a label that needs every escape."""
    return subprocess.run([program("test_metrics"), "--page"], text=True, capture_output=True, timeout=60, check=True,
                          env=environment()).stdout


def test_promtool_finds_nothing(page):
    done = promtool(page)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_series_is_there_once(page):
    """promtool does not look at that; Prometheus drops the whole page."""
    series = [line.rpartition(" ")[0] for line in page.splitlines() if not line.startswith("#")]
    assert len(series) > 50 and len(set(series)) == len(series)


@pytest.mark.parametrize("line", ["# TYPE newsmill_in_flight_items counter", 'newsmill_build_info{worker="x" 1', "a\"b 1"])
def test_promtool_sees_a_broken_line(page, line):
    assert promtool(page + line + "\n").returncode != 0
