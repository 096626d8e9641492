"""A real S3 server on a folder (tests/s3), and what stands between it and a client that meets a bad network.

S3: S3Proxy, on a free loopback port that stays the same over kill and start. A bucket is a folder, an object a file in
it. Wire: passes bytes on, and cuts, drops, damages or swallows the PUTs that a test names.
"""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading

from .servers import ROOT, free_port
from .waiting import until
from .wire import Wire

HOME = pathlib.Path(os.environ.get("NEWSMILL_HOME") or ROOT / ".newsmill")
QUICK = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
BUCKET, REGION, ACCESS, SECRET = "pictures", "eu-1", "reader1", "not/a+real=secret"


class S3:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="newsmill-s3-"))
        self.port = free_port()
        self.process = None
        (self.folder / "data" / BUCKET).mkdir(parents=True)
        for name, text in ("access", ACCESS), ("secret", SECRET):
            path = self.folder / name
            path.touch(mode=0o600)
            path.write_text(text + "\n")
        settings = {
            "s3proxy.endpoint": self.url, "s3proxy.authorization": "aws-v4", "s3proxy.identity": ACCESS, "s3proxy.credential": SECRET,
            "jclouds.provider": "filesystem-nio2", "jclouds.identity": "any", "jclouds.credential": "any",
            "jclouds.filesystem.basedir": str(self.folder / "data")}
        (self.folder / "server.properties").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self, timeout_s=60):
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                ["java", *QUICK, f"-Dlogback.configurationFile={ROOT / 'tests/s3/logback.xml'}", "-cp", f"{HOME / 's3' / 'lib'}/*",
                 "org.gaul.s3proxy.Main", "--properties", str(self.folder / "server.properties")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(self._listens, timeout_s, f"the S3 server on port {self.port} answers; log: {self.folder}/server.log")
        return self

    def _listens(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the S3 server ended with {self.process.returncode}: {(self.folder / 'server.log').read_text()[-2000:]}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self):
        self.process.kill()
        self.process.wait()

    def keys(self, prefix):
        """What lies under a prefix, read past the server: {key without the prefix: bytes}."""
        top = self.folder / "data" / BUCKET / prefix
        return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}

    def close(self, keep=False):
        self.kill()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


class S3Wire(Wire):
    """Listens on a port of its own and passes everything on to the server. `plan` holds what is done to the next PUTs, one
    entry each: None (passed on), ("cut", n) (the connection ends after n bytes of the request), "swallow" (the server
    gets it, its answer goes nowhere), "drop" (nobody gets it, and nobody answers), "damage" (a bit of the body changes)."""

    def __init__(self, server):
        self.server, self.plan, self.puts, self.swallowed = server, [], 0, threading.Event()
        super().__init__()
        self.url = f"http://{self.address}"

    def _serve(self, client):
        with client, socket.create_connection(("127.0.0.1", self.server.port)) as upstream:
            mute = threading.Event()
            threading.Thread(target=self._answers, args=(upstream, client, mute), daemon=True).start()
            try:
                with client.makefile("rb") as stream:
                    while self._request(stream, client, upstream, mute):
                        pass
            except OSError:
                pass  # one of the two is gone

    def _answers(self, upstream, client, mute):
        try:
            while data := upstream.recv(65536):
                if mute.is_set():
                    self.swallowed.set()
                else:
                    client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _request(self, stream, client, upstream, mute):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return False
            head += line
        length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
        what = None
        if head.startswith(b"PUT "):
            self.puts += 1
            what = self.plan.pop(0) if self.plan else None
        if what == "drop":
            while stream.read(65536):
                pass
            return False
        if what == "swallow":
            mute.set()
        body = stream.read(length)
        if what == "damage":
            body = bytes([body[0] ^ 1]) + body[1:]
        if isinstance(what, tuple):
            upstream.sendall((head + body)[:len(head) + what[1]])
            upstream.shutdown(socket.SHUT_WR)
            client.shutdown(socket.SHUT_RDWR)
            return False
        upstream.sendall(head + body)
        return True
