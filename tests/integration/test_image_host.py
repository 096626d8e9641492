"""The hostile server of the tests of images, held against Python's own client: what it says, logs and counts."""

import http.client
import socket
import ssl
import subprocess
import threading
import urllib.request

import pytest

from support.image_host import (Canaries, ImageHost, chain, chunked, cut, delayed, endless, head, held, redirect, reply, sequence,
                                silent, trickle, validated)
from support.servers import ROOT
from support.waiting import until


@pytest.fixture
def host():
    with ImageHost() as server:
        yield server


def get(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        return answer.status, answer.read()


def test_replies_are_logged(host):
    host.at["/a"] = reply(b"abc", type="image/png", fields=["ETag: \"1\""])
    assert get(host.url("/a?x=1"), **{"X-One": "1"}) == (200, b"abc")
    one, = host.requests()
    assert (one.method, one.path, one.header("x-one"), one.name) == ("GET", "/a?x=1", "1", "127.0.0.1")
    with pytest.raises(urllib.error.HTTPError):
        get(host.url("/other"))
    assert host.count() == 2 and host.count("/other") == 1
    host.forget()
    assert host.count() == 0


def test_connections_are_kept_and_counted(host):
    host.at["/a"] = reply(b"abc")
    client = http.client.HTTPConnection("127.0.0.1", host.port, timeout=10)
    for _ in range(3):
        client.request("GET", "/a")
        assert client.getresponse().read() == b"abc"
    assert len(host.connections) == 1 and host.connections[0].requests == 3 and host.open_now() == 1
    client.close()
    until(lambda: host.open_now() == 0, 10, "the close is seen")


def test_sockets_at_a_time(host):
    go = threading.Event()
    host.other = held(go, reply(b"abc"))
    threads = [threading.Thread(target=get, args=(host.url(f"/{n}"),)) for n in range(7)]
    for thread in threads:
        thread.start()
    until(lambda: host.count() == 7, 10, "seven requests")
    go.set()
    for thread in threads:
        thread.join(10)
    assert host.most_open == 7 and host.most_by_name == {"127.0.0.1": 7}


def test_sequences_redirects_and_validators(host):
    host.at["/s"] = sequence(reply(b"no", 404), reply(b"yes"))
    with pytest.raises(urllib.error.HTTPError):
        get(host.url("/s"))
    assert get(host.url("/s")) == get(host.url("/s")) == (200, b"yes")
    assert get(host.url(chain(host, "/chain", 3, "/s"))) == (200, b"yes")
    assert [r.path for r in host.log[-4:]] == ["/chain/0", "/chain/1", "/chain/2", "/s"]
    host.at["/v"] = validated(b"body", '"v1"')
    assert get(host.url("/v")) == (200, b"body")
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(host.url("/v"), **{"If-None-Match": '"v1"'})
    assert caught.value.code == 304
    host.at["/c"] = chunked(b"0123456789", n=3)
    assert get(host.url("/c")) == (200, b"0123456789")
    host.at["/r"] = redirect(None)
    with pytest.raises(urllib.error.HTTPError):
        get(host.url("/r"))


def plain(host, path):
    sock = socket.create_connection(("127.0.0.1", host.port), timeout=10)
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a.test:{host.port}\r\n\r\n".encode())
    return sock


def test_bad_manners(host):
    host.at.update({"/reset": cut(head(200, "Content-Length: 50"), b"12345", reset=True), "/silent": silent,
                    "/endless": endless(head(), b"abc"), "/trickle": trickle(head(), b"x", 0.01), "/late": delayed(0.05, reply(b"late"))})
    with plain(host, "/reset") as sock, pytest.raises(ConnectionResetError):
        while sock.recv(1000):
            pass
    for path, least in ("/endless", 500_000), ("/trickle", 60):
        with plain(host, path) as sock:
            got = 0
            while got < least:
                got += len(sock.recv(65536))
    with plain(host, "/silent") as sock:
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(1)
    assert get(host.url("/late")) == (200, b"late")
    until(lambda: host.open_now() == 0, 10, "all connections are over")
    until(lambda: all(c.closed for c in host.connections), 10, "their threads too")
    assert host.requests(name="a.test")


def test_names_may_have_answers_of_their_own(host):
    host.by_name["b.test"] = reply(b"b")
    client = http.client.HTTPConnection("127.0.0.1", host.port, timeout=10)
    client.request("GET", "/x", headers={"Host": f"b.test:{host.port}"})
    assert client.getresponse().read() == b"b"
    client.close()


def test_over_tls(tmp_path):
    subprocess.run([ROOT / "tests/support/make-certificates", tmp_path], check=True, stdin=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    with ImageHost(tls=context) as host:
        host.at["/a"] = reply(b"abc")
        trust = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        with urllib.request.urlopen(host.url("/a"), timeout=10, context=trust) as answer:
            assert answer.read() == b"abc"
        assert host.count("/a") == 1


def test_canaries_tell(host):
    canaries = Canaries(host.port)
    try:
        assert canaries.hits == {}
        for canary in canaries.all:
            socket.create_connection((canary.address, canary.port), timeout=10).close()
        until(lambda: len(canaries.hits) == len(canaries.all) >= 2, 10, "each canary was hit")
    finally:
        canaries.close()
