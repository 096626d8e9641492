"""A network of its own for an images worker, in which the addresses that it must never reach are there and are watched.

Lab starts this file again in new namespaces (network and mounts; as another user than root a user namespace, too). There
the forbidden addresses lie on the loopback interface with a listener on port 80 that counts who is called; a hostile host
(support/image_host.py) listens on 127.0.0.1; a DNS server answers on port 53 as the test says; and the ports of Kafka and
Redis lead out through Unix sockets. The worker runs inside; the test talks to Lab, and reads facets as ever.
"""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support.image_host import ImageHost, end_listening, redirect, reply  # noqa: E402


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for sock in source, target:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def relay(listener, connect):
    """Passes every connection on to what connect() gives, in threads."""
    def serve(client):
        try:
            other = connect()
        except OSError:
            client.close()
            return
        threading.Thread(target=copy, args=(other, client), daemon=True).start()
        copy(client, other)

    def accept():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()


@contextlib.contextmanager
def short(path):
    """The same file by a name that a socket's address has room for (108 bytes), however deep its folder is."""
    folder = os.open(pathlib.Path(path).parent, os.O_PATH)
    try:
        yield f"/proc/self/fd/{folder}/{pathlib.Path(path).name}"
    finally:
        os.close(folder)


def unix(path):
    sock = socket.socket(socket.AF_UNIX)
    with short(path) as name:
        sock.connect(name)
    return sock


# ---- outside

class Missing(Exception):
    """The machine does not allow such namespaces."""


class Lab:
    """plan: {"addresses": [what lies on lo], "port": of the host, "dns": {name: [[address, ...] for the 1st, 2nd... question]},
    "answers": {path: {"location"} or nothing for a good picture}, "black_holes": [addresses whose port 80 takes no SYN]}. A name with no answers gets none."""

    def __init__(self, folder, ports, plan):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.listeners = []
        for port in ports:
            listener = socket.socket(socket.AF_UNIX)
            with short(folder / f"{port}") as name:
                listener.bind(name)
            listener.listen(64)
            relay(listener, lambda port=port: socket.create_connection(("127.0.0.1", port)))
            self.listeners.append(listener)
        user = [] if os.geteuid() == 0 else ["--map-root-user"]
        self.process = subprocess.Popen(
            ["unshare", *user, "--net", "--mount", "--propagation", "private", sys.executable, __file__, json.dumps({**plan, "ports": list(ports), "folder": str(folder)})],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            self.ready = self._answer()
        except EOFError as error:
            raise Missing(self.process.communicate()[1].strip()[-300:]) from error

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise EOFError
        return json.loads(line)

    def ask(self, *words):
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def command(self):
        """What to put in front of a program so that it runs inside."""
        inside = ["--net", "--mount"] + ([] if os.geteuid() == 0 else ["--user", "--preserve-credentials"])
        return ["nsenter", "-t", str(self.process.pid), *inside]

    def close(self):
        self.process.kill()
        self.process.communicate()
        for listener in self.listeners:
            end_listening(listener)


# ---- inside

def ip(*words):
    subprocess.run(["ip", *words], check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)


class Watch:
    """Counts connections to port 80 by the address that was called."""

    def __init__(self):
        self.hits = {}
        for family, address in (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"):
            listener = socket.socket(family)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address, 80))
            listener.listen(64)
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            sock, _ = listener.accept()
            address = sock.getsockname()[0].partition("%")[0]
            self.hits[address] = self.hits.get(address, 0) + 1
            sock.close()


def black_hole(address):
    """A listener whose queue is full: the kernel drops every further SYN."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, 81))
    listener.listen(0)
    fillers = []
    while len(fillers) < 4:
        sock = socket.socket(family)
        sock.settimeout(0.3)
        fillers.append(sock)
        try:
            sock.connect((address, 81))
        except TimeoutError:
            break
    return [listener, *fillers]


class Names:
    """A DNS server for A records; AAAA has none. answers: {name: [addresses of the 1st question, of the 2nd...]}; the last
    stays; a name with no list is never answered."""

    def __init__(self, answers):
        self.answers, self.asked = answers, {}
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            query, client = self.sock.recvfrom(512)
            at, labels = 12, []
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode())
                at += 1 + query[at]
            name, kind = ".".join(labels).lower(), query[at + 2]
            turns = self.answers.get(name)
            if turns == []:
                continue
            addresses = []
            if turns and kind == 1:
                n = self.asked.get(name, 0)
                self.asked[name] = n + 1
                addresses = turns[min(n, len(turns) - 1)]
            body = b"".join(b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(a) for a in addresses)
            flags = b"\x81\x80" if turns else b"\x81\x83"
            self.sock.sendto(query[:2] + flags + b"\0\1" + bytes((0, len(addresses))) + b"\0\0\0\0" + query[12:at + 5] + body, client)


def main(plan):
    ip("link", "set", "lo", "up")
    for address in plan["addresses"]:
        ip("address", "add", f"{address}/{128 if ':' in address else 32}", "dev", "lo", *(["nodad"] if ":" in address else []))
    folder = pathlib.Path(plan["folder"])
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:20 attempts:1\n")
    subprocess.run(["mount", "--bind", folder / "resolv.conf", "/etc/resolv.conf"], check=True, stdin=subprocess.DEVNULL)
    for port in plan["ports"]:
        relay(socket.create_server(("127.0.0.1", port), backlog=64), lambda port=port: unix(folder / str(port)))
    watch, names = Watch(), Names(plan.get("dns", {}))
    holes = [black_hole(address) for address in plan.get("black_holes", ())]
    host = ImageHost(port=plan["port"])
    picture = bytes.fromhex(plan["picture"])
    for path, answer in plan.get("answers", {}).items():
        host.at[path] = redirect(answer["location"].encode().decode("latin-1")) if "location" in answer else reply(picture)
    host.other = reply(picture)
    print(json.dumps({"holes": len(holes)}), flush=True)
    for line in sys.stdin:
        words = json.loads(line)
        if words[0] == "hits":
            answer = dict(watch.hits)
        elif words[0] == "forget":
            answer = watch.hits.clear()
        elif words[0] == "call":  # the control: whether the address can be called at all
            try:
                socket.create_connection((words[1], 80), timeout=5).close()
                answer = True
            except OSError as error:
                answer = str(error)
        elif words[0] == "asked":
            answer = names.asked
        else:
            answer = [[r.name, r.path] for r in host.requests()]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
