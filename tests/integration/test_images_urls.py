"""images, from an article to its facet: which URLs are asked for at all, and that no spelling of an address leads into our own
network (T1 to T34, T38, T39, T42, T43 of the catalogue of hostile cases).

One worker gets every case at once, each in an article of its own, with proxies in its environment that it must not use.
{A} is the port of the only address that may be asked, {B} that of listeners that nobody may connect to.
"""

import contextlib
import ctypes
import json
import os

import pytest

from support import schemas
from support.articles import put
from support.image_host import redirect, reply
from support.images import outcome
from support.pictures import png

NEVER = {"url_scheme", "url_invalid", "url_not_absolute", "url_userinfo"}  # nothing but another URL helps
BLOCKED = {"blocked_addr"}
# A final dot may make a name of it that nobody knows; a zone is no part of a URL for everybody.
NAMELESS, ZONED = {"blocked_addr", "dns_fail"}, {"blocked_addr", "url_invalid"}

# number, URL, what may come of it
REFUSED = [
    (1, "file:///etc/passwd", {"url_scheme"}),
    *((2, f"{scheme}://127.0.0.1:{{B}}/_x", {"url_scheme"}) for scheme in ("gopher", "dict", "ftp", "ldap", "smb", "tftp", "scp")),
    (3, "data:image/png;base64,iVBORw0KGgo=", {"url_scheme"}),
    (4, "javascript:alert(1)", {"url_scheme"}),
    (4, "blob:http://127.0.0.1:{B}/1", {"url_scheme"}),
    (4, "about:blank", {"url_scheme"}),
    (5, "//127.0.0.1:{A}/ok", {"url_not_absolute"}),
    (5, "/img.png", {"url_not_absolute"}),
    (6, "http:127.0.0.1:{A}/ok", {"url_invalid"}),
    (6, "http:/127.0.0.1:{A}/ok", {"url_invalid"}),
    (6, "http:///127.0.0.1:{A}/ok", {"url_invalid"}),
    (8, "http://user:pw@127.0.0.1:{A}/ok", {"url_userinfo"}),
    (9, "http://good.example@127.0.0.1:{B}/", {"url_userinfo"}),
    (9, "http://127.0.0.1:{B}#@good.example/", BLOCKED),
    (10, "http://127.0.0.1:{A}\\@good.example/ok", {"url_invalid"}),
    (11, "http://good.example#@127.0.0.1:{B}/", BLOCKED),  # good.example is 10.0.0.1 here
    (12, "http://127.0.0.1%00.x/", {"url_invalid"}),
    (12, "http://127.0.0.1:{A}/a%00b.png", {"url_invalid"}),
    (13, "http://127.0.0.1:{A}/x\r\nX-Evil: 1", {"url_invalid"}),
    (13, "http://127.0.0.1:{A}/x\tX-Evil: 1", {"url_invalid"}),
    (14, "http://127.0.0.1:{A}/" + "a" * 5000, {"url_invalid"}),
    (15, "http://127.0.0.1:118081/", {"url_invalid"}),
    (15, "http://127.0.0.1:0/", {"url_invalid"}),
    (16, "http://public.test:6379/", {"url_port"}),  # 9.255.255.255, which is public
    (22, "", {"url_invalid"}),
    (22, "   ", {"url_invalid"}),
    (22, "a" * 1_000_000, {"url_invalid", "url_not_absolute"}),
]
ADDRESSES = [  # each is asked for by an article, and by a redirect of an honest host
    (23, "http://127.0.0.1:{B}/", BLOCKED),
    (24, "http://127.0.0.2:{A}/", BLOCKED),
    (25, "http://2130706433:{B}/", BLOCKED),
    (26, "http://0x7f000001:{B}/", BLOCKED),
    (26, "http://0x7f.1:{B}/", BLOCKED),
    (27, "http://017700000001:{B}/", BLOCKED),
    (27, "http://0177.0.0.1:{B}/", BLOCKED),
    (28, "http://127.1:{B}/", BLOCKED),
    (28, "http://0:{B}/", BLOCKED),
    (28, "http://0.0.0.0:{B}/", BLOCKED),
    (29, "http://%31%32%37.0.0.1:{B}/", BLOCKED),
    (30, "http://①②⑦.⓪.⓪.①:{B}/", BLOCKED),
    (30, "http://127。0。0。1:{B}/", BLOCKED),
    (30, "http://ⓁⓄⒸⒶⓁⒽⓄⓈⓉ:{B}/", BLOCKED),
    (31, "http://localhost:{B}/", BLOCKED),
    (31, "http://foo.localhost:{B}/", BLOCKED),
    (31, "http://LOCALHOST.:{B}/", NAMELESS),
    (32, "http://[::1]:{A}/", BLOCKED),
    (32, "http://[::]:{B}/", BLOCKED),
    (33, "http://[::ffff:127.0.0.1]:{A}/", BLOCKED),  # although 127.0.0.1:A is allowed
    (33, "http://[::ffff:7f00:1]:{A}/", BLOCKED),
    (34, "http://[::127.0.0.1]:{B}/", BLOCKED),
    (34, "http://[::ffff:0:127.0.0.1]:{B}/", BLOCKED),
    (35, "http://[64:ff9b::a9fe:a9fe]/", BLOCKED),  # 35 to 39: that no packet leaves, test_images_lab.py shows
    (36, "http://[2002:a00:1::]/", BLOCKED),
    (37, "http://[fe80::1%25lo]:{B}/", ZONED),
    (38, "http://169.254.169.254/latest/meta-data/", BLOCKED),
    (38, "http://0xA9FEA9FE/", BLOCKED),
    (39, "http://10.0.0.1/", BLOCKED),
]
ODD = {"number": 5, "null": None, "list": ["http://127.0.0.1/"]}  # T22: in place of a text


def names(table, suffix=""):
    """{case: (URL, wanted)}; the second of the same number is T026-2."""
    found = {}
    for number, url, wanted in table:
        n = sum(name.partition("-")[0] == f"T{number:03d}" for name in found) + 1
        found[f"T{number:03d}{f'-{n}' if n > 1 else ''}{suffix}"] = url, wanted
    return found


DIRECT, REDIRECTED = names(REFUSED + ADDRESSES), names(ADDRESSES, "-redirect")


class Opens:
    """Counts how often anybody opens a file, by inotify."""

    IN_OPEN = 0x20

    def __init__(self, path):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self.fd >= 0 and libc.inotify_add_watch(self.fd, os.fsencode(path), self.IN_OPEN) >= 0, os.strerror(ctypes.get_errno())

    def count(self):
        """Since the last time; what opened it one after the other may be told as one."""
        try:
            return len(os.read(self.fd, 65536)) // 16  # an event of a watched file has no name
        except BlockingIOError:
            return 0

    def close(self):
        os.close(self.fd)


SPELLINGS = ["http://t020.localhost:{A}/dir/~x.png", "http://t020.localhost:{A}/dir/~x.png#x", "http://T020.LocalHost:{A}/dir/~x.png",
             "http://t020.localhost:{A}/dir/%7ex.png", "http://t020.localhost:{A}/a/../dir/./~x.png"]
LONG = "http://t014.localhost:{A}/"


def longest(rig):
    start = rig.text(LONG)
    return start + "a" * (4096 - len(start))


@pytest.fixture(scope="module")
def run(shared_rig):
    rig = shared_rig(resolve={"good.example:80": ["10.0.0.1"], "public.test:6379": ["9.255.255.255"], "xn--bcher-kva.test:{A}": ["127.0.0.1"],
                           "mixed.test:{A}": ["10.0.0.1", "127.0.0.1"]})
    proxy = f"http://127.0.0.1:{rig.canaries.port}"
    rig.host.other = reply(png(), type="image/png")
    rig.worker = rig.start(env={name: proxy for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy")})
    cases = {case: rig.text(url) for case, (url, _) in DIRECT.items()}
    for case, (url, _) in REDIRECTED.items():
        path = f"/to/{case}"
        rig.host.at[path] = redirect(rig.text(url).encode().decode("latin-1"))
        cases[case] = rig.url(path, "from.localhost")
    cases.update({
        "T007": rig.text("HTTP://t007.localhost:{A}/ok"), "T014-longest": longest(rig), "T017": rig.text("http://t017.localhost:{A}/%0d%0aSET%20x%201"),
        "T018": rig.text("http://t018.localhost:{A}/b\u00fc.png"), "T019": rig.text("http://b\u00fccher.test:{A}/ok"),
        "T020": [rig.text(url) for url in SPELLINGS], "T021": [rig.text("http://t021.localhost:{A}/q?" + q) for q in ("a=1&b=2", "b=2&a=1")],
        "T042": rig.text("http://mixed.test:{A}/ok"), "T043": rig.text("http://t043.localhost:{A}/ok")})
    rig.send(cases)
    for name, url in ODD.items():
        item = rig.item(f"T022-{name}", "http://a.test/")
        item["images"][0]["url"] = url
        put(rig.ns, "normalized", [(item["id"], json.dumps(item), None, rig.ns.headers("article/1", item["revision"]))])
        cases[f"T022-{name}"] = url
    rig.settle(cases, 90)
    return rig


@pytest.mark.parametrize("case", DIRECT)
def test_refused(run, case):
    image = run.image(case)
    assert outcome(image) in DIRECT[case][1]
    assert image["isCached"] is False
    if 0 < len(DIRECT[case][0]) < 5000:
        assert image["url"] == run.text(DIRECT[case][0])
    if outcome(image) in NEVER:
        assert "nextTry" not in image


@pytest.mark.parametrize("case", REDIRECTED)
def test_refused_behind_a_redirect(run, case):
    wanted = REDIRECTED[case][1]
    assert outcome(run.image(case)) in (wanted | {"redirect_bad"} if "url_invalid" in wanted else wanted)
    assert run.host.count(f"/to/{case}") >= 1


def test_canaries_and_host_saw_nothing(run):
    """Of all of the above (T002, T013, T023 to T034, and the proxies of T043)."""
    assert run.canaries.hits == {}
    assert [r.head for r in run.host.log if r.header("X-Evil") or b"Evil" in r.head] == []
    assert {r.method for r in run.host.log} == {"GET"}
    # What stands in the log of a worker is for others to read, too: no password, no query.
    assert "user:pw" not in run.worker.log_text() and "u:p@" not in run.worker.log_text()


@pytest.mark.parametrize("name", ODD)
def test_T022_no_text_in_place_of_a_url(run, name):
    """The article's facet is sent all the same."""
    found = run.images(f"T022-{name}")
    assert run.facets.last(run.number(f"T022-{name}")) is not None
    assert [outcome(image) for image in found] in (["url_invalid"], [])


def test_T007_scheme_in_upper_case(run):
    image = run.image("T007")
    assert outcome(image) == "cached" and run.host.count("/ok", "t007.localhost") == 1
    assert run.entry(run.text("http://t007.localhost:{A}/ok"))["state"] == "cached"


def test_T014_longest(run):
    assert outcome(run.image("T014-longest")) == "cached"
    request, = run.host.requests(name="t014.localhost")
    assert run.url(request.path, "t014.localhost") == longest(run)


def test_T017_line_ends_stay_encoded(run):
    assert outcome(run.image("T017")) == "cached"
    request, = run.host.requests(name="t017.localhost")
    assert request.head.startswith(b"GET /%0D%0ASET%20x%201 HTTP/1.1\r\n")


def test_T018_beyond_ascii_is_encoded(run):
    assert outcome(run.image("T018")) == "cached"
    request, = run.host.requests(name="t018.localhost")
    assert request.path == "/b%C3%BC.png"


def test_T018_bytes_that_are_no_utf8(run):
    """Never raw: the URL is refused, or the article as a whole, which is no JSON then."""
    item = run.item("T018-raw", run.text("http://t018raw.localhost:{A}/QQ.png"))
    value = json.dumps(item).encode().replace(b"QQ", b"\xff\xfe")
    put(run.ns, "normalized", [(item["id"], value, None, run.ns.headers("article/1", item["revision"]))])
    run.ns.wait_done("images", "normalized")
    run.facets.poll(0.5)
    dead = [m for m in run.ns.read("dead", timeout_s=5) if m.key.decode() == item["id"]]
    assert len(dead) == 1 or outcome(run.image("T018-raw")) == "url_invalid"
    assert run.host.count(name="t018raw.localhost") == 0


def test_T019_name_beyond_ascii(run):
    assert outcome(run.image("T019")) == "cached"
    assert run.host.count("/ok", "xn--bcher-kva.test") == 1


def test_T020_one_key_for_one_picture(run):
    assert [outcome(image) for image in run.images("T020")] == ["cached"] * len(SPELLINGS)
    assert [image["url"] for image in run.images("T020")] == [run.text(url) for url in SPELLINGS]
    assert [r.path for r in run.host.requests(name="t020.localhost")] == ["/dir/~x.png"]


def test_T021_the_order_of_a_query_counts(run):
    assert [outcome(image) for image in run.images("T021")] == ["cached"] * 2
    assert sorted(r.path for r in run.host.requests(name="t021.localhost")) == ["/q?a=1&b=2", "/q?b=2&a=1"]


def test_T042_refused_addresses_of_a_name_are_passed_over(run):
    assert outcome(run.image("T042")) == "cached"
    assert run.host.count(name="mixed.test") == 1


def test_T043_proxies_of_the_environment_are_ignored(run):
    assert outcome(run.image("T043")) == "cached"
    assert run.host.count("/ok", "t043.localhost") == 1


def test_every_refusal_is_counted(run):
    page = run.metrics(run.worker)
    for reason in ("url_scheme", "url_invalid", "url_userinfo", "blocked_addr", "url_port"):
        assert sum(value for name, value in page.items() if name.startswith("newsmill_images_") and f'"{reason}"' in name) > 0, reason
    assert page["newsmill_images_test_allow_entries"] == 1


def test_T042_or_they_refuse_the_name(new_rig):
    rig = new_rig(options={"fetch": {"mixedAnswers": "reject"}}, resolve={"mixed.test:{A}": ["10.0.0.1", "127.0.0.1"], "one.test:{A}": ["127.0.0.1"]})
    rig.host.other = reply(png(), type="image/png")
    rig.start()
    rig.send({"T042": rig.text("http://mixed.test:{A}/ok"), "one": rig.text("http://one.test:{A}/ok")})
    rig.settle(["T042", "one"])
    assert outcome(rig.image("T042")) == "dns_mixed_private"
    assert outcome(rig.image("one")) == "cached"
    assert rig.host.count(name="mixed.test") == 0


def test_reasons_of_the_schema_are_those_of_the_table():
    """The facet can say each of them."""
    reasons = set(schemas.load("facet/1")["$defs"]["reason"]["enum"])
    assert set().union(*(wanted for _, wanted in DIRECT.values())) <= reasons


def test_T001_the_file_is_not_opened(new_rig, tmp_path):
    """A good picture on our own disk, in every spelling and behind a redirect: nobody opens it."""
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(seed=1))
    rig = new_rig()
    urls = [f"file://{secret}", f"file:{secret}", f"FILE://{secret}", f"file://localhost{secret}", f"file://127.0.0.1{secret}"]
    rig.host.at["/to"] = redirect(f"file://{secret}")
    with contextlib.closing(Opens(secret)) as opens:
        rig.start()
        cases = {f"T001/{n}": url for n, url in enumerate([*urls, rig.url("/to")])}
        rig.send(cases)
        rig.settle(cases)
        assert [outcome(rig.image(case)) for case in cases] == ["url_scheme"] * len(urls) + ["redirect_bad"]
        assert rig.host.count("/to") == 1 and opens.count() == 0
        secret.read_bytes()
        assert opens.count() == 1  # it would have been seen
    assert not rig.objects()
