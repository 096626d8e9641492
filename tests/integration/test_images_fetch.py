"""images, from an article to its facet: redirects, sizes and headers of answers (T45 to T58, T60, T67 to T84 of the
catalogue of hostile cases). Cases of time are in test_images_slow.py.

One worker gets every case at once; each has a host name of its own, TNNN.localhost, and may have more than one path there.
"""

import gzip
import ssl
import subprocess

import pytest

from support import pictures
from support.image_host import (KEEP, ImageHost, chain, chunked, cut, endless, head, raw, redirect, reply, then_silent, until_close)
from support.images import outcome
from support.servers import ROOT
from support.waiting import until

PICTURE = pictures.png()
GOOD = reply(PICTURE, type="image/png")
CAP = 1_000_000
START = pictures.PNG_SIGNATURE + pictures.ihdr(64, 48) + (0x40000000).to_bytes(4, "big") + b"IDAT"


def sized(n):
    """A good PNG of exactly n bytes."""
    filler = n - len(PICTURE) - 12
    return pictures.png(after=pictures.chunk(b"prIv", bytes(filler)))


def whole(*fields, picture=PICTURE):
    """A picture with these headers, and its length."""
    return reply(picture, fields=fields)


def big_redirect(x):
    x.send(head(302, "Location: /ok", "Content-Length: 20000000"))
    for _ in range(20_000_000 // 16384):
        x.send(bytes(16384))


def flood_103(x):
    for _ in range(2000):
        x.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n" * 100)
    x.send(head(200, f"Content-Length: {len(PICTURE)}"), PICTURE)


def many_headers(x):
    x.send("HTTP/1.1 200 OK\r\n", *[f"X-{n}: {'x' * 8000}\r\n" for n in range(30)], "\r\n")


CHUNK = b"1000\r\n" + bytes(4096) + b"\r\n"


def bomb(x):
    return reply(gzip.compress(bytes(100_000_000), 9), fields=["Content-Encoding: gzip"], type="image/png")(x)



# case: what the host answers to its first path, and what comes of it
REDIRECTS = {
    "T046": (redirect("/T046"), "redirect_limit"),
    "T047": (redirect("file:///etc/passwd"), "redirect_bad"),
    "T047-gopher": (redirect("gopher://127.0.0.1:{B}/_x"), "redirect_bad"),
    "T047-ftp": (redirect("ftp://127.0.0.1:{B}/x"), "redirect_bad"),
    "T047-data": (redirect("data:image/png;base64,AAAA"), "redirect_bad"),
    "T048": (redirect("http://169.254.169.254/"), "blocked_addr"),
    "T049": (redirect("//[::1]:{B}/"), "blocked_addr"),
    "T049-hex": (redirect("http://0x7f.1:{B}/"), "blocked_addr"),
    "T050": (redirect("http://u:p@127.0.0.1:{A}/ok"), "url_userinfo"),
    "T051": (redirect(None), "redirect_bad"),
    "T051-empty": (redirect(""), "redirect_bad"),
    "T051-scheme": (redirect("http://"), "redirect_bad"),
    "T053-crlf": (redirect("/a\rX-Evil: 1"), "redirect_bad"),
    "T056-300": (redirect("/ok", 300), "bad_status"),
    "T056-304": (redirect("/ok", 304), "bad_status"),
    "T060": (big_redirect, "cached"),
    **{f"T056-{status}": (redirect("/ok", status), "cached") for status in (301, 302, 303, 307, 308)},
}
# where it leads to -> the path that is then asked for
FOLLOWED = {"T052": ("ok", "/dir/ok"), "T052-root": ("/ok", "/ok"), "T052-query": ("?x", "/dir/T052-query?x"),
            "T052-scheme": ("//t052-other.localhost:{A}/ok", "/ok"), "T053": ("/a b", "/a%20b"), "T053-utf8": ("/b\xc3\xbc", "/b%C3%BC")}
ANSWERS = {
    "T067": (endless(head(200, "Transfer-Encoding: chunked").encode() + b"31\r\n" + START + bytes(8) + b"\r\n", CHUNK), "too_big"),
    "T068": (endless(head().encode() + START, b"0123456789"), "too_big"),
    "T069": (then_silent(head(200, "Content-Length: 50000000")), "too_big"),
    "T070": (raw(head(200, "Content-Length: 99999999999999999999999"), "abcd"), "type_not_allowed"),
    "T071": (raw(head(200, "Content-Length: -5"), PICTURE), "protocol_error"),
    "T072": (whole("Content-Length: 7"), "length_mismatch"),
    "T073": (chunked(PICTURE, "Content-Length: 3"), "cached"),
    "T074": (cut(head(200, "Content-Length: 5000"), PICTURE), "length_mismatch"),
    "T075": (raw(head(200, "Content-Length: 700"), pictures.jpeg()), "truncated"),
    "T076": (reply(sized(CAP)), "cached"),
    "T076-more": (reply(sized(CAP + 1)), "too_big"),
    "T076-close": (until_close(sized(CAP)), "cached"),
    "T076-close-more": (until_close(sized(CAP + 1)), "too_big"),
    "T077": (many_headers, "header_too_big"),
    "T077-endless": (endless(b"HTTP/1.1 200 OK\r\n", b"X-Header: value\r\n"), "header_too_big"),
    "T078": (flood_103, "header_too_big"),
    "T079": (bomb, "content_encoding"),
    "T080": (whole("Content-Encoding: gzip"), "content_encoding"),
    "T080-real": (reply(gzip.compress(PICTURE), fields=["Content-Encoding: gzip"]), "content_encoding"),
    "T080-identity": (whole("Content-Encoding: identity"), "cached"),
    "T081": (whole("Content-Encoding: " + ", ".join(["br", "gzip", "zstd", "foo"] * 25)), "content_encoding"),
    "T082": (raw(head(200, "Transfer-Encoding: gzip, chunked"), "0\r\n\r\n"), {"content_encoding", "protocol_error"}),
    "T083": (raw(PICTURE), "protocol_error"),
    "T084": (cut(head(200, "Content-Length: 5000"), PICTURE, reset=True), "length_mismatch"),
    "T084-chunk": (cut(head(200, "Transfer-Encoding: chunked"), "1000\r\n", PICTURE), "length_mismatch"),
}
AGAIN = ("T072", "T074", "T084", "T084-chunk")  # what may pass is tried twice


def host_of(case):
    return f"{case.lower()}.localhost"


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """(folder of the certificates, the context of a server)."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run([ROOT / "tests/support/make-certificates", folder], check=True, stdin=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return folder, context


def located(scenario, rig):
    """The scenario with the ports in its Location."""
    def serve(x):
        send = x.send
        x.send = lambda *data: send(*(rig.text(piece) if isinstance(piece, str) else piece for piece in data))
        return scenario(x)
    return serve


def cookie_then_redirect(x):
    x.send(head(302, "Location: /second", "Set-Cookie: session=1; Path=/", "Content-Length: 0"))
    return KEEP


@pytest.fixture(scope="module")
def run(shared_rig, tls):
    folder, context = tls
    with ImageHost(tls=context) as secure:
        rig = shared_rig(options={"fetch": {"caFile": str(folder / "ca.pem")}}, allow=[f"127.0.0.1:{secure.port}"])
        rig.secure = secure
        rig.host.at["/ok"] = GOOD
        cases = {}
        for case, (scenario, _) in {**REDIRECTS, **ANSWERS}.items():
            rig.host.at[f"/{case}"] = located(scenario, rig)
            cases[case] = rig.url(f"/{case}", host_of(case))
        for case, (location, path) in FOLLOWED.items():
            rig.host.at[f"/dir/{case}"] = lambda x, to=rig.text(location): (GOOD if "?x" in x.request.path else redirect(to))(x)
            rig.host.at[path.partition("?")[0] if "?" not in path else path] = GOOD
            cases[case] = rig.url(f"/dir/{case}", host_of(case))
        cases["T045"] = rig.url(chain(rig.host, "/three", 3, "/ok"), host_of("T045"))
        cases["T045-four"] = rig.url(chain(rig.host, "/four", 4, "/ok"), host_of("T045-four"))
        rig.host.at["/backslash"] = redirect(rig.text("\\\\127.0.0.1:{B}\\ok"))
        cases["T054"] = rig.url("/backslash", host_of("T054"))
        rig.host.at["/to-https"], rig.host.at["/cookie"], rig.host.at["/second"] = redirect(secure.url("/ok")), cookie_then_redirect, GOOD
        secure.at["/ok"], secure.at["/to-http"] = GOOD, redirect(rig.url("/ok", host_of("T055-down")))
        cases.update({"T055": rig.url("/to-https", host_of("T055")), "T055-down": secure.url("/to-http"),
                      "T057": rig.url("/cookie", host_of("T057"))})
        rig.worker = rig.start()
        rig.send(cases)
        rig.settle(cases, 90)
        yield rig


@pytest.mark.parametrize("case", [*REDIRECTS, *ANSWERS])
def test_outcome(run, case):
    wanted = {**REDIRECTS, **ANSWERS}[case][1]
    assert outcome(run.image(case)) in ({wanted} if isinstance(wanted, str) else wanted)
    assert run.host.count(f"/{case}", host_of(case)) == (4 if case == "T046" else 2 if case in AGAIN else 1)


@pytest.mark.parametrize("case", FOLLOWED)
def test_followed(run, case):
    assert outcome(run.image(case)) == "cached"
    name = "t052-other.localhost" if case == "T052-scheme" else host_of(case)
    assert [r.path for r in run.host.requests(name=name)][-1] == FOLLOWED[case][1]


def test_T045_as_many_hops_as_allowed_and_one_more(run):
    assert outcome(run.image("T045")) == "cached"
    assert [r.path for r in run.host.requests(name=host_of("T045"))] == ["/three/0", "/three/1", "/three/2", "/ok"]
    assert outcome(run.image("T045-four")) == "redirect_limit"
    assert [r.path for r in run.host.requests(name=host_of("T045-four"))] == [f"/four/{n}" for n in range(4)]


def test_T054_backslashes(run):
    """A path on the same host, or refused."""
    assert outcome(run.image("T054")) in ("redirect_bad", "bad_status", "url_invalid", "type_not_allowed")


def test_T055_up_to_https_but_not_down(run):
    assert outcome(run.image("T055")) == "cached" and run.secure.count("/ok") == 1
    assert outcome(run.image("T055-down")) == "redirect_downgrade"
    assert run.secure.count("/to-http") == 1 and run.host.count(name=host_of("T055-down")) == 0


def test_T056_every_hop_is_a_plain_get(run):
    for status in (301, 302, 303, 307, 308):
        assert [r.method for r in run.host.requests("/ok", host_of(f"T056-{status}"))] == ["GET"]
    assert all(r.header("Content-Length") is None for r in run.host.log)


def test_T057_T058_requests_carry_these_headers_and_no_others(run):
    """No cookie comes back, and there is no header of one's own that could go to another host."""
    assert outcome(run.image("T057")) == "cached" and run.host.count("/second") == 1
    for request in run.host.log + run.secure.log:
        assert [name for name, _ in request.fields] == ["Host", "User-Agent", "Accept", "Accept-Encoding"]
        assert request.header("Accept") == "image/webp,image/png,image/jpeg,image/gif;q=0.8"
        assert request.header("Accept-Encoding") == "identity"
        assert request.header("User-Agent").startswith("newsmill/") and "(+https://news.example/about-our-crawler)" in request.header("User-Agent")


@pytest.mark.parametrize("case", ["T060", "T067", "T068", "T069", "T077-endless", "T078", "T079"])
def test_what_is_too_much_is_not_taken(run, case):
    """The connection is over, and little more than the limit went into it: what the kernel holds on both sides is some
    megabytes."""
    connection = run.host.requests(f"/{case}", host_of(case))[0].connection
    until(lambda: connection.closed, 10, "the connection is over")
    assert connection.sent < 9_000_000


def test_T069_nothing_is_waited_for(run):
    request, = run.host.requests("/T069")
    assert request.connection.closed - request.at < 5


def test_T084_no_file_is_left(run):
    assert run.temp_files() == []


def test_canaries(run):
    assert run.canaries.hits == {}


def test_T079_memory_does_not_grow(run):
    """With the bomb it would be 100 MB more."""
    status = dict(line.split(":", 1) for line in open(f"/proc/{run.worker.pid}/status", encoding="ascii").read().splitlines())
    if "libasan" in open(f"/proc/{run.worker.pid}/maps", encoding="utf-8").read():
        pytest.skip("not run: memory of a sanitized program says nothing")
    assert int(status["VmHWM"].split()[0]) < 100_000


def test_worker_goes_on(run):
    """After all of this."""
    run.host.at["/after"] = GOOD
    run.send({"after": run.url("/after", "after.localhost")})
    run.wait_cached("after")
    assert run.worker.alive
