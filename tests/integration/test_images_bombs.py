"""images, from an article to its facet: files that are small and cost much, with the limits that are the default (T109 to T111,
T117, T135 of the catalogue of hostile cases)."""

import pathlib
import struct

import pytest

from support import pictures as p
from support.image_host import reply
from support.images import outcome
from support.waiting import until

REAL = {"check": {"maxPixels": 50_000_000, "maxEdgePixels": 16384, "maxGifPixels": 16_777_216, "maxFrames": 256, "maxScans": 500},
        "fetch": {"bodyBytes": 10_485_760}, "decoder": {"processes": 1, "cpuMs": 20_000, "wallMs": 30_000}}
LIMIT_KIB = 400_000


def decoders(worker):
    """The process ids of its decoder processes."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == worker.pid:
                found.append(int(folder.name))
        except (OSError, ValueError):
            continue
    return found


def most_memory_kib(worker):
    """The most that a living decoder process has had."""
    peaks = [0]
    for pid in decoders(worker):
        try:
            lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        peaks += [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    return max(peaks)


def sanitized(worker):
    return "libasan" in pathlib.Path(f"/proc/{worker.pid}/maps").read_text() or b"__asan_init" in pathlib.Path(f"/proc/{worker.pid}/exe").read_bytes()


@pytest.fixture(scope="module")
def run(shared_rig):
    rig = shared_rig(options=REAL)
    rig.worker = rig.start()
    return rig


def serve(rig, case, picture):
    rig.host.at[f"/{case}"] = reply(picture)
    rig.send({case: rig.url(f"/{case}", f"{case.lower()}.localhost")})
    rig.settle([case], 60)
    return rig.image(case)


def counted(rig, word):
    return sum(value for name, value in rig.metrics(rig.worker).items() if name.startswith("newsmill_images_") and word in name)


def test_T109_above_the_limit_of_pixels(run):
    image = serve(run, "T109", p.flat_png(20000, 20000))
    assert outcome(image) == "dims_too_big"


def test_T110_just_under_it(run):
    before = counted(run, "bomb_ratio")
    image = serve(run, "T110", p.flat_png(7071, 7071, 8, 2))
    assert outcome(image) == "cached" and (image["width"], image["height"]) == (7071, 7071)
    assert counted(run, "bomb_ratio") == before + 1


@pytest.mark.parametrize("case, depth, colour, interlace", [("T111-adam7", 8, 2, 1), ("T111-deep", 16, 6, 0)])
def test_T111_memory_of_the_decoder(run, case, depth, colour, interlace):
    image = serve(run, case, p.flat_png(7000, 7000, depth, colour, interlace))
    assert outcome(image) == "cached" and (image["width"], image["height"]) == (7000, 7000)
    if not sanitized(run.worker):
        assert 0 < most_memory_kib(run.worker) < LIMIT_KIB


def test_T110_refused_where_bombs_are(new_rig):
    rig = new_rig(options={**REAL, "check": {**REAL["check"], "refuseBombs": True}})
    rig.worker = rig.start()
    assert outcome(serve(rig, "T110", p.flat_png(7071, 7071, 8, 2))) == "bomb_ratio"
    assert outcome(serve(rig, "good", p.jpeg())) == "cached"


def test_T117_time_of_the_decoder(new_rig):
    """448 legal scans, under the cap on scans; the limit of CPU time ends it, and the next picture is fine."""
    rig = new_rig(options={**REAL, "decoder": {"processes": 1, "cpuMs": 100, "wallMs": 10_000}})
    rig.worker = rig.start()
    assert outcome(serve(rig, "good", p.jpeg())) == "cached"
    assert outcome(serve(rig, "T117", p.many_scans(6, 6000, 4000))) == "decode_killed"
    assert outcome(serve(rig, "next", p.jpeg(seed=2))) == "cached"
    assert rig.worker.alive and counted(rig, "kill") >= 1
    until(lambda: len(decoders(rig.worker)) <= 1, 10, "no decoder is left over")


def test_T135_files_that_broke_decoders(run):
    """A WebP whose codes overfill their tables (CVE-2023-4863), a GIF whose frames run beyond a screen of no height, a BMP whose
    size overflows: refused, and nothing dies of them."""
    kills = counted(run, "kill")
    files = {"webp": (p.overfull_webp(), {"decode_fail"}),
             "gif": (p.gif_start(64, 0) + p.gif_frame(64, 48) + b";", {"dims_invalid", "decode_fail"}),
             "bmp": (b"BM" + struct.pack("<IHHIIiiHHIIiiII", 200, 0, 0, 54, 40, 0x7FFFFFFF, -0x80000000, 1, 32, 0, 0, 0, 0, 0, 0) + bytes(200),
                     {"type_not_allowed"})}
    for name, (data, wanted) in files.items():
        assert outcome(serve(run, f"T135-{name}", data)) in wanted, name
    assert outcome(serve(run, "T135-next", p.webp(lossless=True))) == "cached"
    assert counted(run, "kill") == kills and run.worker.alive
