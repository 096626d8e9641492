"""images, from an article to its facet and its object: what is in the files (T103 to T136 of the catalogue of hostile
cases), with the limits for tests; test_images_bombs.py has those that need the real ones.

One worker gets every case at once; each has a host name of its own. What stands in an object is read by Pillow.
"""

import functools
import io
import struct

import pytest
from PIL import Image

from support import pictures as p
from support.image_host import head, reply, then_silent
from support.images import outcome

SEED, N_MUTATIONS = 20240, 300


def jpeg_without_frame():
    picture = p.jpeg()
    start, end = p.frame_of(picture)
    return picture[:start] + picture[end:]


def jpeg_with_two_frames():
    picture = p.jpeg()
    start, end = p.frame_of(picture)
    return picture[:end] + picture[start:end] + picture[end:]


def jpeg_with_late_frame():
    picture = p.jpeg()
    start, end = p.frame_of(picture)
    return picture[:start] + picture[end:-2] + picture[start:end] + b"\xff\xd9"


def half(picture):
    return picture[:len(picture) // 2]


def gif_of(frame):
    return p.gif_start(64, 48) + frame + b";"


def made(picture):
    """Those that take long to make are functions."""
    return picture() if callable(picture) else picture


TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}
GOOD = {  # case: picture, its type
    "T103-baseline": (p.jpeg(), "JPEG"),
    "T103-progressive": (p.jpeg(progressive=True), "JPEG"),
    "T103-cmyk": (p.jpeg(mode="CMYK"), "JPEG"),
    "T103-grey": (p.jpeg(mode="L"), "JPEG"),
    "T103-small": (p.jpeg(2, 2), "JPEG"),
    **{f"T103-png-{depth}-{colour}-{adam7}": (p.png(61, 47, depth, colour, adam7), "PNG")
       for depth, colour in ((1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (1, 3), (2, 3), (4, 3), (8, 3), (8, 4), (16, 4), (8, 6), (16, 6))
       for adam7 in (0, 1)},
    "T103-gif87": (p.gif(version=b"87a"), "GIF"),
    "T103-gif89": (p.gif(), "GIF"),
    "T103-gif-moving": (p.gif(frames=3), "GIF"),
    "T103-vp8": (p.webp(), "WEBP"),
    "T103-vp8l": (p.webp(lossless=True), "WEBP"),
    "T103-vp8x": (p.webp(mode="RGBA"), "WEBP"),
    "T103-webp-moving": (p.moving_webp(5), "WEBP"),
    "T114": (p.behind_soi(p.jpeg(), *[p.segment(0xEF, bytes(65000))] * 15), "JPEG"),  # the limit of a body is 1 MB here
    "T119": (p.jpeg(seed=119)[:-2], "JPEG"),
    "T126": (lambda: p.png(before=p.ztxt(50_000_000), seed=126), "PNG"),
    "T127": (lambda: p.png(before=p.text(b"nothing") * 10_000, seed=127), "PNG"),
    "T127-iccp": (lambda: p.png(before=p.iccp(100_000_000), seed=128), "PNG"),
    "T128-text": (p.broken_crc(p.png(before=p.text(b"nothing"), seed=129), b"tEXt"), "PNG"),
    "T129": (p.apng(), "PNG"),
    "T130-script": (p.jpeg(seed=130) + b"<script>alert(1)</script>", "JPEG"),
    "T130-zip": (p.jpeg(seed=131) + b"PK\x03\x04" + bytes(200) + b"PK\x05\x06" + bytes(18), "JPEG"),
    "T130-gifar": (p.gif() + b"PK\x03\x04" + bytes(200) + b"PK\x05\x06" + bytes(18), "GIF"),
    "T130-png": (p.png(seed=132) + b"<script>alert(1)</script>", "PNG"),
    "T130-webp": (p.webp(seed=133) + b"<script>alert(1)</script>", "WEBP"),
    "T131": (p.gif(between=p.gif_comment(b"*/=1;alert(document.domain)//<script>")), "GIF"),
    "T133": (p.behind_soi(p.jpeg(seed=134), p.exif(gps=True, rights="(c) Ostmark Post", serial="SN-4713-9")), "JPEG"),
    "T134-loop": (p.behind_soi(p.jpeg(seed=135), p.exif_loop()), "JPEG"),
    "T134-many": (p.behind_soi(p.jpeg(seed=136), p.exif_many()), "JPEG"),
}
BAD = {  # case: picture, what may come of it
    **{f"T105-{name}": (data, {"type_not_allowed"}) for name, data in {
        "svg": p.SVG, "script": p.SVG.replace(b"<rect", b"<script>alert(1)</script><rect"),
        "xxe": b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + p.SVG,
        "svgz": b"\x1f\x8b\x08\0\0\0\0\0\0\3" + bytes(200)}.items()},
    **{f"T106-{name}": (data, {"type_not_allowed"}) for name, data in p.other_types().items()},
    "T107": (p.png_head(60000, 60000), {"dims_too_big"}),
    "T108-max": (p.png_head(2 ** 31 - 1, 2 ** 31 - 1), {"dims_too_big", "dims_invalid"}),
    "T108-zero": (p.png_head(0, 10), {"dims_invalid"}),
    "T108-negative": (p.png_head(0x80000000, 10), {"dims_invalid", "dims_too_big"}),
    "T109": (p.flat_png(2000, 2000), {"dims_too_big"}),
    "T112": (p.jpeg_head(65500, 65500), {"dims_too_big"}),
    "T113-none": (jpeg_without_frame(), {"decode_fail", "dims_invalid"}),
    "T113-two": (jpeg_with_two_frames(), {"decode_fail"}),
    "T113-late": (jpeg_with_late_frame(), {"decode_fail", "dims_invalid"}),
    "T113-length-0": (p.behind_soi(p.jpeg(), p.segment(0xE5, bytes(10), 0)), {"decode_fail"}),
    "T113-length-1": (p.behind_soi(p.jpeg(), p.segment(0xE5, bytes(10), 1)), {"decode_fail"}),
    "T113-end": (p.behind_soi(p.jpeg(), p.segment(0xE5, bytes(10), 65000)), {"decode_fail", "truncated"}),
    "T115": (p.many_scans(), {"scans_too_many"}),
    "T116": (p.repeated_scan(1000), {"scans_too_many"}),
    **{f"T118-{name}": (half(picture), {"truncated"}) for name, picture in
       {"jpeg": p.jpeg(200, 150), "png": p.png(200, 150, 8, 6), "gif": p.gif(200, 150), "webp": p.webp(200, 150)}.items()},
    "T120": (p.tiny_gif((65535, 65535)) + bytes(40), {"dims_too_big"}),
    "T121": (p.tiny_gif((10, 10), 40_000), {"frames_too_many"}),
    "T122": (p.tiny_gif((500, 500), 20_000), {"frames_too_many"}),
    "T123-none": (p.gif_start(64, 48) + b";", {"decode_fail"}),
    "T123-outside": (gif_of(p.gif_frame(10, 10, left=100, top=100)), {"decode_fail"}),
    "T123-code-0": (gif_of(p.gif_frame(10, 10, code_size=0)), {"decode_fail"}),
    "T123-code-13": (gif_of(p.gif_frame(10, 10, code_size=13)), {"decode_fail"}),
    "T123-little": (gif_of(p.gif_frame(60, 40, data=p.lzw(range(20)))), {"decode_fail", "truncated"}),
    "T124": (p.many_frames_webp(500), {"frames_too_many"}),
    "T124-canvas": (p.extended_webp((16384, 16384), p.webp()), {"dims_too_big"}),
    "T125": (p.extended_webp((65, 48), p.webp(seed=3)), {"decode_fail"}),
    "T128-ihdr": (p.broken_crc(p.png(), b"IHDR"), {"decode_fail"}),
    "T128-idat": (p.broken_crc(p.png(), b"IDAT"), {"decode_fail"}),
    "small": (p.png(1, 1, 8, 0), {"too_small"}),
    "thin": (p.png(1, 300), {"too_small"}),
}


@functools.cache
def turned():
    return p.behind_soi(p.jpeg(1200, 630, seed=6), p.exif(orientation=6, gps=True))


HTML = reply(p.jpeg(seed=104), type="text/html; charset=utf-8")
AS_PNG = reply(p.jpeg(seed=105), type="image/png")


@pytest.fixture(scope="module")
def run(shared_rig):
    rig = shared_rig(options={"thumbnails": {"edgePixels": [32, 320]}})
    cases = {}
    for case, (picture, _) in {**GOOD, **BAD}.items():
        rig.host.at[f"/{case}.jpg"] = reply(made(picture), type="image/jpeg")
        cases[case] = rig.url(f"/{case}.jpg", f"{case.lower()}.localhost")
    for case, scenario in {"T096": then_silent(head(200, "Content-Type: image/jpeg", "Content-Length: 900000"), p.PAGE),
                           "T104": AS_PNG, "T104-html": HTML, "T106-avif": reply(p.avif(320, 200)), "T132": reply(turned())}.items():
        rig.host.at[f"/{case}.jpg"] = scenario
        cases[case] = rig.url(f"/{case}.jpg", f"{case.lower()}.localhost")
    rig.worker = rig.start()
    rig.send(cases)
    rig.settle(cases, 120)
    rig.cases = cases
    return rig


def opened(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.filterwarnings("ignore:Tag data larger", "ignore:Corrupt EXIF")  # T134
@pytest.mark.parametrize("case", GOOD)
def test_good(run, case):
    """Cached, with the exact dimensions and the bytes that the facet tells; the object is what Pillow can read too."""
    picture, kind = made(GOOD[case][0]), GOOD[case][1]
    image = run.image(case)
    assert outcome(image) == "cached"
    try:
        width, height = opened(picture).size
    except (OSError, ValueError):
        width, height = 64, 48  # what Pillow refuses for the same reasons for which it is here
    assert (image["width"], image["height"], image["type"]) == (width, height, TYPES[kind])
    stored = run.stored(image)
    assert len(stored) == image["bytes"]
    again = opened(stored)
    assert (again.format, again.size) == (kind, (width, height))
    extension = {"JPEG": "jpg"}.get(kind, kind.lower())
    assert image["cachedUrl"] == f"https://img.site.example/img/{image['sha256']}.{extension}"


@pytest.mark.parametrize("case", BAD)
def test_bad(run, case):
    image = run.image(case)
    assert outcome(image) in BAD[case][1]
    assert "sha256" not in image and run.host.count(f"/{case}.jpg") == 1


def test_T096_a_page_is_given_up_at_once(run):
    """After its first bytes, not after the time in which it sends nothing more."""
    assert outcome(run.image("T096")) == "type_not_allowed"
    request, = run.host.requests("/T096.jpg")
    assert request.connection.closed - request.at < 5


def test_T104_declared_types(run):
    assert outcome(run.image("T104")) == "cached" and run.image("T104")["type"] == "image/jpeg"
    assert outcome(run.image("T104-html")) == "type_mismatch"


def test_T106_dimensions_of_an_avif_are_known(run):
    """In the entry of its URL; the facet shows those of the article, where it has some."""
    assert outcome(run.image("T106-avif")) == "type_not_allowed" and "width" not in run.image("T106-avif")
    entry = run.entry(run.cases["T106-avif"])
    assert (entry["width"], entry["height"]) == ("320", "200") and "sha256" not in entry


def test_T119_end_is_put_there(run):
    assert run.stored(run.image("T119")) == p.jpeg(seed=119)


@pytest.mark.parametrize("case", [name for name in GOOD if name.startswith("T130")])
def test_T130_nothing_is_left_of_what_was_appended(run, case):
    stored = run.stored(run.image(case))
    assert b"script" not in stored and b"PK\x03\x04" not in stored
    end = {"JPEG": b"\xff\xd9", "PNG": p.chunk(b"IEND"), "GIF": b";"}.get(GOOD[case][1])
    assert stored.endswith(end) if end else struct.unpack("<I", stored[4:8])[0] == len(stored) - 8


def test_T131_no_comment_in_an_object(run):
    assert b"alert" not in run.stored(run.image("T131"))


def test_T132_upright(run):
    image = run.image("T132")
    assert outcome(image) == "cached" and (image["width"], image["height"]) == (630, 1200)
    entry = run.entry(run.cases["T132"])
    assert (entry["rawWidth"], entry["rawHeight"], entry["orientation"]) == ("1200", "630", "6")
    assert [(t["width"], t["height"]) for t in image["thumbnails"]] == [(17, 32), (168, 320)]
    assert image["thumbnails"][1]["url"] == f"https://img.site.example/t/320/{image['sha256']}.jpg"
    small = opened(run.thumbnail(image, 320))
    assert small.size == (168, 320) and not small.getexif()
    wanted = opened(turned()).transpose(Image.Transpose.ROTATE_270).resize((168, 320), Image.Resampling.BOX)
    pairs = zip(small.convert("L").get_flattened_data(), wanted.convert("L").get_flattened_data())
    assert sum(abs(a - b) for a, b in pairs) / (168 * 320) < 8


def test_T133_places_go_and_rights_stay(run):
    stored = run.stored(run.image("T133"))
    found = opened(stored).getexif()
    assert not found.get_ifd(0x8825) and 0x8825 not in found
    assert found[0x8298].rstrip("\0") == "(c) Ostmark Post"
    assert b"SN-4713-9" not in stored
    for name, data in run.objects("t").items():
        assert b"Exif" not in data, name


def test_thumbnails_are_smaller_than_their_object(run):
    for case in GOOD:
        image = run.image(case)
        assert all(max(t["width"], t["height"]) < max(image["width"], image["height"]) for t in image.get("thumbnails", ()))


def test_every_object_is_what_its_name_says(run):
    for name, data in run.objects().items():
        assert run.sha256(data) == name.partition(".")[0]
    assert run.temp_files() == []


def test_reasons_are_counted(run):
    page = run.metrics(run.worker)
    for reason in ("dims_too_big", "frames_too_many", "scans_too_many", "truncated", "decode_fail", "type_not_allowed", "type_mismatch"):
        assert sum(value for name, value in page.items() if f'"{reason}"' in name) > 0, reason


def test_T136_mutations(run):
    """Each is refused or decoded; the worker lives, and goes on. unit/test_images_decoder_bombs.c has 10,000."""
    base = [picture for picture, _ in GOOD.values() if not callable(picture) and len(picture) < 20_000]
    files = list(p.mutations(base, N_MUTATIONS, SEED))
    run.host.other = lambda x: reply(files[int(x.request.path[1:])])(x) if x.request.path[1:].isdigit() else reply(b"", 404)(x)
    cases = {f"T136-{n}": [run.url(f"/{i}", f"m{i % 7}.localhost") for i in range(n, n + 10)] for n in range(0, N_MUTATIONS, 10)}
    run.send(cases)
    run.settle(cases, 120)
    ends = [outcome(image) for case in cases for image in run.images(case)]
    assert len(ends) == N_MUTATIONS and "pending" not in ends
    assert ends.count("cached") > N_MUTATIONS / 20 and ends.count("cached") < N_MUTATIONS
    assert run.worker.alive and run.temp_files() == []
