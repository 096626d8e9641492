"""images in a network of its own (support/images_lab.py): forbidden addresses that are really there and are never called (T35 to
T39), names whose address changes (T41), packets and questions that nobody answers (T65, T66)."""

import pytest

from support import pictures
from support.images import SHORT, outcome
from support.images_lab import Lab, Missing
from support.servers import free_port
from support.waiting import until
from support.workers import program

# number, URL, the address that it would call
FORBIDDEN = [
    (35, "http://[64:ff9b::a9fe:a9fe]/", "64:ff9b::a9fe:a9fe"), (35, "http://[64:ff9b:1::a00:1]/", "64:ff9b:1::a00:1"),
    (36, "http://[2002:a00:1::]/", "2002:a00:1::"), (36, "http://[2001::1]/", "2001::1"), (36, "http://[3fff::1]/", "3fff::1"),
    (36, "http://[5f00::1]/", "5f00::1"), (36, "http://[2001:db8::1]/", "2001:db8::1"),
    (37, "http://[fec0::1]/", "fec0::1"), (37, "http://[fd00::1]/", "fd00::1"), (37, "http://[::1]/", "::1"),
    (38, "http://169.254.169.254/latest/meta-data/", "169.254.169.254"), (38, "http://0xA9FEA9FE/", "169.254.169.254"),
    (38, "http://[fd00:ec2::254]/", "fd00:ec2::254"), (38, "http://100.100.100.200/", "100.100.100.200"),
    (38, "http://168.63.129.16/", "168.63.129.16"),
    (39, "http://10.0.0.1/", "10.0.0.1"), (39, "http://172.16.0.1/", "172.16.0.1"), (39, "http://172.31.255.255/", "172.31.255.255"),
    (39, "http://192.168.1.1/", "192.168.1.1"), (39, "http://100.64.0.1/", "100.64.0.1"), (39, "http://198.18.0.1/", "198.18.0.1"),
    (39, "http://192.0.0.192/", "192.0.0.192"), (39, "http://127.0.0.2/", "127.0.0.2"), (39, "http://0.0.0.0/", "127.0.0.1"),
    (39, "http://127.0.0.1/", "127.0.0.1"),
]
NOBODY = [(37, "http://[ff02::1]/"), (37, "http://[fe80::1%25lo]/")]
PUBLIC = "9.9.9.9"  # the control of the filter: an address that may be called, and is
HOLE = "9.9.9.10"


def cases():
    found = {}
    for number, url, *_ in FORBIDDEN + NOBODY:
        n = sum(name.startswith(f"T{number:03d}") for name in found) + 1
        found[f"T{number:03d}-{n}"] = url
    return found


CASES = cases()


def opened(rig, folder, plan):
    port = free_port()
    ports = [int(rig.ns.kafka.brokers.rpartition(":")[2]), rig.ns.redis.port]
    try:
        lab = Lab(folder, ports, {**plan, "port": port, "picture": pictures.png().hex()})
    except Missing as error:
        pytest.skip(f"not run: no network namespace: {error}")
    rig.ns.write_config(images={"testAllow": [f"127.0.0.1:{port}"]})
    lab.port, lab.rig = port, rig
    return lab


def start(lab):
    """A worker inside; its admin pages are out of reach, so its log says when it is ready."""
    worker = lab.rig.workers.start("images", lab.rig.ns.config, command=[*lab.command(), program("newsmill-images")])
    until(lambda: "group.assigned" in worker.log_text() or not worker.alive, 30, lambda: f"it is ready\n{worker.log_tail()}")
    return worker


@pytest.fixture(scope="module")
def run(shared_rig, tmp_path_factory):
    rig = shared_rig()
    addresses = sorted({address for *_, address in FORBIDDEN if address not in ("127.0.0.1", "127.0.0.2", "::1")}) + [PUBLIC]
    answers = {f"/to/{case}": {"location": url} for case, url in CASES.items()}
    lab = opened(rig, tmp_path_factory.mktemp("lab"), {"addresses": addresses, "answers": answers})
    lab.control = {address: lab.ask("call", address) for *_, address in FORBIDDEN}
    until(lambda: set(lab.ask("hits")) == set(lab.control), 10, "each call of the control is counted")
    lab.ask("forget")
    start(lab)
    sent = {**CASES, **{f"{case}-redirect": f"http://127.0.0.1:{lab.port}/to/{case}" for case in CASES},
            "public": f"http://{PUBLIC}/", "ok": f"http://127.0.0.1:{lab.port}/ok"}
    rig.send(sent)
    rig.settle(sent, 90)
    yield lab
    lab.close()


def test_control_could_call_each_of_them(run):
    assert run.control == {address: True for *_, address in FORBIDDEN}


@pytest.mark.parametrize("case", CASES)
def test_forbidden(run, case):
    direct, behind = run.rig.image(case), run.rig.image(f"{case}-redirect")
    if "fe80" in CASES[case]:
        assert outcome(direct) in ("blocked_addr", "url_invalid") and outcome(behind) in ("blocked_addr", "url_invalid", "redirect_bad")
        return
    assert outcome(direct) == outcome(behind) == "blocked_addr"


def test_nobody_was_called_but_who_may_be(run):
    """The public address closes the connection at once, so its picture fails; that it was called shows that the way is open."""
    assert outcome(run.rig.image("ok")) == "cached"
    assert set(run.ask("hits")) == {PUBLIC}


def test_T041_name_whose_address_changes(new_rig, tmp_path):
    """The first answer may be called, the second not: nothing goes there."""
    rig = new_rig()
    lab = opened(rig, tmp_path / "lab", {"addresses": ["10.0.0.1"], "dns": {"rebind.test": [["127.0.0.1"], ["10.0.0.1"]]}})
    try:
        worker = start(lab)
        rig.send({"T041": f"http://rebind.test:{lab.port}/one"})
        rig.wait_cached("T041")
        worker.term()
        assert worker.wait() == 0
        start(lab)  # which asks anew
        rig.send({"T041/two": f"http://rebind.test:{lab.port}/two", "T041/80": "http://rebind.test/three"})
        rig.settle(["T041/two", "T041/80"])
        assert outcome(rig.image("T041/two")) == outcome(rig.image("T041/80")) == "blocked_addr"
        assert lab.ask("asked")["rebind.test"] >= 2
        assert lab.ask("hits") == {} and lab.ask("log") == [["rebind.test", "/one"]]
    finally:
        lab.close()


def test_T065_T066_packets_and_questions_into_the_void(new_rig, tmp_path):
    rig = new_rig(options={**SHORT, "fetch": {**SHORT["fetch"], "ports": [80, 81]}})
    lab = opened(rig, tmp_path / "lab", {"addresses": [PUBLIC, HOLE], "black_holes": [HOLE], "dns": {"mute.test": []}})
    try:
        worker = start(lab)
        sent = {"T065": f"http://{HOLE}:81/", "T066": "http://mute.test/", "ok": f"http://127.0.0.1:{lab.port}/ok"}
        rig.send(sent)
        rig.wait_cached("ok", 10)
        until(lambda: "mute.test" in worker.log_text(), 10, "the name without an answer is given up within the limit, not after that of the resolver")
        rig.send({"next": f"http://127.0.0.1:{lab.port}/next"})
        rig.wait_cached("next", 10)
        rig.settle(sent, 10)
        assert outcome(rig.image("T065")) == "timeout_connect"
        assert outcome(rig.image("T066")) == "dns_fail"
        assert worker.alive
    finally:
        lab.close()
