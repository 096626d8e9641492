"""Pictures for the tests of images: good ones of each type, small, and the same with something wrong.

PNG and GIF are written here byte by byte, so that any byte can be another one; JPEG, WebP and AVIF come from Pillow. The
same arguments give the same bytes. Sizes are in pixels.
"""

import io
import random
import struct
import zlib

from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def drawn(width, height, mode="RGB", seed=1):
    """Slopes of light under some grain, another picture for each seed."""
    image = Image.new("L", (width, height))
    image.putdata([(x * 3 + y * 5 + x * x * y % 23 + seed * 37) % 256 for y in range(height) for x in range(width)])
    if mode == "L":
        return image
    bands = [image.point(lambda v, k=k: (v + 40 * k) % 256) for k in range({"RGB": 3, "RGBA": 4, "CMYK": 4}[mode])]
    return Image.merge(mode, bands)


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def noise(width, height, seed=1):
    """A PNG that is as large as its pixels."""
    return saved(Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(width * height * 3)), "PNG")


# ---- PNG

def chunk(name, data=b"", crc=None):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data) if crc is None else crc)


def ihdr(width, height, depth=8, colour=2, interlace=0):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def _rows(width, height, depth, colour, seed):
    n = (width * depth * CHANNELS[colour] + 7) // 8
    tint = seed * 29 % 200
    return b"".join(b"\0" + bytes((tint + x + y) % (2 if colour == 3 else 256) if colour != 3 or depth == 8 else 0 for x in range(n))
                    for y in range(height)) if width else b""


def png(width=64, height=48, depth=8, colour=2, interlace=0, before=b"", after=b"", seed=1):
    """before, after: chunks between IHDR and the picture, and behind it."""
    if interlace:
        data = b"".join(_rows(-(-(width - x) // dx) if width > x else 0, -(-(height - y) // dy) if height > y else 0, depth, colour, seed)
                        for x, y, dx, dy in PASSES)
    else:
        data = _rows(width, height, depth, colour, seed)
    palette = chunk(b"PLTE", bytes((0, 40, 80, 200, 220, 240))) if colour == 3 else b""
    return b"".join((PNG_SIGNATURE, ihdr(width, height, depth, colour, interlace), before, palette, chunk(b"IDAT", zlib.compress(data)),
                     after, chunk(b"IEND")))


def flat_png(width, height, depth=8, colour=0, interlace=0):
    """All zeros; written without having them in memory."""
    squeeze, parts = zlib.compressobj(9), []
    sizes = [(width, height)] if not interlace else [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in PASSES]
    for w, h in sizes:
        row = bytes(1 + (w * depth * CHANNELS[colour] + 7) // 8)
        block = row * max(1, min(h, (1 << 20) // len(row)))
        left = len(row) * h
        while left > 0:
            parts.append(squeeze.compress(block[:left]))
            left -= len(block)
    parts.append(squeeze.flush())
    return PNG_SIGNATURE + ihdr(width, height, depth, colour, interlace) + chunk(b"IDAT", b"".join(parts)) + chunk(b"IEND")


def png_head(width, height):
    """A header and some bytes of a picture that is not there: 74 bytes."""
    return PNG_SIGNATURE + ihdr(width, height) + chunk(b"IDAT", zlib.compress(b"\0" * 8)) + chunk(b"IEND")


def ztxt(n_bytes):
    return chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(n_bytes), 9))


def iccp(n_bytes):
    return chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(n_bytes), 9))


def text(words, key=b"Comment"):
    return chunk(b"tEXt", key + b"\0" + words)


def apng(width=64, height=48, n=2):
    """An animation: frames of the size of the picture."""
    control = b"".join([chunk(b"acTL", struct.pack(">II", n, 0)), chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, width, height, 0, 0, 1, 10, 0, 0))])
    data, sequence = zlib.compress(_rows(width, height, 8, 2, 7)), 1
    more = []
    for _ in range(n - 1):
        more.append(chunk(b"fcTL", struct.pack(">IIIIIHHBB", sequence, width, height, 0, 0, 1, 10, 0, 0)))
        more.append(chunk(b"fdAT", struct.pack(">I", sequence + 1) + data))
        sequence += 2
    return png(width, height, before=control, after=b"".join(more))


def broken_crc(picture, name):
    """The checksum of the first chunk of that name is wrong."""
    at = picture.index(name)
    n, = struct.unpack(">I", picture[at - 4:at])
    end = at + 4 + n
    return picture[:end] + bytes([picture[end] ^ 1]) + picture[end + 1:]


# ---- GIF

def lzw(pixels, bits=8):
    """Without compression: the table is cleared before its codes grow."""
    clear, out, hold, n_hold = 1 << bits, bytearray(), 0, 0

    def put(code):
        nonlocal hold, n_hold
        hold |= code << n_hold
        n_hold += bits + 1
        while n_hold >= 8:
            out.append(hold & 255)
            hold >>= 8
            n_hold -= 8
    put(clear)
    for i, pixel in enumerate(pixels):
        if i and i % (clear - 3) == 0:
            put(clear)
        put(pixel)
    put(clear + 1)
    if n_hold:
        out.append(hold & 255)
    return bytes(out)


def sub_blocks(data):
    return b"".join(bytes([len(data[i:i + 255])]) + data[i:i + 255] for i in range(0, len(data), 255)) + b"\0"


def gif_frame(width, height, left=0, top=0, bits=8, data=None, code_size=None):
    pixels = [(x + y) % (1 << bits) for y in range(height) for x in range(width)] if data is None else ()
    return (b"\x2c" + struct.pack("<HHHHB", left, top, width, height, 0) + bytes([bits if code_size is None else code_size]) +
            sub_blocks(lzw(pixels, bits) if data is None else data))


def gif_comment(words):
    return b"\x21\xfe" + sub_blocks(words)


def gif_start(width, height, version=b"89a"):
    palette = bytes(v for i in range(256) for v in (i, 255 - i, i // 2))
    return b"GIF" + version + struct.pack("<HHBBB", width, height, 0xF7, 0, 0) + palette


def gif(width=64, height=48, frames=1, version=b"89a", between=b""):
    return gif_start(width, height, version) + between + gif_frame(width, height) * frames + b";"


def tiny_gif(screen, frames=1):
    """A screen of that size and frames of 1 x 1; with one frame 43 bytes."""
    return (b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff" + b"\x21\xf9\x04\0\0\0\0\0" +
            (b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0" * frames) + b";")


# ---- JPEG

def jpeg(width=64, height=48, mode="RGB", seed=1, **options):
    return saved(drawn(width, height, mode, seed), "JPEG", quality=85, **options)


def segment(marker, data=b"", length=None):
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2 if length is None else length) + data


def behind_soi(picture, *segments):
    return picture[:2] + b"".join(segments) + picture[2:]


def segments_of(picture):
    """[(marker, first byte, byte behind)] up to the first SOS, that included without its data."""
    found, at = [], 2
    while True:
        marker, n = picture[at + 1], struct.unpack(">H", picture[at + 2:at + 4])[0]
        found.append((marker, at, at + 2 + n))
        if marker == 0xDA:
            return found
        at += 2 + n


def frame_of(picture):
    return next((start, end) for marker, start, end in segments_of(picture) if marker in (0xC0, 0xC1, 0xC2))


def jpeg_head(width, height):
    """A JPEG whose header says that size; its data are those of a small one."""
    picture = jpeg(16, 16)
    at = frame_of(picture)[0] + 5
    return picture[:at] + struct.pack(">HH", height, width) + picture[at + 4:]


def exif(orientation=None, gps=False, rights=None, serial=None):
    """An APP1 with these, little-endian."""
    entries, extra = [], b""
    n = sum(x is not None for x in (orientation, rights, serial)) + gps
    room = 8 + 2 + 12 * n + 4

    def put(tag, kind, count, value):
        entries.append(struct.pack("<HHI", tag, kind, count) + value)

    def words(tag, value):
        nonlocal extra
        value = value.encode() + b"\0"
        value += b"\0" * max(0, 5 - len(value))  # longer than what would stand in the entry
        put(tag, 2, len(value), struct.pack("<I", room + len(extra)))
        extra += value
    if orientation is not None:
        put(0x0112, 3, 1, struct.pack("<HH", orientation, 0))
    if rights is not None:
        words(0x8298, rights)
    if gps:
        place = room + len(extra)
        extra += struct.pack("<H", 1) + struct.pack("<HHI", 2, 5, 3) + struct.pack("<I", place + 18) + struct.pack("<I", 0)
        extra += struct.pack("<6I", 48, 1, 51, 1, 2977, 100)
        put(0x8825, 4, 1, struct.pack("<I", place))
    if serial is not None:
        words(0xA431, serial)
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<H", n) + b"".join(sorted(entries, key=lambda e: e[:2][::-1])) + bytes(4) + extra
    return segment(0xE1, b"Exif\0\0" + tiff)


def exif_loop():
    """The next directory of the first is itself; an entry of 65,535 values beyond the end."""
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + struct.pack("<HHII", 0x8298, 2, 65535, 0xFFFFFF) + struct.pack("<I", 8)
    return segment(0xE1, b"Exif\0\0" + tiff)


def exif_many():
    """65,535 entries are declared, two are there."""
    return segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 65535) + bytes(24))


class _Bits:
    def __init__(self):
        self.text = ""

    def put(self, value, n):
        self.text += f"{value:0{n}b}" if n else ""
        return self

    def bytes(self):
        self.text += "1" * (-len(self.text) % 8)
        return b"".join(bytes((v,)) + (b"\0" if v == 255 else b"") for v in
                        (int(self.text[i:i + 8], 2) for i in range(0, len(self.text), 8)))


def many_scans(n_bits=10, width=64, height=48):
    """A legal progressive JPEG, all grey, in 64 * (n_bits + 1) scans: each coefficient by itself, bit by bit. 10: 704."""
    # Huffman tables. DC: category 0 is "0". AC: an end-of-band run of 2^14 to 2^15 - 1 blocks is "0", of one block "10".
    tables = segment(0xC4, b"\x00" + bytes((1,)) + bytes(15) + b"\x00") + segment(0xC4, b"\x10" + bytes((1, 1)) + bytes(14) + b"\xe0\x00")
    parts = [b"\xff\xd8", segment(0xDB, b"\0" + bytes([16] * 64)), segment(0xC2, struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"),
             tables]
    blocks = -(-width // 8) * -(-height // 8)
    bands = _Bits()
    for _ in range(blocks // 16384):
        bands.put(0, 15)  # a run of 2^14
    none, one = bands.put(int("10" * (blocks % 16384) or "0", 2), 2 * (blocks % 16384)).bytes(), _Bits().put(0, blocks).bytes()
    for k in range(64):
        for high, low in [(0, n_bits)] + [(n, n - 1) for n in range(n_bits, 0, -1)]:
            parts += [segment(0xDA, bytes((1, 1, 0, k, k, high << 4 | low))), none if k else one]
    return b"".join(parts) + b"\xff\xd9"


def repeated_scan(n, width=64, height=48):
    """A grey progressive JPEG whose first scan comes n times."""
    picture = jpeg(width, height, "L", progressive=True)
    start = picture.index(b"\xff\xda")
    after = start + 2
    while not (picture[after] == 0xFF and picture[after + 1] not in (0, *range(0xD0, 0xD8))):
        after += 1
    return picture[:after] + picture[start:after] * (n - 1) + picture[after:]


# ---- WebP, AVIF

def webp(width=64, height=48, mode="RGB", lossless=False, seed=1):
    return saved(drawn(width, height, mode, seed), "WEBP", lossless=lossless, quality=85)


def moving_webp(frames, width=64, height=48):
    """Frames that differ, so that none is left out."""
    images = [drawn(width, height, seed=n + 1) for n in range(frames)]
    return saved(images[0], "WEBP", save_all=True, append_images=images[1:], duration=50, lossless=True, minimize_size=False, allow_mixed=False)


def riff(*chunks):
    body = b"WEBP" + b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_chunk(picture):
    """(name, data) of the first chunk of a simple WebP."""
    n, = struct.unpack("<I", picture[16:20])
    return picture[12:16], picture[20:20 + n]


def extended_webp(canvas, picture):
    """VP8X with a canvas of that size around a simple picture."""
    width, height = (struct.pack("<I", v - 1)[:3] for v in canvas)
    return riff((b"VP8X", b"\0\0\0\0" + width + height), webp_chunk(picture))


def many_frames_webp(n, width=64, height=48):
    """VP8X, ANIM and the same frame n times."""
    name, data = webp_chunk(webp(width, height, lossless=True))
    frame = (b"\0\0\0\0\0\0" + b"".join(struct.pack("<I", v)[:3] for v in (width - 1, height - 1, 50)) + b"\0" + name +
             struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2))
    size = b"".join(struct.pack("<I", v - 1)[:3] for v in (width, height))
    return riff((b"VP8X", b"\x02\0\0\0" + size), (b"ANIM", b"\0" * 6), *[(b"ANMF", frame)] * n)


# How many codes of each length, 1 to 15: complete ones whose tables are the largest that there can be, and for distances one that is
# not complete, with a larger table. Decoders that fill the tables before they look at that write beyond them (CVE-2023-4863).
GREENS = (1, 1, 1, 1, 0, 0, 0, 0, 1, 45, 1, 1, 97, 1, 130)
OTHERS = (1, 0, 0, 0, 0, 1, 0, 0, 247, 1, 1, 1, 1, 1, 2)
DISTANCES = (1, 0, 0, 0, 0, 0, 0, 0, 31, 1, 1, 1, 1, 1, 3)


def overfull_webp(width=64, height=48):
    bits = []

    def put(value, n):
        bits.extend(value >> i & 1 for i in range(n))
    put(0x2F, 8)
    put(width - 1, 14)
    put(height - 1, 14)
    put(0, 1 + 3 + 1 + 1 + 1)  # no alpha, version, no transform, no cache, one group of codes
    for counts in GREENS, OTHERS, OTHERS, OTHERS, DISTANCES:
        put(0, 1)  # a code with lengths
        put(15, 4)  # 19 of them follow, in this order: 4 bits for each length from 0 to 15, none for repetitions
        for symbol in (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15):
            put(4 if symbol < 16 else 0, 3)
        put(0, 1)  # lengths for all symbols
        for length, n in enumerate(counts, 1):
            for _ in range(n):
                put(int(f"{length:04b}"[::-1], 2), 4)
    put(0, -len(bits) % 8 + 4 * width * height)
    data = bytes(sum(bit << i for i, bit in enumerate(bits[at:at + 8])) for at in range(0, len(bits), 8))
    return riff((b"VP8L", data))


def avif(width=64, height=48):
    return saved(drawn(width, height), "AVIF")


# ---- what is no picture, or not only one

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><rect width="10" height="10"/></svg>' + b" " * 100
PAGE = b"<!doctype html><html><head><title>not found</title></head><body>" + b"<p>nothing here</p>" * 50


def other_types():
    """{name: a beginning of a file of a type that is not allowed}."""
    image, filler = drawn(32, 24), bytes(200)
    return {"tiff": saved(image, "TIFF"), "bmp": saved(image, "BMP"), "ico": saved(image, "ICO", sizes=[(16, 16)]), "psd": b"8BPS\0\1" + filler,
            "pdf": saved(image, "PDF"), "heic": struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + filler,
            "jxl": b"\xff\x0a" + filler, "jxl-box": b"\0\0\0\x0cJXL \r\n\x87\n" + filler,
            "mp4": struct.pack(">I", 24) + b"ftypisom\0\0\2\0isomiso2" + filler}


def mutations(pictures, n, seed):
    """n files, each one of the pictures with a few bytes changed, cut or doubled."""
    rng = random.Random(seed)
    for _ in range(n):
        data = bytearray(rng.choice(pictures))
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(data))
            how = rng.randrange(8)
            if how == 0:
                del data[at:at + rng.randrange(1, 40)]
            elif how == 1:
                data[at:at] = data[at:at + rng.randrange(1, 40)]
            else:
                data[at] = rng.choice((rng.randrange(256), 0, 255, data[at] ^ 1 << rng.randrange(8)))
            if not data:
                break
        yield bytes(data)
