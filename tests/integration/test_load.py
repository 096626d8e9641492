"""`newsmill load` of every format, packed and not, against a real Kafka: what arrives, what is said, what it costs."""

import gzip
import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest

from support.articles import stop
from support.waiting import until
from support.workers import build_folder, environment, program, tool


def zipped(text, level=9):
    """The same bytes in every process of the tests, since a test's name may hold them: the time of packing is left out."""
    return gzip.compress(text, level, mtime=0)


FERRY = "https://www.harbour-gazette.example/2025/04/12/ferry-timetable"

RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:media="http://search.yahoo.com/mrss/">
<channel>
  <title>Harbour Gazette</title><link>https://www.harbour-gazette.example/</link><language>en-gb</language>
  <item>
    <title>Ferry &amp;amp; tram timetables merge</title>
    <link>https://www.harbour-gazette.example/2025/04/12/ferry-timetable?utm_source=feed</link>
    <description><![CDATA[<p>One ticket from <b>June</b>.</p>]]></description>
    <pubDate>Sat, 12 Apr 2025 07:30:00 +0200</pubDate>
    <media:content url="https://cdn.harbour-gazette.example/ferry.jpg?a=1&amp;b=2" width="1200" height="630"/>
  </item>
  <item><title>Second</title><link>https://www.harbour-gazette.example/second</link><dc:language>de</dc:language></item>
</channel></rss>
"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en"><title>Ostmark Post</title>
<entry><title>Atom ferries</title><link rel="self" href="https://x.example/"/><link href="https://ostmark-post.example/atom"/>
<id>urn:1</id><updated>2025-04-12T05:30:00Z</updated><published>2025-04-12T05:30:00Z</published></entry></feed>
"""
RDF = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/">
<channel rdf:about="x"><title>Ostmark Post</title></channel>
<item rdf:about="y"><title>Old ferries</title><link>https://ostmark-post.example/rdf</link></item></rdf:RDF>
"""
JSON_FEED = json.dumps({"version": "https://jsonfeed.org/version/1.1", "title": "Ostmark Post", "language": "en", "items": [
    {"id": "1", "url": "https://ostmark-post.example/jf", "title": "Feed ferries", "date_published": "2025-04-12T05:30:00Z"}]})
JSON_LD = json.dumps({"@context": "https://schema.org", "@graph": [
    {"@type": "NewsMediaOrganization", "name": "Ostmark Post", "url": "https://ostmark-post.example/"},
    {"@type": "NewsArticle", "headline": "Linked ferries", "url": "https://ostmark-post.example/ld",
     "datePublished": "2025-04-12T05:30:00Z"}]}, indent=2)
EVENTS = [{"url": f"https://a.example/{i}", "title": f"Event {i}"} for i in range(3)]


def dry(ns, *args, **options):
    """(events, what was said, exit code) of a dry run."""
    done = tool("load", "-c", ns.config, "--dry-run", *args, **options)
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr, done.returncode


def values(ns):
    return [json.loads(message.value) for message in ns.read("raw")]


@pytest.fixture
def config(new_namespace):
    """A namespace without streams: a dry run needs none."""
    return new_namespace()


# ---- formats

def test_every_format_packed_and_not_arrives_under_its_url(ns, tmp_path):
    texts = {
        "a.ndjson": "".join(json.dumps(event) + "\n" for event in EVENTS[:1]), "b.json": json.dumps(EVENTS[1:], indent=2),
        "c.xml": RSS, "d.atom": ATOM, "e.rdf": RDF, "f.json": JSON_FEED, "g.json": JSON_LD,
        "h.md": f"---\ntitle: Front ferries\nwebUrl: {FERRY}/front\nquality: 86\n---\n"}
    keys = sorted([event["url"] for event in EVENTS] + [
        "https://www.harbour-gazette.example/2025/04/12/ferry-timetable?utm_source=feed",
        "https://www.harbour-gazette.example/second", "https://ostmark-post.example/atom", "https://ostmark-post.example/rdf",
        "https://ostmark-post.example/jf", "https://ostmark-post.example/ld", f"{FERRY}/front"])
    plain, packed = [], []
    for name, text in texts.items():
        plain.append(tmp_path / name)
        plain[-1].write_text(text)
        packed.append(tmp_path / f"{name}.packed")  # told by its content, not by its name
        packed[-1].write_bytes(zipped(text[:9].encode()) + zipped(text[9:].encode()))
    done = tool("load", "-c", ns.config, *plain, check=True)
    assert f"loaded {len(keys)} events" in done.stderr and "left out 1 that is no article" in done.stderr
    for name, word in (("a.ndjson", "ndjson"), ("b.json", "json"), ("c.xml", "rss"), ("h.md", "front-matter")):
        assert f"note: {tmp_path / name} is read as {word}\n" in done.stderr
    first = ns.read("raw")
    assert sorted(m.key.decode() for m in first) == keys and all(m.headers == {} for m in first)

    done = tool("load", "-c", ns.config, *packed, check=True)
    assert f"note: {packed[2]} is read as rss, unpacked\n" in done.stderr
    both = ns.read("raw")
    assert sorted((m.key, m.value) for m in both) == sorted([(m.key, m.value) for m in first] * 2)


def test_formats_become_articles(ns, workers, tmp_path):
    """Through normalize: what load makes of a feed is what the rules for raw events understand."""
    for name, text in (("c.xml", RSS), ("d.atom", ATOM), ("e.rdf", RDF), ("f.json", JSON_FEED), ("g.json", JSON_LD)):
        (tmp_path / name).write_text(text)
    tool("load", "-c", ns.config, *sorted(tmp_path.glob("?.*")), check=True)
    worker = workers.start("normalize", ns.config)
    ns.wait_done("normalize", "raw")
    articles = {a["title"]: a for a in (json.loads(m.value) for m in ns.read("normalized"))}
    assert ns.read("dead") == []
    assert set(articles) == {"Ferry & tram timetables merge", "Second", "Atom ferries", "Old ferries", "Feed ferries",
                             "Linked ferries"}
    ferry = articles["Ferry & tram timetables merge"]
    assert ferry["webUrl"] == FERRY and ferry["excerpt"] == "One ticket from June." and ferry["locale"] == "en-gb"
    assert ferry["publishedDateTime"] == "2025-04-12T05:30:00Z" and ferry["provider"]["name"] == "Harbour Gazette"
    assert ferry["images"] == [{"url": "https://cdn.harbour-gazette.example/ferry.jpg?a=1&b=2", "width": 1200, "height": 630}]
    assert articles["Second"]["locale"] == "de"
    assert articles["Atom ferries"]["webUrl"] == "https://ostmark-post.example/atom"
    stop(worker)


def test_front_matter_goes_round_with_the_same_id(ns, workers, tmp_path):
    """Records shown by tail as front matter, loaded into a fresh namespace, are the same articles."""
    started = [workers.start(name, ns.config) for name in ("normalize", "publish")]
    events = [{"url": f"{FERRY}?utm_source=feed", "title": 'Ferry: a "first" # \u2019 -', "excerpt": "One ticket.",
               "publishedDateTime": "2025-04-12T05:30:00Z", "ampUrl": f"{FERRY}/amp", "quality": 86,
               "images": [{"url": "https://cdn.harbour-gazette.example/ferry.jpg", "width": 1200, "height": 630}]},
              {"url": "https://ostmark-post.example/2", "title": "2025-01-01", "publishedDateTime": "2025-04-12T05:30:00Z"}]
    tool("load", "-c", ns.config, "-", stdin="".join(json.dumps(event) + "\n" for event in events), check=True)
    tool("wait", "-c", ns.config, "--timeout", "60s", check=True)
    shown = tool("tail", "-c", ns.config, "--format", "front-matter", "--exit-at-end", check=True).stdout
    before = {m.key: json.loads(m.value) for m in ns.read("records")}
    assert len(before) == 2

    files = []
    for number, text in enumerate(shown.split("\n\n---\n")):
        files.append(tmp_path / f"{number}.md")
        files[-1].write_text(text if text.startswith("---") else "---\n" + text)
    tool("load", "-c", ns.config, *files, check=True)  # one file each, as `export` has them
    tool("load", "-c", ns.config, "--format", "front-matter", "-", stdin=shown, check=True)  # and all in one
    tool("wait", "-c", ns.config, "--timeout", "60s", check=True)
    after = {m.key: json.loads(m.value) for m in ns.read("records")}
    assert set(after) == set(before)
    for key, record in after.items():
        for name in ("title", "excerpt", "webUrl", "path", "quality", "heat", "published", "topics", "provider", "images",
                     "publishedDateTime", "ampWebUrl", "cdnAmpWebUrl"):
            assert record.get(name) == before[key].get(name), name
    assert len(ns.read("normalized")) >= 4 and ns.read("dead") == []
    for worker in started:
        stop(worker)


def test_dry_run_prints_and_sends_nothing(ns, tmp_path):
    (tmp_path / "c.xml").write_text(RSS)
    events, said, code = dry(ns, tmp_path / "c.xml")
    assert code == 0 and "read 2 events, sent none (dry run), 0 failed" in said
    assert events[0]["title"] == "Ferry &amp; tram timetables merge" and events[0]["source"] == "Harbour Gazette"
    assert events[0]["language"] == "en-gb" and "language" not in events[1] and events[1]["dc:language"] == "de"
    assert ns.read("raw") == []
    process = subprocess.Popen([program("newsmill"), "load", "-c", str(ns.config), "--dry-run", "-"], env=environment(),
                               text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdout.close()  # `| head`: ends quietly
    try:
        process.stdin.write("".join(json.dumps(EVENTS[0]) + "\n" for _ in range(100000)))
        process.stdin.close()
    except BrokenPipeError:
        pass
    assert process.wait(timeout=20) == 0


@pytest.mark.parametrize("args, said", [
    (["--format", "yaml", "-"], "unknown word 'yaml'"),
    (["--format", "jsn", "-"], "did you mean 'json'?"),
    (["--format", "rss", "--stream", "signals", "-"], "signals are JSON"),
    (["--rate", "-1", "-"], "--rate"),
])
def test_usage(config, args, said):
    done = tool("load", "-c", config.config, *args)
    assert done.returncode == 2 and said in done.stderr


# ---- what fails

@pytest.mark.parametrize("name, text, n_events, said", [
    ("a.ndjson", '{"url": "u"}\n{"url": "%s"}\n{"url": "v"}\n' % ("x" * 1200000), 2, ":2: error: not loaded: longer than"),
    ("b.json", '[{"url": "u"},\n {"url": tru},\n {"url": "v"}]', 2, ":2: error: item 2 not loaded: not JSON: "),
    ("b.json", '[{"url": "u"},\n {"url": "v"}\n {"url": "w"}]', 2, ":3: error: a comma or the end of the list was expected"),
    ("b.json", '[{"url": "u"},\n {"url": "v"', 1, ":2: error: the text ends inside a value"),
    ("b.json", '[{"url": "u"}, "%s", {"url": "v"}]' % ("x" * 1200000), 2, ":1: error: item 2 not loaded: longer than"),
    ("c.xml", RSS.replace("</item>\n</channel>", "</itm>\n</channel>"), 1, ":12: error: no XML: Opening and ending tag"),
    ("c.xml", RSS.replace("<title>Second", "<title>" + "x" * 1200000), 1, ":12: error: item 2 not loaded: longer than"),
    ("c.xml", "<!DOCTYPE r [<!ENTITY a 'b'>]>\n" + RSS.split("\n", 1)[1], 0, ":1: error: its document type declares"),
    ("c.xml", "<html><body>Not found</body></html>", 0, ":1: error: neither rss, RDF nor feed, but html"),
    ("d.md", "---\ntitle: [\n---\n---\ntitle: y\n---\n", 1, ":2: error: item 1 not loaded: title must be text"),
    ("e.gz", zipped(b'{"url": "u"}\n' * 50)[:-9], 50, ": error: the compressed data end too early"),
    ("e.gz", zipped(b'{"url": "u"}\n') + b"more", 1, ": error: there is something else than gzip"),
    ("e.gz", zipped(zipped(b'{"url": "u"}\n')), 0, ": error: is packed twice"),
    ("e.gz", zipped(b"\0" * 100000000), 0, ": error: expands more than 500 times"),
    ("e.xz", b"\xfd7zXZ\x00 and so on", 0, ": error: is packed with xz"),
], ids=lambda value: value[:12] if isinstance(value, str) else str(value) if isinstance(value, int) else "bytes")
def test_what_cannot_be_loaded_is_named_and_the_rest_is_loaded(config, tmp_path, name, text, n_events, said):
    bad, good = tmp_path / name, tmp_path / "good.ndjson"
    bad.write_bytes(text if isinstance(text, bytes) else text.encode())
    good.write_text('{"url": "https://a.example/good"}\n')
    events, stderr, code = dry(config, bad, good)
    assert code == 1 and f"{bad}{said}" in stderr, stderr
    assert len(events) == n_events + 1 and events[-1]["url"] == "https://a.example/good"
    assert "1 failed, named above; everything else was loaded" in stderr


def test_what_kafka_does_not_take_is_named(ns):
    """As long as the stream's limit allows a message to be: with what Kafka adds it is too long, and the report says so."""
    limit = 1114112
    event = {"url": "u", "title": "x" * (limit - len('{"url":"u","title":""}'))}
    done = tool("load", "-c", ns.config, "-", stdin=json.dumps([event, {"url": "v"}], indent=1))
    assert done.returncode == 1 and "-:2: error: item 1 not loaded: " in done.stderr, done.stderr
    assert [m.key for m in ns.read("raw")] == [b"v"]


# ---- size and time

def big_array(n):
    yield b"["
    for i in range(n):
        yield (b"," if i else b"") + json.dumps({"url": f"https://a.example/{i}", "title": f"Event {i}", "content": "x" * 300}).encode()
    yield b"]"


def peak_mib(arguments, pieces):
    """Feeds a process through a pipe; (its peak memory in MiB once nearly all is read, what it said)."""
    process = subprocess.Popen(arguments, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    for piece in pieces:
        process.stdin.write(piece)
    process.stdin.flush()
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        peak = int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) / 1024
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return peak, said.decode()


@pytest.mark.parametrize("kind", ["json", "ndjson", "rss", "gzip"])
def test_memory_does_not_depend_on_the_size(config, kind, tmp_path):
    n = 100000 if build_folder().name == "build" else 5000
    pieces = big_array(n)
    if kind == "ndjson":
        pieces = (piece.lstrip(b",") + b"\n" for piece in pieces if len(piece) > 1)
    elif kind == "rss":
        pieces = [b"<rss><channel>", *(b"<item><link>https://a.example/%d</link><title>%s</title></item>" % (i, b"x" * 300)
                                       for i in range(n)), b"</channel></rss>"]
    elif kind == "gzip":
        pieces = [zipped(b"".join(pieces), 1)]
    used, said = peak_mib([program("newsmill"), "load", "-c", str(config.config), "--dry-run", "-"], pieces)
    assert f"read {n} events" in said
    if build_folder().name == "build":  # sanitizers keep freed memory
        assert used < 32, f"{used} MiB"


def test_progress_is_said_at_least_every_two_seconds(config, tmp_path):
    """A regular file: percent and time left; and a pipe that goes on: the count alone."""
    file = tmp_path / "events.json"
    file.write_text(json.dumps([{"url": f"https://a.example/{i}"} for i in range(140)]))
    began = time.monotonic()
    done = tool("load", "-c", config.config, "--dry-run", "--rate", "20", file, check=True)
    passed = time.monotonic() - began
    lines = [line for line in done.stderr.splitlines() if line.startswith("loading: ")]
    assert len(lines) >= int(passed / 2) - 1 >= 2, done.stderr
    assert all(re.fullmatch(r"loading: \d+ events into \S+, \d+/s, \d+ %(, \d+ s left)?, 0 failed", line) for line in lines)
    done = tool("load", "-c", config.config, "--dry-run", "--rate", "20", "-", stdin=file.read_text(), check=True)
    assert "loading: " in done.stderr and "%" not in done.stderr


def test_progress_is_redrawn_in_place_on_a_terminal(config, tmp_path):
    file = tmp_path / "events.json"
    file.write_text(json.dumps([{"url": f"https://a.example/{i}"} for i in range(60)]))
    ours, theirs = pty.openpty()
    process = subprocess.Popen([program("newsmill"), "load", "-c", str(config.config), "--dry-run", "--rate", "20", str(file)],
                               env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    text = b""
    try:
        while piece := os.read(ours, 4096):
            text += piece
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait(timeout=20) == 0
    assert text.count(b"\r\x1b[Kloading: ") >= 3 and text.count(b"\n") == 2, text  # the note on the format, the summary


def test_a_signal_ends_it_in_every_format(config):
    for format_, text in (("json", "[1, 2,"), ("rss", RSS[:600]), ("front-matter", "---\ntitle: x\n")):
        process = subprocess.Popen([program("newsmill"), "load", "-c", str(config.config), "--dry-run", "--format", format_, "-"],
                                   env=environment(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        process.stdin.write(text)
        process.stdin.flush()
        until(lambda process=process: sleeps(process.pid), 20, "load waits for more")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
        assert process.returncode == 1 and "stopped by a signal" in said and "nothing more" not in said, said


def sleeps(pid):
    """It has installed its signal handlers and waits in poll()."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        text = status.read()
    caught = int(re.search(r"SigCgt:\s+([0-9a-f]+)", text)[1], 16)
    return caught >> (signal.SIGINT - 1) & 1 and "State:\tS" in text
