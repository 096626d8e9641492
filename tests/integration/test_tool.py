"""The operator's tool against a real Kafka: what each command does, prints and returns.

Exit codes: 0 done, 1 fatal, 2 configuration or usage, 3 a wait or a check that did not succeed.
"""

import base64
import json
import signal
import subprocess
import time

import pytest
import yaml
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import ConfigResource

from support.namespace import STREAMS
from support.servers import free_port
from support.waiting import until
from support.workers import environment, program, tool

ID = "136ab291632faf53215323ed8744d7a4"  # of FERRY
FERRY = "https://www.harbour-gazette.example/2031/04/12/ferry-timetable"


def start(*args, **options):
    """The tool as a process that the test ends."""
    return subprocess.Popen([program("newsmill"), *map(str, args)], env=environment(), text=True,
                            stdin=options.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **options)


def ident(number):
    return f"{number:032x}"


def record(number, **members):
    return {"id": ident(number), "revision": 1933740145000000 + number, "title": f"Record {number}", "quality": 50,
            "heat": 50, "published": True, "publishedDateTime": "2031-04-12T05:30:00Z",
            "provider": {"name": "Harbour Gazette", "domain": "harbour-gazette.example"}, "topics": ["Ferries"],
            **members}


def put_records(ns, *records):
    """Each record is a dict, or (number, revision) of a tombstone."""
    messages = []
    for item in records:
        key, revision, value = ((ident(item[0]), item[1], None) if isinstance(item, tuple) else
                                (item["id"], item["revision"], json.dumps(item)))
        messages.append((key, value, None, [("nm-revision", str(revision)), ("nm-schema", "record/1")]))
    ns.produce("records", messages)


def tail(ns, *args, **options):
    done = tool("tail", "-c", ns.config, "--exit-at-end", *args, check=True, **options)
    return done.stdout


def lines(ns, *args):
    return [json.loads(line) for line in tail(ns, "--format", "json", *args).splitlines()]


@pytest.fixture
def ns(new_namespace):
    """A namespace whose partitions have leaders already: the plain readers of these tests do not ask twice."""
    space = new_namespace().create_topics()

    def led(stream):
        try:
            return space.watermarks(stream)
        except KafkaException:
            return False

    for stream in STREAMS:
        until(lambda stream=stream: led(stream), 20, f"the partitions of {stream} have leaders")
    return space


def utc(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


# ---- usage

@pytest.mark.parametrize("args, code, said", [
    ([], 2, "usage: newsmill"),
    (["--help"], 0, "usage: newsmill"),
    (["help", "wait"], 0, "example:"),
    (["wait", "--help"], 0, "example:"),
    (["--version"], 0, "newsmill "),
    (["tial"], 2, "did you mean 'tail'?"),
    (["help", "laod"], 2, "did you mean 'load'?"),
    (["streams", "aply", "-c", "x"], 2, "did you mean 'apply'?"),
    (["tail", "-c", "x", "--fromat", "json"], 2, "did you mean '--format'?"),
    (["tail", "-c", "x", "--stream", "recrods"], 2, "did you mean 'records'?"),
    (["tail", "-c", "x", "--top", "5"], 2, "--top needs"),
    (["tail", "-c", "x", "--stream", "raw", "--format", "front-matter"], 2, "needs --stream records"),
    (["tail", "-c", "x", "--from", "yesterday"], 2, "--from"),
    (["tail", "-c", "x", "--id", "ftp://a.example/"], 2, "--id"),
    (["wait", "-c", "x", "--timeout", "60"], 2, "not a duration"),
    (["load", "-c", "x"], 2, "FILE"),
    (["load", "-c", "x", "/nowhere/at/all"], 2, "cannot be opened"),
    (["dead", "show", "-c", "x"], 2, "PARTITION:OFFSET"),
    (["check"], 2, "-c FILE"),
    (["check", "-c", "/nowhere/at/all"], 2, "cannot be opened"),
    (["wait", "-c", "/nowhere/at/all"], 2, "/nowhere/at/all"),
])
def test_usage(args, code, said):
    done = tool(*args)
    assert done.returncode == code
    assert said in (done.stderr if code else done.stdout)


def test_unreachable_kafka_is_said_within_bounds(tmp_path):
    config = tmp_path / "newsmill.yaml"
    config.write_text(f"kafka: {{brokers: '127.0.0.1:{free_port()}'}}\n")
    for args in (["tail", "--exit-at-end"], ["wait", "--timeout", "1s"]):
        done = tool(args[0], *args[1:], "-c", config, timeout_s=25)
        assert done.returncode == 1, args
        assert "kafka.brokers: 127.0.0.1:" in done.stderr


def test_missing_streams_are_a_configuration_error(new_namespace):
    ns = new_namespace()
    for args in (["tail", "--exit-at-end"], ["wait"], ["dead", "ls"], ["load", "-"]):
        done = tool(args[0], *args[1:], "-c", ns.config, stdin="{}\n")
        assert done.returncode == 2, done.stderr
        assert "newsmill streams apply" in done.stderr


# ---- streams

def topic_settings(ns, stream):
    resource = ConfigResource(ConfigResource.Type.TOPIC, ns.topic[stream])
    admin = ns.kafka.admin()  # its requests die with it
    entries = admin.describe_configs([resource])[resource].result(20)
    return {name: entry.value for name, entry in entries.items()}


def test_streams_apply_creates_what_the_option_file_says(new_namespace):
    ns = new_namespace(partitions=3, options={"streams": {"dead": {"partitions": 1, "retentionMs": 86400000}}})
    missing = tool("streams", "ls", "-c", ns.config, "--json", check=True)
    assert {row["state"] for row in json.loads(missing.stdout)} == {"missing"}

    made = tool("streams", "apply", "-c", ns.config, "--json", check=True)
    rows = {row["stream"]: row for row in json.loads(made.stdout)}
    assert {row["state"] for row in rows.values()} == {"created"}
    assert [rows[stream]["partitions"] for stream in ("raw", "records", "dead")] == [3, 3, 1]
    topics = ns.kafka.admin().list_topics(timeout=10).topics
    assert len(topics[ns.topic["dead"]].partitions) == 1 and len(topics[ns.topic["records"]].partitions) == 3
    assert topic_settings(ns, "records")["cleanup.policy"] == "compact"
    assert topic_settings(ns, "dead")["retention.ms"] == "86400000"
    raw = topic_settings(ns, "raw")
    assert (raw["cleanup.policy"], raw["max.message.bytes"], raw["message.timestamp.type"]) == (
        "delete", "1114112", "CreateTime")

    again = tool("streams", "apply", "-c", ns.config, check=True)
    assert "created" not in again.stdout and again.stdout.count(" ok ") == 6


def test_streams_differences_are_shown_and_never_changed(new_namespace):
    ns = new_namespace(partitions=2).create_topics()
    other = ["--set", "streams.raw.partitions=5", "--set", "streams.signals.retentionMs=3600000"]
    done = tool("streams", "apply", "-c", ns.config, *other)
    assert done.returncode == 2
    assert f"raw ({ns.topic['raw']}): partitions is 2, the option file says 5" in done.stdout
    assert f"signals ({ns.topic['signals']}): retention.ms is -1, the option file says 3600000" in done.stdout
    assert len(ns.kafka.admin().list_topics(timeout=10).topics[ns.topic["raw"]].partitions) == 2
    assert tool("streams", "ls", "-c", ns.config, *other).returncode == 0


# ---- load

def test_load_sends_lines_as_they_are(ns, tmp_path):
    sent = [
        (b'{"url": "https://a.example/1",  "webUrl": "w", "n": 1.10}', b"https://a.example/1"),
        (b'{"webUrl": "w", "link": "l"}', b"w"),
        (b'{"url": 5, "link": "l", "id": "i"}', b"l"),
        (b'{"url": "", "id": "i"}', b"i"),
        (b'{"title": "no address"}', None),
        (b"not json \x1b[31m \xff", None),
        (b"[1, 2]", None),
    ]
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"\xef\xbb\xbf" + b"\r\n\n  \n".join(line for line, _ in sent))
    done = tool("load", "-c", ns.config, file, check=True)
    assert f"loaded 7 events into {ns.topic['raw']}" in done.stderr and "0 failed" in done.stderr
    got = ns.read("raw")
    assert sorted((m.value, m.key or b"") for m in got) == sorted((line, key or b"") for line, key in sent)
    assert all(m.headers == {} for m in got)
    assert all(m.key != b"" for m in got)


def test_load_names_a_line_that_is_too_long_and_loads_the_others(ns):
    long = '{"url": "https://a.example/long", "title": "%s"}' % ("x" * 1114112)
    done = tool("load", "-c", ns.config, "-", stdin="\n".join(['{"url": "a"}', "", long, '{"url": "b"}']))
    assert done.returncode == 1
    assert "-:3: error: not loaded" in done.stderr and "loaded 2 events" in done.stderr
    assert sorted(m.key for m in ns.read("raw")) == [b"a", b"b"]


def test_load_many_files_keeps_the_order_of_a_key(ns, tmp_path):
    files = [tmp_path / f"{i}.ndjson" for i in range(3)]
    for i, file in enumerate(files):
        file.write_text("".join(json.dumps({"url": f"u{k % 50}", "n": i * 10000 + k}) + "\n" for k in range(10000)))
    tool("load", "-c", ns.config, *files, check=True)
    numbers = {}
    for message in ns.read("raw"):
        numbers.setdefault(message.key, []).append(json.loads(message.value)["n"])
    assert sum(map(len, numbers.values())) == 30000
    assert all(values == sorted(values) for values in numbers.values())


def test_load_to_signals_and_at_a_rate(ns):
    done = tool("load", "-c", ns.config, "--stream", "signals", "--rate", "20", "-",
                stdin='{"id": "%s", "kind": "click"}\n' % ID * 11, check=True)
    rate = int(done.stderr.split("/s")[0].split()[-1])
    assert rate <= 22, done.stderr  # the eleventh is due after half a second
    assert [m.key.decode() for m in ns.read("signals")] == [ID] * 11


def test_load_stops_at_a_signal_and_says_how_many(ns):
    process = start("load", "-c", ns.config, "-", stdin=subprocess.PIPE)
    process.stdin.write('{"url": "a"}\n{"url": "b"}\n')
    process.stdin.flush()
    until(lambda: sum(ns.ends("raw").values()) == 2, 20, "two events are on the raw stream")
    process.send_signal(signal.SIGINT)  # the pipe stays open
    _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "loaded 2 events" in said and "stopped by a signal" in said


# ---- wait

def write_wm(ns, group, stream):
    with ns.redis.client() as client:
        for p, end in ns.ends(stream).items():
            client.set(f"{ns.name}:wm:{group}:{ns.topic[stream]}:{p}", f"{end} 1933740145000000 - - -")


def finish(ns, group, stream):
    """What a worker leaves behind that has worked off the stream: wm, then the commit."""
    write_wm(ns, group, stream)
    consumer = ns.consumer(group=group)
    consumer.commit(offsets=[TopicPartition(ns.topic[stream], p, end) for p, end in ns.ends(stream).items()],
                    asynchronous=False)
    consumer.close()


def test_wait_is_done_when_nothing_is_left(ns):
    assert tool("wait", "-c", ns.config, "--timeout", "10s").returncode == 0


def test_wait_names_group_stream_partitions_and_lag(ns):
    ns.produce("raw", [("a", "{}"), ("a", "{}")])
    (partition,) = [p for p, end in ns.ends("raw").items() if end]
    done = tool("wait", "-c", ns.config, "--timeout", "600ms")
    assert done.returncode == 3
    wanted = f"group {ns.name}.normalize, stream raw ({ns.topic['raw']}), partitions {partition}: lag 2"
    assert f"waiting for {wanted}" in done.stderr
    assert wanted in done.stderr.split("left:")[1]


def test_wait_ends_when_every_group_has_committed(ns):
    ns.produce("raw", [(f"k{i}", "{}") for i in range(20)])
    ns.produce("normalized", [(ident(i), "{}") for i in range(20)])
    process = start("wait", "-c", ns.config, "--timeout", "60s")
    finish(ns, ns.group("normalize"), "raw")
    until(lambda: process.poll() is None and process.stderr.readline().startswith("waiting for group"), 20,
          "wait says what it waits for")
    finish(ns, ns.group("publish"), "normalized")
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "every worker has caught up" in said


def test_wait_honours_a_group_named_in_the_option_file(ns):
    ns.produce("raw", [("a", "{}")])
    finish(ns, "bench", "raw")
    assert tool("wait", "-c", ns.config, "--set", "kafka.consumer.group.id=bench", "--timeout", "10s").returncode == 0


def test_wait_waits_for_what_redis_lost(ns):
    ns.produce("raw", [("a", "{}"), ("a", "{}")])
    finish(ns, ns.group("normalize"), "raw")
    (partition,) = [p for p, end in ns.ends("raw").items() if end]
    with ns.redis.client() as client:
        client.set(f"{ns.name}:wm:{ns.group('normalize')}:{ns.topic['raw']}:{partition}", "1 1933740145000000 - - -")
    done = tool("wait", "-c", ns.config, "--timeout", "600ms")
    assert done.returncode == 3 and f"partitions {partition}: lag 1" in done.stderr


# ---- tail

def test_tail_json_has_every_message_exactly(ns):
    now_ms = int(time.time() * 1000)
    ns.produce("raw", [
        ("k", '{"n": 1.10, "big": 123456789012345678901234567890, "t": "a\\u001b[31m\u009b"}', now_ms,
         [("h", b"v1"), ("h", b"v2"), ("bad", b"\xff"), ("none", None)]),
        (None, b"\xff\x00 no json"), (b"\xff\xfe", "5"), ("gone", None), ("empty", ""),
    ])
    text = tail(ns, "--stream", "raw", "--format", "json")
    assert "\x1b" not in text and "\u009b" not in text and '"n":1.10' in text
    assert '"big":123456789012345678901234567890' in text
    got = {(row.get("key"), row.get("keyBase64")): row for row in map(json.loads, text.splitlines())}
    assert len(got) == 5
    first = got[("k", None)]
    assert first["timestamp"] == now_ms and first["value"]["t"] == "a\x1b[31m\u009b"
    assert first["headers"] == {"h": "v2", "bad": "\ufffd", "none": None}
    assert list(first) == ["partition", "offset", "timestamp", "key", "headers", "value"]
    assert base64.b64decode(got[(None, None)]["valueBase64"]) == b"\xff\x00 no json"
    assert got[(None, base64.b64encode(b"\xff\xfe").decode())]["value"] == 5
    assert got[("gone", None)]["value"] is None
    assert got[("empty", None)]["valueBase64"] == ""


def test_tail_shows_the_newest_revision_hottest_first(ns):
    put_records(ns, record(1, heat=10), record(2, heat=99), record(3, heat=50), record(4, heat=70),
                record(5, heat=50, publishedDateTime="2031-04-13T05:30:00Z"),
                record(2, heat=5, revision=1933740146000000, title="Second, again"),
                record(2, heat=98),  # an older one, sent again
                (4, 1933740146000000))
    rows = tail(ns).splitlines()
    assert rows[0].split() == ["heat", "quality", "published", "title", "provider", "topics", "time"]
    assert [row.split()[0] for row in rows[1:]] == ["50", "50", "10", "5"]
    assert "Record 5" in rows[1] and "Record 3" in rows[2] and "Second, again" in rows[4]
    assert len(tail(ns, "--top", "2").splitlines()) == 3
    assert [row["key"] for row in lines(ns, "--top", "2")] == [ident(5), ident(3)]
    assert len(lines(ns)) == 8


def test_tail_table_is_clean_and_fits(ns):
    put_records(ns, record(1, title="\x1b[2J\u202e日本語の長い題 " + "word " * 60, provider={"name": "P\n\x07Q"},
                           topics=["Artificial Intelligence", "Computer Vision", "Robotics"]))
    for columns in (60, 100, 200):
        text = tail(ns, env={"COLUMNS": str(columns)})
        assert not set(text) & {"\x1b", "\u202e", "\x07"}
        wide = [len(line) + sum("\u3000" < c < "\uff00" for c in line) for line in text.splitlines()]
        assert max(wide) <= max(columns, 85), text  # 85: the least widths together


FRONT_MATTER_KEYS = ["category", "title", "excerpt", "publishedDateTime", "originalUrl", "webUrl", "ampWebUrl",
                     "cdnAmpWebUrl", "type", "quality", "heat", "published", "provider", "topics", "images", "related",
                     "secured"]


def full_record(title):
    image = {"url": "https://cdn.harbour-gazette.example/ferry.jpg?a=1,2", "width": 1200, "height": 630,
             "isCached": True}
    related = {"title": title, "excerpt": "- " + title, "publishedDateTime": "2031-04-12T09:10:00Z",
               "webUrl": "https://ostmark-post.example/a#b", "type": "article",
               "provider": {"name": "no", "domain": "ostmark-post.example"}, "quality": 68, "images": [image]}
    return record(
        7, path="_news/x.md", category="news", type="article", locale="en", title=title, excerpt=f"# {title}",
        originalUrl=FERRY + "?utm_source=feed", webUrl=FERRY, ampWebUrl=FERRY + "/amp/",
        cdnAmpWebUrl="https://www-harbour--gazette-example.cdn.ampproject.org/c/s/www.harbour-gazette.example/amp/",
        provider={"name": "123", "domain": "harbour-gazette.example", "images": [{"url": "u", "width": 5, "height": 6}]},
        topics=["Ferries", "true", "C#: all", "2031-01-01"], secured="8s0+/==;AA==",
        images=[{**image, "cachedUrl": "https://c.example/1", "thumbnails": [
            {"url": "https://c.example/t", "width": 320, "height": 168}]},
            {"url": "https://cdn.harbour-gazette.example/no.jpg", "isCached": False}],
        story={"id": ident(1), "lead": ident(7), "size": 2}, related=[related, {**related, "images": None}])


@pytest.mark.parametrize("title", [
    "plain", 'a "quoted" \\ title', "colon: # hash", "- dash", "'single'", "*star &amp !bang %x @at `tick`", "true", "",
    "\U0001f6a2 ferry \U0001f469\u200d\U0001f52c", "control \x1b[31m \x07 \x7f \u009b \u202e \ufeff end", "{a: [b]}",
    "China\u2019s \u2018quote\u2019", "a\nb", " leading and trailing ",
])
def test_tail_front_matter_reads_back_equal(ns, title):
    sent = full_record(title)
    put_records(ns, sent)
    text = tail(ns, "--format", "front-matter")
    assert text.startswith("---\n") and text.endswith("\n---\n\n") and text.count("\n---\n") == 1
    got = yaml.load(text.split("---\n")[1], yaml.BaseLoader)  # BaseLoader: every scalar as it is written
    want = {key: sent[key] for key in FRONT_MATTER_KEYS if key in sent}
    del want["related"][1]["images"]
    assert list(got) == list(want)

    def as_written(value):
        if isinstance(value, dict):
            return {key: as_written(member) for key, member in value.items()}
        if isinstance(value, list):
            return [as_written(member) for member in value]
        return str(value).lower() if isinstance(value, bool) else str(value)

    assert got == as_written(want)
    typed = yaml.safe_load(text.split("---\n")[1])
    assert typed["title"] == title and typed["topics"] == want["topics"] and typed["heat"] == 50
    assert typed["published"] is True and typed["provider"]["name"] == "123"
    assert typed["publishedDateTime"].isoformat() == "2031-04-12T05:30:00+00:00"


def test_tail_by_id_or_url(ns):
    ns.produce("raw", [(FERRY + "?utm_source=feed", "1"), ("https://other.example/", "2"), (ID, "3"), (None, "4")])
    assert sorted(row["value"] for row in lines(ns, "--stream", "raw", "--id", ID)) == [1, 3]
    assert sorted(row["value"] for row in lines(ns, "--stream", "raw", "--id", FERRY + "#top")) == [1, 3]


def test_tail_from_a_time(ns):
    begin = int(time.time()) - 3600
    ns.produce("raw", [(f"k{i}", str(i), (begin + i) * 1000) for i in range(20)])
    got = sorted(row["value"] for row in lines(ns, "--stream", "raw", "--from", utc(begin + 15)))
    assert got == list(range(15, 20))
    assert lines(ns, "--stream", "raw", "--from", "2040-01-01") == []
    assert lines(ns, "--stream", "raw", "--from", "end") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_tail_live_shows_messages_as_they_come(ns, number):
    put_records(ns, record(1, title="Before"))
    process = start("tail", "-c", ns.config)
    assert process.stdout.readline().split()[:2] == ["heat", "quality"]
    seen = []

    def comes():
        put_records(ns, record(2, title="Comes later"))
        return True

    assert comes()
    seen.append(process.stdout.readline())
    assert "Comes later" in seen[0]
    process.send_signal(number)
    rest, said = process.communicate(timeout=20)
    assert process.returncode == 0 and rest == "" and said == ""


def test_tail_ends_quietly_when_its_reader_goes(ns):
    ns.produce("raw", [("k", '{"text": "%s"}' % ("x" * 1000))] * 500)
    process = start("tail", "-c", ns.config, "--stream", "raw", "--format", "json", "--from", "beginning")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=20) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


def test_tail_ends_where_the_last_offset_is_no_message(ns):
    """The mark of a transaction takes an offset that no reader ever gets: the end is reached all the same."""
    producer = ns.producer(**{"transactional.id": f"{ns.name}-crawler"})
    producer.init_transactions(30)
    producer.begin_transaction()
    for i in range(20):
        producer.produce(ns.topic["raw"], str(i), f"k{i}")
    producer.commit_transaction(30)
    until(lambda: sum(ns.ends("raw").values()) > 20, 20, "the marks of the transaction are written")
    assert sorted(row["value"] for row in lines(ns, "--stream", "raw")) == list(range(20))


# ---- dead letters

def dead_headers(**more):
    values = {"nm-schema": "dead/1", "nm-code": "url_credentials", "nm-message": "\"url\" holds a user name; remove it",
              "nm-worker": "normalize", "nm-version": "1.0.0", "nm-stream": "articles.raw", "nm-partition": "3",
              "nm-offset": "18112", "nm-timestamp": "1933740131000", "nm-attempts": "1", **more}
    return list(values.items())


def test_dead_ls_shows_the_newest_last(ns):
    assert len(tool("dead", "ls", "-c", ns.config, check=True).stdout.splitlines()) == 1  # the header only
    now = int(time.time()) - 60
    ns.produce("dead", [(f"key{i}", "{}", (now + i) * 1000, dead_headers(**{"nm-code": f"code_{i}"}))
                        for i in range(9)])
    ns.produce("dead", [("evil\x00\x1b[2J", "x", (now + 50) * 1000, dead_headers(**{"nm-id": ID}))])
    text = tool("dead", "ls", "-c", ns.config, check=True, env={"COLUMNS": "200"}).stdout
    assert "\x1b" not in text and "\x00" not in text
    rows = text.splitlines()
    assert len(rows) == 21 and "code_0" in rows[1] and "code_8" in rows[17]  # a row and its message for each
    assert "articles.raw/3/18112" in rows[19] and ID in rows[19] and utc(now + 50) in rows[19]
    assert rows[20].strip() == dict(dead_headers())["nm-message"]
    short = tool("dead", "ls", "-c", ns.config, "--limit", "2", "--json", check=True).stdout.splitlines()
    last = [json.loads(line) for line in short]
    assert [row["code"] for row in last] == ["code_8", "url_credentials"]
    assert last[1]["sourcePartition"] == 3 and last[1]["sourceOffset"] == 18112 and last[1]["id"] == ID
    assert last[1]["key"] == "evil\x00\x1b[2J" and last[1]["timestamp"] == (now + 50) * 1000


def test_dead_ls_keeps_passwords_to_itself(ns):
    keys = ["https://feed:s3asonal@a.example/x@y", "https://a.example/x:y@z", "no://", "u:p@h", "a://b@"]
    ns.produce("dead", [(key, "x", None, dead_headers()) for key in keys])
    text = tool("dead", "ls", "-c", ns.config, "--json", check=True).stdout
    assert sorted(json.loads(line)["key"] for line in text.splitlines()) == sorted(
        ["https://***@a.example/x@y", "https://a.example/x:y@z", "no://", "u:p@h", "a://***@"])
    assert "s3asonal" not in text + tool("dead", "ls", "-c", ns.config, env={"COLUMNS": "300"}).stdout


def test_dead_show_gives_headers_and_exact_bytes(ns):
    value = b'{"url": "https://u:p@a.example/"}\n\x1b[31m\xff\\'
    ns.produce("dead", [("k\x1b", value, None, dead_headers())])
    (row,) = [json.loads(line) for line in tool("dead", "ls", "-c", ns.config, "--json").stdout.splitlines()]
    shown = tool("dead", "show", "-c", ns.config, row["position"], check=True).stdout
    assert "nm-code: url_credentials\n" in shown and "key: k\\x1b\n" in shown
    assert '{"url": "https://u:p@a.example/"}\\n\\x1b[31m\\xff\\\\\n' in shown
    raw = subprocess.run([program("newsmill"), "dead", "show", "-c", ns.config, row["position"], "--raw"],
                         capture_output=True, env=environment(), timeout=60, check=True)
    assert raw.stdout == value
    for position, code in (("0:99999", 2), ("99:0", 2), ("nonsense", 2)):
        assert tool("dead", "show", "-c", ns.config, position).returncode == code


# ---- check, options

def test_check_finds_problems_with_their_place(ns):
    good = tool("check", "-c", ns.config, check=True)
    assert good.stdout == f"{ns.config}: no problems\n"
    ns.config.write_text("namespace: news\nkafka:\n  brokerz: x\nlog: {level: loud}\n")
    done = tool("check", "-c", ns.config)
    assert done.returncode == 3
    assert f"{ns.config}:3:3: error: " in done.stdout and "brokers" in done.stdout
    assert f"{ns.config}:4:" in done.stdout
    assert "2 problems" in done.stderr


def test_check_opens_the_files_that_are_named(ns):
    ns.write_config(providers={"file": "nothing.yaml"})
    line = [n for n, text in enumerate(ns.config.read_text().splitlines(), 1) if "nothing.yaml" in text][0]
    done = tool("check", "-c", ns.config)
    assert done.returncode == 3
    assert f"{ns.config}:{line}: error: providers.file: " in done.stdout and "nothing.yaml" in done.stdout
    assert "1 problem in" in done.stderr


def test_check_knows_folders_which_a_worker_makes(ns, tmp_path):
    folder = ["check", "-c", ns.config, "--set"]
    tool(*folder, f"images.store.path={tmp_path}", check=True)
    tool(*folder, f"images.store.path={tmp_path}/none", check=True)
    done = tool(*folder, f"images.store.path={ns.config}")
    assert done.returncode == 3 and f"images.store.path: {ns.config} cannot be used: it is no folder" in done.stdout


def test_check_sees_what_belongs_together(ns):
    done = tool("check", "-c", ns.config, "--set", "streams.facets.partitions=9")
    assert done.returncode == 3 and "need the same number" in done.stdout
    done = tool("check", "-c", ns.config, "--set", "images.testAllow=127.0.0.1:18081")
    assert done.returncode == 3 and "set images.mode: test" in done.stdout


def test_options_lists_every_option_of_every_program():
    plain, markdown = tool("options", check=True).stdout, tool("options", "--markdown", check=True).stdout
    for name in ("kafka.brokers", "streams.raw.partitions", "topics.searchIn", "publish.minQuality"):
        assert name in plain and f"| `{name}` |" in markdown
