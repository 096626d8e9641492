"""nginx with deploy/images/nginx.conf in front of a real store of pictures (T153 to T160 of the catalogue of hostile cases)."""

import hashlib
import os
import subprocess

import pytest

from support import pictures
from support.image_host import reply
from support.images import outcome
from support.web import PROGRAM, Web

SAFE = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "cross-origin"}
FOR_EVER = "public, max-age=31536000, immutable"

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="not run: nginx is not installed")


def let_through(folder):
    """nobody may come to what lies in it."""
    for path in folder, *folder.parents:
        if path.stat().st_uid == os.geteuid() and path.stat().st_mode & 0o011 != 0o011:
            path.chmod(path.stat().st_mode | 0o011)


class Shop:
    """A store as the worker lays it out: an object of each type, a thumbnail, and what must not be served."""

    def __init__(self, folder):
        self.root = folder / "images"
        self.root.mkdir(mode=0o755)
        let_through(folder)
        self.paths = {}
        for kind, data in {"jpg": pictures.jpeg(400, 300), "png": pictures.png(), "gif": pictures.gif(), "webp": pictures.webp()}.items():
            self.sha = hashlib.sha256(data).hexdigest()
            self.put(f"o/{self.sha[:2]}/{self.sha[2:4]}/{self.sha}.{kind}", data)
            self.paths[f"/img/{self.sha}.{kind}"] = data
            if kind == "jpg":
                thumbnail = pictures.jpeg(320, 240)
                self.put(f"t/320/{self.sha[:2]}/{self.sha[2:4]}/{self.sha}.jpg", thumbnail)
                self.paths[f"/t/320/{self.sha}.jpg"] = thumbnail
                self.jpeg = self.sha

    def put(self, name, data):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o644)
        return path


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return Shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def web(shop, tmp_path_factory):
    server = Web(tmp_path_factory.mktemp("nginx"), shop.root)
    yield server
    server.close()


def test_T153_objects_and_thumbnails(shop, web):
    types = {"jpg": "image/jpeg", "png": "image/png", "gif": "image/gif", "webp": "image/webp"}
    for path, data in shop.paths.items():
        answer = web.ask("GET", path)
        assert (answer.status, answer.body) == (200, data), path
        assert answer.headers["Content-Type"] == types[path.rpartition(".")[2]]
        assert answer.headers["Cache-Control"] == FOR_EVER
        assert {name: answer.headers[name] for name in SAFE} == SAFE
        assert "Set-Cookie" not in answer.headers


def test_T154_other_names(shop, web):
    sha = shop.jpeg
    shop.put("secret.jpg", b"secret")
    shop.put(f"o/{sha[:2]}/{sha[2:4]}/{sha}.svg", b"<svg/>")
    shop.put(f"t/0320/{sha[:2]}/{sha[2:4]}/{sha}.jpg", b"thumbnail")
    for path in (f"/img/{sha}.svg", f"/img/{sha[:-1]}.jpg", f"/img/{sha}0.jpg", f"/img/{sha.upper()}.jpg", f"/img/{sha}.JPG", f"/img/{sha}.jpg/",
                 "/img/../secret.jpg", "/img/..%2fsecret.jpg", f"/img/%2e%2e/o/{sha}.jpg", "/../../../etc/passwd", f"/img/{sha}.jpg%00.png",
                 f"/t/321/{sha}.jpg", f"/t/0320/{sha}.jpg", f"/t/1/{sha}.jpg", f"/t/999999/{sha}.jpg", f"/t/320/{sha}.png", f"/img//{sha}.jpg.jpg",
                 f"/img/{sha}.jpg\n"):
        status = web.ask("GET", path.replace("\n", "%0a")).status
        assert status in (400, 404), f"{path}: {status}"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_T155_methods_that_change(shop, web, method):
    for path, data in shop.paths.items():
        assert web.ask(method, path, body=b"x").status in (403, 405)
        assert web.ask("GET", path).body == data


def test_T156_errors_are_not_kept(shop, web):
    for method, path in (("GET", f"/img/{'0' * 64}.jpg"), ("GET", "/"), ("POST", f"/img/{shop.jpeg}.jpg"), ("GET", f"/t/44/{shop.jpeg}.jpg")):
        answer = web.ask(method, path)
        assert answer.status >= 400 and "Cache-Control" not in answer.headers and "Expires" not in answer.headers
        assert {name: answer.headers[name] for name in SAFE} == SAFE


def test_T157_head_ranges_and_validators(shop, web):
    path = f"/img/{shop.jpeg}.jpg"
    data = shop.paths[path]
    first = web.ask("HEAD", path)
    assert (first.status, first.body, int(first.headers["Content-Length"])) == (200, b"", len(data))
    part = web.ask("GET", path, {"Range": "bytes=10-19"})
    assert (part.status, part.body) == (206, data[10:20])
    again = web.ask("GET", path, {"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


def test_T158_folders(shop, web):
    sha = shop.jpeg
    shop.put(f"q/{sha}.jpg", b"quarantine")
    shop.put("tmp/x.jpg", b"half")
    for path in ("/", "/img/", "/o/", "/q/", "/t/", "/tmp/", "/t/320/", f"/o/{sha[:2]}/{sha[2:4]}/{sha}.jpg", f"/q/{sha}.jpg", "/tmp/x.jpg",
                 f"/t/320/{sha[:2]}/{sha[2:4]}/{sha}.jpg"):
        assert web.ask("GET", path).status == 404, path


def test_T159_temporary_names_and_links(shop, web):
    sha = "ab" * 32
    folder = shop.put("o/ab/ab/.t123456", b"half").parent
    (folder / f"{sha}.jpg").symlink_to("/etc/passwd")
    assert web.ask("GET", "/img/.t123456").status == 404
    assert web.ask("GET", f"/img/{sha}.jpg").status in (403, 404)
    inside = "ac" * 32
    (shop.root / "o/ac").symlink_to(shop.root / "o" / shop.jpeg[:2])
    assert web.ask("GET", f"/img/{inside}.jpg").status in (403, 404)


def test_T160_nginx_reads_and_cannot_write(shop, web):
    if os.geteuid() != 0:
        pytest.skip("not run: only root can be somebody else")
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c",
         'cat "$1" >/dev/null || exit 3; for f in "$2/o/x" "$2/x" "$1"; do ! (: >>"$f") 2>/dev/null || exit 4; done', "sh",
         shop.root / "o" / shop.jpeg[:2] / shop.jpeg[2:4] / f"{shop.jpeg}.jpg", shop.root], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_T160_in_front_of_a_worker(new_rig, tmp_path_factory):
    """What the worker stores can be read by nginx under the URLs of the facet; T131 too: nothing of a GIF's comment, and as a GIF."""
    rig = new_rig(options={"thumbnails": {"edgePixels": [32]}}, store_mode=0o755)
    rig.host.at["/a"], rig.host.at["/b"] = reply(pictures.jpeg(200, 150)), reply(pictures.gif(between=pictures.gif_comment(b"<script>alert(1)</script>")))
    rig.start()
    rig.send({"T160": [rig.url("/a"), rig.url("/b")]})
    images = rig.wait_cached("T160")
    let_through(rig.store.parent)
    server = Web(tmp_path_factory.mktemp("nginx"), rig.store)
    try:
        for image in images:
            answer = server.ask("GET", image["cachedUrl"].removeprefix("https://img.site.example"))
            assert (answer.status, answer.headers["Content-Type"], len(answer.body)) == (200, image["type"], image["bytes"])
            assert b"alert" not in answer.body and {name: answer.headers[name] for name in SAFE} == SAFE
            for thumbnail in image["thumbnails"]:
                assert server.ask("GET", thumbnail["url"].removeprefix("https://img.site.example")).status == 200
    finally:
        server.close()
    assert outcome(images[0]) == "cached"


def test_T145_removed_while_it_is_read(tmp_path_factory):
    """Who has begun to read reads it all; the next one finds nothing."""
    shop = Shop(tmp_path_factory.mktemp("slow"))
    data = bytes(range(256)) * 4000
    sha = hashlib.sha256(data).hexdigest()
    path = shop.put(f"o/{sha[:2]}/{sha[2:4]}/{sha}.jpg", data)
    server = Web(tmp_path_factory.mktemp("nginx"), shop.root, rate="500k")
    try:
        connection = server.connect()
        connection.request("GET", f"/img/{sha}.jpg")
        answer = connection.getresponse()
        beginning = answer.read(1000)
        path.unlink()
        assert beginning + answer.read() == data
        connection.close()
    finally:
        server.close()
