"""images, from an article to its facet: hosts that take their time (T59, T61 to T64 of the catalogue of hostile cases), with
limits of time short enough to be waited for. T65 and T66 need a network of their own: test_images_lab.py."""

import socket
import threading

import pytest

from support import pictures
from support.image_host import chain, delayed, end_listening, head, reply, silent, trickle
from support.images import SHORT, outcome
from support.waiting import until

GOOD = reply(pictures.png(), type="image/png")
START = pictures.PNG_SIGNATURE + pictures.ihdr(64, 48) + (0x40000000).to_bytes(4, "big") + b"IDAT"

# case: scenario, what comes of it, the seconds that it takes at least, as the host sees it, and at most
CASES = {
    "T061": (silent, "timeout_first_byte", 1, 4),
    "T062": (trickle("HTTP/1.1 200 OK\r\nA: ", "x", 0.5), "too_slow", 0.3, 4),
    "T063": (trickle(head().encode() + START, "x", 0.5), "too_slow", 0.3, 4),
    "T063-steady": (trickle(head().encode() + START, "x" * 150, 0.1), "timeout_total", 1.5, 5),
}


class Mute:
    """Takes connections and says nothing, so that a TLS handshake never ends."""

    def __init__(self):
        self.listener, self.taken = socket.create_server(("127.0.0.1", 0)), []
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                self.taken.append(self.listener.accept()[0])
            except OSError:
                return

    def close(self):
        end_listening(self.listener)
        for sock in self.taken:
            sock.close()


@pytest.fixture(scope="module")
def run(shared_rig):
    mute = Mute()
    rig = shared_rig(options=SHORT, allow=[f"127.0.0.1:{mute.port}"])
    rig.mute, rig.worker = mute, rig.start()
    rig.host.at["/ok"] = GOOD
    cases = {case: rig.url(f"/{case}", f"{case.lower()}.localhost") for case in CASES}
    for case, (scenario, *_) in CASES.items():
        rig.host.at[f"/{case}"] = scenario
    chain(rig.host, "/slow", 3, "/slow/3")
    for n in range(3):
        rig.host.at[f"/slow/{n}"] = delayed(0.65, rig.host.at[f"/slow/{n}"])
    rig.host.at["/slow/3"] = delayed(0.65, GOOD)
    cases["T059"] = rig.url("/slow/0", "t059.localhost")
    cases["T064"] = f"https://t064.localhost:{mute.port}/"
    cases["quick"] = rig.url("/ok", "quick.localhost")
    rig.send(cases)
    rig.settle(cases)
    yield rig
    mute.close()


@pytest.mark.parametrize("case", CASES)
def test_outcome(run, case):
    _, wanted, least, most = CASES[case]
    assert outcome(run.image(case)) == wanted
    request, = run.host.requests(f"/{case}")
    until(lambda: request.connection.closed, 10, "the connection is over")
    assert least <= request.connection.closed - request.at <= most


def test_T059_one_budget_for_all_hops(run):
    """Four answers of 0.65 s each are 2.6 s."""
    assert outcome(run.image("T059")) == "timeout_total"
    requests = run.host.requests(name="t059.localhost")
    assert 3 <= len(requests) <= 4
    until(lambda: all(r.connection.closed for r in requests), 10, "the connections are over")
    assert max(r.connection.closed for r in requests) - requests[0].at < 5


def test_T064_handshake_without_end(run):
    assert outcome(run.image("T064")) == "timeout_connect"
    assert len(run.mute.taken) == 1


def test_others_do_not_wait_for_them(run):
    assert outcome(run.image("quick")) == "cached"
    until(lambda: all(r.connection.closed for r in run.host.requests(name="t063-steady.localhost")), 10, "it is over")
    slowest = run.host.requests(name="t063-steady.localhost")[0].connection.closed
    assert run.host.requests(name="quick.localhost")[0].at < slowest


def test_they_are_tried_again_later(run):
    for case in [*CASES, "T059", "T064"]:
        assert "nextTry" in run.image(case)
