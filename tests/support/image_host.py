"""A hostile HTTP server on loopback, written on raw sockets, and listeners that nobody may connect to.

ImageHost answers each path with a scenario: a function that is given an Exchange and sends whatever bytes it likes, at its
own pace. `reply`, `redirect`, `sequence` and the others below make the usual ones. The server logs every request and
counts sockets, so that "exactly one request" and "never more than four at a time" can be said. Waiting is for the other
side's close or the end of the test, so close() never hangs.

    host = ImageHost()
    host.at["/a.png"] = reply(picture, type="image/png")
    host.url("/a.png"); host.count("/a.png"); host.requests("/a.png")[0].header("Host")
"""

import collections
import select
import socket
import ssl
import struct
import threading
import time

MAX_HEAD = 65536


def end_listening(listener):
    """close() alone would leave a thread in accept(), and the port with it."""
    try:
        listener.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    listener.close()


class Gone(Exception):
    """The other side closed the connection, or the server is to end."""


class Request:
    """One request as it came. `at`: time.monotonic() when its head was complete."""

    def __init__(self, head, connection):
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.path, self.version = (lines[0].split(" ") + ["", ""])[:3]
        self.fields = [tuple(part.strip() for part in line.partition(":")[::2]) for line in lines[1:] if line]
        self.head, self.connection, self.at = head, connection, time.monotonic()

    def header(self, name):
        """The value of a header, None where there is none."""
        return next((value for field, value in self.fields if field.lower() == name.lower()), None)

    @property
    def name(self):
        """The host that was asked for, without its port."""
        return (self.header("Host") or "").rpartition(":")[0]


class Exchange:
    """A request and the connection that it came on."""

    def __init__(self, host, sock, connection, request):
        self.host, self.sock, self.connection, self.request = host, sock, connection, request

    def send(self, *data):
        """Sends it all; Gone when the client has closed."""
        for piece in data:
            piece = piece.encode("latin-1") if isinstance(piece, str) else piece
            try:
                self.sock.sendall(piece)
            except OSError as error:
                raise Gone from error
            self.connection.sent += len(piece)

    def pause(self, seconds):
        """Lets time pass; Gone as soon as the client goes."""
        if self.host.wait_gone(self.sock, seconds):
            raise Gone

    def hold(self):
        """Never answers: returns by Gone only."""
        while True:
            self.pause(3600)

    def reset(self):
        """The connection ends with a reset in place of an orderly close."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Gone


class Connection:
    def __init__(self, number, peer):
        self.number, self.peer = number, peer
        self.opened, self.closed = time.monotonic(), None
        self.sent = self.requests = 0


class ImageHost:
    """`at`: {path: scenario}; `other`: the scenario of every other path. tls: an ssl.SSLContext of a server."""

    def __init__(self, address="127.0.0.1", port=0, tls=None):
        self.address, self.tls = address, tls
        self.at, self.other, self.by_name = {}, reply(b"nothing here", status=404), {}
        self.log, self.connections = [], []
        self.most_open = self.most_asked = 0  # sockets, requests without their answer: the most at a time
        self.most_by_name = collections.Counter()  # the latter by host name
        self.lock = threading.Lock()
        self._visits = collections.Counter()
        self._open, self._asked = {}, collections.Counter()
        self._wake, self._waker = socket.socketpair()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family, backlog=512)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    # ---- what tests ask

    def url(self, path, name=None):
        host = name or (f"[{self.address}]" if ":" in self.address else self.address)
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{path}"

    def requests(self, path=None, name=None):
        with self.lock:
            return [r for r in self.log if path in (None, r.path) and name in (None, r.name)]

    def count(self, path=None, name=None):
        return len(self.requests(path, name))

    def open_now(self):
        """Sockets that the other side has not closed."""
        with self.lock:
            self._forget_closed()
            return len(self._open)

    def forget(self):
        """Empties the log and the counters; connections stay."""
        with self.lock:
            self.log.clear()
            self._visits.clear()
            self.most_by_name.clear()
            self.most_asked = self._asked.total()
            self._forget_closed()
            self.most_open = len(self._open)

    def close(self):
        self._waker.close()
        end_listening(self._listener)
        with self.lock:
            for sock in self._open.values():
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- inside

    def wait_gone(self, sock, seconds):
        """True when the client closed the connection or the server ends within that time."""
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return False
        readable, _, _ = select.select([sock, self._wake], [], [], seconds)
        return bool(readable)

    def _forget_closed(self):
        """Sockets with an end on them are closed, whether or not their thread has noticed."""
        for connection, sock in list(self._open.items()):
            try:
                over = not self.tls and sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
            except BlockingIOError:
                over = False
            except (OSError, ValueError):
                over = True
            if over:
                del self._open[connection]

    def _accept(self):
        while True:
            try:
                sock, peer = self._listener.accept()
            except OSError:
                return
            with self.lock:
                connection = Connection(len(self.connections), peer)
                self.connections.append(connection)
                self._forget_closed()
                self._open[connection] = sock
                self.most_open = max(self.most_open, len(self._open))
            threading.Thread(target=self._serve, args=(sock, connection), daemon=True).start()

    def _serve(self, plain, connection):
        sock = plain
        try:
            if self.tls:
                sock = self.tls.wrap_socket(plain, server_side=True)
                with self.lock:
                    self._open[connection] = sock
            while request := self._read(sock, connection):
                if self._answer(Exchange(self, sock, connection, request)) is not KEEP:
                    break
        except (Gone, OSError):
            pass
        finally:
            with self.lock:
                self._open.pop(connection, None)
                connection.closed = time.monotonic()
            sock.close()

    def _read(self, sock, connection):
        """The next request; None: there is none."""
        head = b""
        while b"\r\n\r\n" not in head and len(head) < MAX_HEAD:
            data = sock.recv(4096)
            if not data:
                return None
            head += data
        request = Request(head.partition(b"\r\n\r\n")[0], connection)
        with self.lock:
            connection.requests += 1
            self.log.append(request)
        return request

    def _answer(self, exchange):
        request = exchange.request
        scenario = self.by_name.get(request.name) or self.at.get(request.path) or self.at.get(request.path.partition("?")[0])
        with self.lock:
            self._asked[request.name] += 1
            self.most_by_name[request.name] = max(self.most_by_name[request.name], self._asked[request.name])
            self.most_asked = max(self.most_asked, self._asked.total())
        try:
            return (scenario or self.other)(exchange)
        finally:
            with self.lock:
                self._asked[request.name] -= 1

    def visit(self, key):
        """How often this has been called with that key before."""
        with self.lock:
            self._visits[key] += 1
            return self._visits[key] - 1


# ---- scenarios: functions of an Exchange. KEEP: another request may follow on the connection.

KEEP = object()
PHRASES = {200: "OK", 302: "Found", 304: "Not Modified", 404: "Not Found"}


def head(status=200, *fields):
    return f"HTTP/1.1 {status} {PHRASES.get(status, 'X')}\r\n" + "".join(f"{field}\r\n" for field in fields) + "\r\n"


def reply(body=b"", status=200, fields=(), type=None):  # noqa: A002
    """A whole answer with its Content-Length."""
    lines = [*([f"Content-Type: {type}"] if type else ()), *fields, f"Content-Length: {len(body)}"]

    def serve(x):
        x.send(head(status, *lines), body)
        return KEEP
    return serve


def redirect(location, status=302, fields=(), body=b""):
    """location None: an answer without that header."""
    where = () if location is None else (f"Location: {location}",)
    return reply(body, status, [*where, *fields])


def raw(*pieces):
    """These bytes and the end of the connection."""
    def serve(x):
        x.send(*pieces)
    return serve


def until_close(body, *fields):
    return raw(head(200, *fields), body)


def chunked(body, *fields, n=4096):
    def serve(x):
        x.send(head(200, "Transfer-Encoding: chunked", *fields))
        for at in range(0, len(body), n):
            piece = body[at:at + n]
            x.send(f"{len(piece):x}\r\n", piece, "\r\n")
        x.send("0\r\n\r\n")
        return KEEP
    return serve


def endless(beginning, piece, n=2_000_000):
    """A beginning, then the same piece until the client has had enough."""
    block = piece * max(1, 4096 // len(piece))

    def serve(x):
        x.send(beginning)
        for _ in range(n * len(piece) // len(block) + 1):
            x.send(block)
    return serve


def trickle(beginning, piece, every_s):
    def serve(x):
        x.send(beginning)
        while True:
            x.pause(every_s)
            x.send(piece)
    return serve


def silent(x):
    x.hold()


def then_silent(*pieces):
    def serve(x):
        x.send(*pieces)
        x.hold()
    return serve


def cut(*pieces, reset=False):
    """Ends in the middle; reset: with a RST."""
    def serve(x):
        x.send(*pieces)
        if reset:
            x.reset()
    return serve


def delayed(seconds, scenario):
    def serve(x):
        x.pause(seconds)
        return scenario(x)
    return serve


def held(event, scenario):
    """Waits for a threading.Event of the test; Gone when the client goes before."""
    def serve(x):
        while not event.is_set():
            x.pause(0.02)
        return scenario(x)
    return serve


def sequence(*scenarios):
    """The first request gets the first, and so on; the last one stays."""
    key = object()

    def serve(x):
        return scenarios[min(x.host.visit(key), len(scenarios) - 1)](x)
    return serve


def validated(body, etag, fields=()):
    """304 to a request that names this ETag, else the body with it."""
    whole = reply(body, fields=[f"ETag: {etag}", *fields])

    def serve(x):
        if x.request.header("If-None-Match") == etag:
            x.send(head(304, f"ETag: {etag}", *fields))
            return KEEP
        return whole(x)
    return serve


def chain(host, start, n, last):
    """Redirects start/0 to start/n-1, each to the next; the last one leads to `last`. Returns the first path."""
    for i in range(n):
        host.at[f"{start}/{i}"] = redirect(f"{start}/{i + 1}" if i + 1 < n else last)
    return f"{start}/0"


# ---- who must not be called

class Canary:
    """Counts connections; nobody may make one."""

    def __init__(self, address, port=0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.address, self.accepts = address, 0
        self._listener = socket.create_server((address, port), family=family)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.accepts += 1
            sock.close()

    def close(self):
        end_listening(self._listener)


class Canaries:
    """The four of a host at 127.0.0.1:A: 127.0.0.1:B, 127.0.0.2:A, [::1]:A, [::1]:B. ipv6 False: the machine has none."""

    def __init__(self, host_port):
        self.all = [Canary("127.0.0.1")]
        self.port = self.all[0].port
        self.all.append(Canary("127.0.0.2", host_port))
        self.ipv6 = True
        try:
            self.all += [Canary("::1", host_port), Canary("::1", self.port)]
        except OSError:
            self.ipv6 = False

    @property
    def hits(self):
        return {f"{canary.address} {canary.port}": canary.accepts for canary in self.all if canary.accepts}

    def close(self):
        for canary in self.all:
            canary.close()
