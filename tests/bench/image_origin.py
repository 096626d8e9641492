"""Where the pictures of the benchmarks come from: many JPEGs of some 100 KB, each with other bytes, and two servers of them on loopback.

Nginx is fast and quick to start; Origin (asyncio, a process of its own) keeps to delays and writes a log. Both listen at several addresses of
127/8, one a host name, so that the limit of an address does not hold for all together. By the host's name Origin answers

    fast...  after 20 ms
    slow...  after --slow-s
    hold...  at once with the head and 70 KB of the body, with the rest when a line comes on its standard input
"""

import argparse
import asyncio
import http.client
import io
import json
import os
import pathlib
import subprocess
import sys
import time

from PIL import Image, ImageDraw
from support.servers import ROOT, free_port
from support.waiting import until
from support.web import PROGRAM

WIDTH, HEIGHT, QUALITY, FIRST = 1200, 630, 77, 70_000
ADDRESSES = [f"127.0.0.{n}" for n in range(2, 18)]
FAST_S = 0.02


def draw(folder, n):
    """n files, 0.jpg and so on: the same grain, each with a pattern of its own in a corner."""
    folder.mkdir(parents=True, exist_ok=True)
    ramp = Image.linear_gradient("L").resize((WIDTH, HEIGHT))
    base = Image.merge("RGB", [Image.blend(Image.effect_noise((WIDTH, HEIGHT), 24), layer, share) for layer, share in
                               ((ramp, 0.7), (ramp.rotate(180), 0.6), (ramp.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 0.8))])
    pen = ImageDraw.Draw(base)
    for number in range(n):
        for bit in range(16):
            pen.rectangle((bit * 16, 0, bit * 16 + 15, 15), fill="white" if number >> bit & 1 else "black")
        out = io.BytesIO()
        base.save(out, "JPEG", quality=QUALITY)
        (folder / f"{number}.jpg").write_bytes(out.getvalue())
    return [folder / f"{number}.jpg" for number in range(n)]


def names(port, kinds):
    """({name: address}, options of images that lead there): one name an address, as many of each kind as {kind: n} says."""
    every = [f"{kind}{n}.test" for kind, n_kind in kinds.items() for n in range(n_kind)]
    at = dict(zip(every, ADDRESSES, strict=False))
    return list(at), {"testAllow": [f"{address}:{port}" for address in at.values()],
                      "testResolve": {f"{name}:{port}": [address] for name, address in at.items()}}


class Server:
    """A process with a port of its own; close() ends it."""

    def answers(self):
        assert self.process.poll() is None, f"the origin ended with {self.process.returncode}"
        try:
            connection = http.client.HTTPConnection(ADDRESSES[0], self.port, timeout=10)
            connection.request("GET", "/")
            return connection.getresponse().status == 404
        except OSError:
            return False

    def close(self):
        self.process.terminate()
        self.process.wait(20)


class Nginx(Server):
    def __init__(self, folder, pictures):
        assert PROGRAM, "nginx is not installed; deploy/install-deps --tests installs it"
        folder.mkdir()
        self.port = free_port()
        listen = " ".join(f"listen {address}:{self.port};" for address in ADDRESSES)
        temp = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            f"daemon off; {user} pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; events {{ worker_connections 2048; }}\n"
            f"http {{ access_log off; sendfile on; keepalive_requests 1000000; types {{ image/jpeg jpg; }} {temp}\n"
            f"server {{ {listen} root {pictures}; location = / {{ return 404; }} }} }}\n")
        self.process = subprocess.Popen([PROGRAM, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"], stdin=subprocess.DEVNULL)
        until(self.answers, 20, "nginx answers")


class Origin(Server):
    def __init__(self, folder, pictures, slow_s):
        self.port, self.log_file = free_port(), folder / "origin.log"
        folder.mkdir()
        self.process = subprocess.Popen([sys.executable, "-m", "bench.image_origin", pictures, str(self.port), self.log_file, str(slow_s)],
                                        stdin=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT / "tests")})
        until(self.answers, 20, "the origin answers")

    def release(self):
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def log(self):
        """[(host, path, began, ended)] of requests that were answered, seconds since 1970."""
        return [tuple(json.loads(line)) for line in self.log_file.read_text().splitlines()]

    def held(self):
        return sum(1 for _, _, _, ended in self.log() if ended is None)


# ---- the process of Origin

class Answers:
    def __init__(self, pictures, log, slow_s):
        self.pictures, self.slow_s, self.go = pictures, slow_s, asyncio.Event()
        self.out = open(log, "w", encoding="utf-8", buffering=1)

    def write(self, *line):
        self.out.write(json.dumps(line) + "\n")

    async def answer(self, head, writer):
        lines = head.decode("latin-1").split("\r\n")
        path = lines[0].split(" ")[1].partition("?")[0]
        host = next((line.split(":")[1].strip() for line in lines[1:] if line.lower().startswith("host:")), "")
        file = self.pictures / path[1:]
        if not path[1:] or not file.is_file():
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        began, body = time.time(), file.read_bytes()
        start = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        if host.startswith("hold"):
            writer.write(start + body[:FIRST])
            await writer.drain()
            self.write(host, path, began, None)
            await self.go.wait()
            writer.write(body[FIRST:])
        else:
            await asyncio.sleep(self.slow_s if host.startswith("slow") else FAST_S)
            writer.write(start + body)
        await writer.drain()
        self.write(host, path, began, time.time())

    async def serve(self, reader, writer):
        try:
            while True:
                await self.answer(await reader.readuntil(b"\r\n\r\n"), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pictures", type=pathlib.Path)
    parser.add_argument("port", type=int)
    parser.add_argument("log")
    parser.add_argument("slow_s", type=float)
    options = parser.parse_args()
    answers = Answers(options.pictures, options.log, options.slow_s)
    await asyncio.start_server(answers.serve, ["127.0.0.1", *ADDRESSES], options.port, backlog=2048)
    while await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):  # its end is that of the benchmark
        answers.go.set()


if __name__ == "__main__":
    asyncio.run(main())
