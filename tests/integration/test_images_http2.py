"""images from an origin that speaks HTTP/2 (a real nginx): one connection carries several pictures, and ends with the last."""

import os
import pathlib
import subprocess
import threading

import pytest

from support import pictures
from support.images import outcome
from support.servers import ROOT, free_port
from support.waiting import until
from support.web import AROUND, PROGRAM

HTTP = 'log_format protocols "$server_protocol $connection $uri"; limit_rate 8k;'
SERVER = """server {{
        listen 127.0.0.1:{port} ssl http2;
        access_log {folder}/access.log protocols;
        ssl_certificate {folder}/server.pem;
        ssl_certificate_key {folder}/server.key;
        root {folder}/www;
    }}"""


class Origin:
    """Pictures of 4 to 25 KB under /N.png, at 8 KB a second."""

    def __init__(self, folder, n):
        self.folder, self.port = pathlib.Path(folder), free_port()
        self.folder.chmod(0o755)
        subprocess.run([ROOT / "tests/support/make-certificates", folder], check=True, stdin=subprocess.DEVNULL)
        (self.folder / "www").mkdir()
        for number in range(n):
            (self.folder / f"www/{number}.png").write_bytes(pictures.png(seed=number, after=pictures.chunk(b"prIv", bytes(4000 + 7000 * (number % 4)))))
        user = "user root;" if os.geteuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(AROUND.format(
            folder=folder, user=user, limit=HTTP, server=SERVER.format(folder=folder, port=self.port)))
        self.process = subprocess.Popen([PROGRAM, "-p", folder, "-c", self.folder / "nginx.conf", "-e", self.folder / "error.log"],
                                        stdin=subprocess.DEVNULL)
        until(lambda: (self.folder / "nginx.pid").exists(), 20, "nginx has started")

    def log(self):
        return [line.split() for line in (self.folder / "access.log").read_text().splitlines()]

    def close(self):
        self.process.terminate()
        self.process.wait(20)


def open_to(worker, port):
    """Connections of that process's network to the port that are established, as this side sees them."""
    lines = [line.split() for line in pathlib.Path(f"/proc/{worker.pid}/net/tcp").read_text().splitlines()[1:]]
    return sum(line[2].endswith(f":{port:04X}") and line[3] == "01" for line in lines)


@pytest.fixture
def origin(tmp_path_factory):
    served = Origin(tmp_path_factory.mktemp("http2"), 24)
    yield served
    served.close()


def test_one_connection_carries_several_and_ends_with_the_last(new_rig, origin):
    rig = new_rig(options={"fetch": {"httpVersion": "2", "caFile": str(origin.folder / "ca.pem")}, "retry": {"tries": 1}}, allow=[f"127.0.0.1:{origin.port}"])
    worker = rig.start()
    most, over = [0], threading.Event()

    def watch():
        while not over.wait(0.01):
            most.append(open_to(worker, origin.port))
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        cases = {f"h2/{n}": f"https://127.0.0.1:{origin.port}/{n}.png" for n in range(24)}
        rig.send(cases)
        rig.settle(cases)
    finally:
        over.set()
        watcher.join()
    assert [outcome(rig.image(case)) for case in cases] == ["cached"] * 24
    log = origin.log()
    assert len(log) == 24 and {protocol for protocol, _, _ in log} == {"HTTP/2.0"}
    assert len({connection for _, connection, _ in log}) <= 4 and max(most) == 1
    until(lambda: open_to(worker, origin.port) == 0, 10, "no connection is left without a place")
