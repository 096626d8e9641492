"""Whether facets, the files of the store and Redis agree about the pictures, seen from outside and without the worker's code.

root: the store as whoever looks sees it; a worker may have a mount namespace of its own.
"""

import io
import pathlib

from PIL import Image

from .articles import ident
from .images import EXTENSIONS, outcome


def _open(data):
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture.size


class Watch:
    """Each picture that any facet calls cached must be in the store at that moment, whole and with its thumbnails. look() reads what has come."""

    def __init__(self, rig, root=None):
        self.rig, self.root, self.told = rig, pathlib.Path(root or rig.store), set()

    def look(self):
        self.rig.facets.poll()
        for facets in list(self.rig.facets.all.values()):
            for image in (facets[-1]["data"] or {}).get("images", ()):
                if image["state"] == "cached" and image["sha256"] not in self.told:
                    self._check(image)

    def _check(self, image):
        sha = image["sha256"]
        folder = f"{sha[:2]}/{sha[2:4]}/{sha}"
        data = (self.root / "o" / f"{folder}.{EXTENSIONS[image['type']]}").read_bytes()
        assert self.rig.sha256(data) == sha and len(data) == image["bytes"]
        assert _open(data) == (image["width"], image["height"]) and image["isCached"] is True
        for small in image.get("thumbnails", ()):
            edge = small["url"].split("/")[-2]
            assert _open((self.root / "t" / edge / f"{folder}.jpg").read_bytes()) == (small["width"], small["height"])
        self.told.add(sha)


def check_whole(rig, root=None):
    """Every file under o/ is what its name says; every one under t/ can be decoded. {sha256: bytes}, [(edge, sha256, bytes)]."""
    root = pathlib.Path(root or rig.store)
    objects = {path.stem: path.read_bytes() for path in (root / "o").rglob("*") if path.is_file()}
    small = [(path.parts[-4], path.stem, path.read_bytes()) for path in (root / "t").rglob("*") if path.is_file()]
    for sha, data in objects.items():
        assert rig.sha256(data) == sha, f"o/: {sha} is not what its name says"
    for *_, data in small:
        _open(data)
    assert not [path for path in (root / "tmp").rglob("*") if path.is_file()]
    return objects, small


def check_known(rig, root=None):
    """The same, and Redis knows every object with its size and exactly its thumbnails, and nothing else as one."""
    objects, small = check_whole(rig, root)
    with rig.ns.redis.client(decode_responses=True) as client:
        prefix = f"{rig.ns.name}:img:o:{{"
        known = {key[len(prefix):-1]: client.hgetall(key) for key in client.scan_iter(f"{prefix}*", count=1000)}
        assert set(client.zrange(f"{rig.ns.name}:img:lru", 0, -1)) == set(objects)
    assert set(known) == set(objects), f"{len(set(objects) - set(known))} objects unknown, {len(set(known) - set(objects))} without a file"
    assert {sha: int(entry["bytes"]) for sha, entry in known.items()} == {sha: len(data) for sha, data in objects.items()}
    listed = {(words.split(" ")[0], sha, words.split(" ")[4]) for sha, entry in known.items() for words in entry["thumbs"].split(";") if words}
    assert {(edge, sha, rig.sha256(data)) for edge, sha, data in small} == listed


def check_last(rig, cases, bodies=None):
    """Nobody's facet is lost: by revision and by place the last one of every case shows all its pictures cached; bodies: what each path was served
    as, where nothing is taken out of it. No article is due any more."""
    rig.facets.poll()
    for case, urls in cases.items():
        facets = rig.facets.all.get(ident(rig.number(case)), [])
        assert facets, f"{case}: no facet"
        assert facets[-1]["revision"] == max(facet["revision"] for facet in facets), case
        images = rig.images(case)
        assert [image["url"] for image in images] == urls and [outcome(image) for image in images] == ["cached"] * len(urls), f"{case}: {images}"
        for image, url in zip(images, urls):
            if bodies:
                assert image["sha256"] == rig.sha256(bodies["/" + url.rpartition("/")[2]]), url


def nothing_is_due(rig):
    with rig.ns.redis.client() as client:
        return not any(client.zcard(f"{rig.ns.name}:due:images:{p}") for p in range(rig.ns.partitions))
