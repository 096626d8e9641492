"""Reads what the pipeline left and compares it with what must be there (model.py) and with a run without faults.

Every article id of `records`: the message last by offset AND the one with the greatest nm-revision must both be right.
A reader that keeps the newest revision sees the second, a compacted topic keeps the first. The same again after
compaction. `normalized`: the greatest revision of each id. `dead`: each bad event at least once, nothing else.
Positions: committed offset and wm of each partition are the end of the stream.
"""

import collections
import dataclasses
import json
import re
import zlib

from confluent_kafka import Producer
from support import schemas
from support.waiting import until
from support.workers import INPUTS

from . import facets, model

SOURCE_TIME = re.compile(rb'"sourceTime": ?\d+')
WM = re.compile(r"(\d+) (\d+) (-|-?\d+) (-|-?\d+) (-|[0-9a-f]{8})( \d+( \d+ (-|\d+) [0-9a-f]{8})?)?")
DUMMY = b"chaos-dummy-"
# A message costs 0.1 ms to check against its schema: the first so many of each stream, then one of so many.
SCHEMA_ALL, SCHEMA_SHARE = 1000, 10


@dataclasses.dataclass
class Findings:
    """lost: what must be there and is not; wrong: what is there and must not be, or is not what it must be."""
    lost: list = dataclasses.field(default_factory=list)
    wrong: list = dataclasses.field(default_factory=list)
    records_read: int = 0
    duplicates: int = 0  # records with a revision that was there before: allowed
    after_compaction: int = 0
    dead_read: int = 0
    touches: int = 0
    newest: dict = dataclasses.field(default_factory=dict)  # id -> (revision, value, place) of its newest record

    @property
    def good(self):
        return not self.lost and not self.wrong

    def show(self, n=8):
        lines = [f"lost: {text}" for text in self.lost[:n]] + [f"wrong: {text}" for text in self.wrong[:n]]
        return "\n".join(lines) or "nothing lost, nothing wrong"


class View:
    """One stream keyed by article id: for each id the last message and the one with the greatest revision."""

    def __init__(self, space, stream, findings, label, shapes=True):
        """shapes: whether messages are held against their schema, too."""
        self.last, self.best, self.partition = {}, {}, {}
        self.n, self.duplicates = 0, 0
        self._seen = {}
        self._wrong = lambda text: findings.wrong.append(f"{label}: {text}")
        for message in space.read_batches(stream, raw=True, check=False):
            if shapes:
                check_shape(space, stream, message, self.n, self._wrong)
            self._add(message)

    def _add(self, message):
        key = message.key() or b""
        if key.startswith(DUMMY):
            return
        name, value = key.decode("ascii", "replace"), message.value()
        self.n += 1
        revision = revision_of(message)
        if revision is None:
            self._wrong(f"{name} at {message.partition()}/{message.offset()}: no header nm-revision")
            return
        place = (message.partition(), message.offset())
        if self.partition.setdefault(name, place[0]) != place[0]:
            self._wrong(f"{name} is on partitions {self.partition[name]} and {place[0]}")
        # A re-crawl raises the source time of the version that is there, and nothing else.
        crc = None if value is None else zlib.crc32(SOURCE_TIME.sub(b"", value))
        known = self._seen.setdefault((name, revision), (crc, place))
        if known[1] != place:
            self.duplicates += 1
            if known[0] != crc:
                self._wrong(f"{name} revision {revision}: two different values, at {known[1]} and {place}")
        self.last[name] = (revision, value, place)  # each partition comes in order
        if name not in self.best or revision >= self.best[name][0]:
            self.best[name] = (revision, value, place)


def check_shape(space, stream, message, n, wrong):
    """Whether the n-th message of the stream is as its schema says; not of each, once there were many."""
    if n < SCHEMA_ALL or n % SCHEMA_SHARE == 0:
        for problem in schemas.message_problems(space, stream, message):
            wrong(f"{stream} at {message.partition()}/{message.offset()}: {problem}")


def revision_of(message):
    for name, value in message.headers() or ():
        if name == "nm-revision":
            return int(value)
    return None


def same_but_revision(value):
    """A record as a value to compare: all members but `revision`."""
    record = json.loads(value)
    record.pop("revision", None)
    return record


def check_records(space, expected, reference, findings, label, shapes=True):
    """reference: {id: record without revision, None for a tombstone} of a run without faults, or None."""
    view = View(space, "records", findings, label, shapes)
    for name, want in expected.records.items():
        for which, kept in (("last", view.last), ("newest", view.best)):
            where = f"{label}: {which} record of {name}"
            if name not in kept:
                if want is not None:
                    findings.lost.append(f"{where}: there is none")
                    break
                continue  # never published, or its tombstone was compacted away
            revision, value, place = kept[name]
            _check_value(findings, f"{where} (revision {revision}, at {place[0]}/{place[1]})", name, revision, value,
                         want, reference)
    for name in view.last.keys() - expected.records.keys():
        findings.wrong.append(f"{label}: {name} is there, and no event names it")
    return view


def _check_value(findings, where, name, revision, value, want, reference):
    if want is None or value is None:
        if (want is None) != (value is None):
            kind = "a tombstone" if value is None else "a record"
            # A version that is missing behind a tombstone is lost; a record that should be gone is a lost retraction.
            findings.lost.append(f"{where}: is {kind}, must be {'a tombstone' if want is None else 'a record'}")
        return
    record = json.loads(value)
    problems = model.differences(want, record)
    if record.get("id") != name or record.get("revision") != revision:
        problems.append(f"id {record.get('id')} revision {record.get('revision')} inside")
    if not problems and reference is not None:
        record.pop("revision", None)
        if reference.get(name) != record:
            problems.append(f"differs from the run without faults: {json.dumps(reference.get(name))[:300]}")
    if problems:
        findings.wrong.append(f"{where}: {'; '.join(problems)[:600]}")


def check_normalized(space, expected, findings):
    view = View(space, "normalized", findings, "normalized")
    for name, want in expected.records.items():
        if name not in view.best:
            findings.lost.append(f"normalized: {name} is not there")
            continue
        revision, value, place = view.best[name]
        article = json.loads(value)
        where = f"normalized: newest of {name} (revision {revision}, at {place[0]}/{place[1]})"
        if article.get("id") != name or article.get("revision") != revision:
            findings.wrong.append(f"{where}: id {article.get('id')} revision {article.get('revision')} inside")
        title = None if article.get("retracted") else article.get("title")
        if title != (want and want["title"]):
            findings.wrong.append(f"{where}: {title!r}, not {want and want['title']!r}")
    for name in view.last.keys() - expected.records.keys():
        findings.wrong.append(f"normalized: {name} is there, and no event names it")


def check_facets(space, findings):
    """What publish wrote there, and what the test did, has its shape."""
    for n, message in enumerate(space.read_batches("facets", raw=True, check=False)):
        findings.touches += message.value() is not None and facets.is_touch(message.value())
        check_shape(space, "facets", message, n, findings.wrong.append)


def check_dead(space, expected, findings):
    found = collections.Counter()
    for message in space.read("dead", check=False):
        findings.dead_read += 1
        headers = {name: value.decode("utf-8", "replace") for name, value in message.headers.items()}
        source = (int(headers.get("nm-partition", -1)), int(headers.get("nm-offset", -1)))
        where = f"dead letter {message.partition}/{message.offset} of {headers.get('nm-stream')} {source}"
        want = expected.dead.get(source)
        if want is None or headers.get("nm-stream") != space.topic["raw"]:
            findings.wrong.append(f"{where}: {headers.get('nm-code')}, of an event that is not bad")
            continue
        found[source] += 1
        if (headers.get("nm-code"), message.key, message.value) != want:
            findings.wrong.append(f"{where}: {headers.get('nm-code')} {message.key} {message.value!r:.80}, not {want!r:.160}")
        if headers.get("nm-worker") != "normalize":
            findings.wrong.append(f"{where}: headers {headers}")
        findings.wrong += [f"{where}: {problem}" for problem in schemas.message_problems(space, "dead", message)]
    for source in expected.dead.keys() - found.keys():
        findings.lost.append(f"dead letter of raw {source}: {expected.dead[source][0]}")


def check_positions(space, findings):
    for worker, stream in ((worker, stream) for worker, streams in INPUTS.items() for stream in streams):
        group = space.group(worker)
        ends, committed, marks = space.ends(stream), space.committed(group, stream), space.wm(group, stream)
        for partition, end in ends.items():
            where = f"{group} on {stream} {partition}"
            if end and committed[partition] != end:
                findings.wrong.append(f"{where}: committed {committed[partition]}, end {end}")
            words = " ".join(marks[partition] or [])
            if not words and not end:
                continue
            if not WM.fullmatch(words) or int(words.split()[0]) != end:
                findings.wrong.append(f"{where}: wm is '{words}', end {end}")


# ---- compaction

def compact(space, timeout_s=90):
    """Makes the broker compact `records`, and waits until no id is left twice below the last, still open segment.

    A message to each partition closes the segment before it, once that is old enough (segment.ms); the cleaner never
    touches the open one."""
    space.alter("records", segment_ms=500, min_cleanable_dirty_ratio=0.01, max_compaction_lag_ms=1000,
                delete_retention_ms=100)
    below = space.ends("records")
    producer = Producer({"bootstrap.servers": space.kafka.brokers, "acks": "all", "log_level": 0})
    state = {}

    def compacted():
        for partition in below:
            producer.produce(space.topic["records"], b"x", DUMMY + str(partition).encode(), partition=partition)
        producer.flush(10)
        count, ids = collections.Counter(), collections.defaultdict(set)
        for message in space.read_batches("records", raw=True, check=False):
            if message.offset() < below[message.partition()]:
                count[message.partition()] += 1
                ids[message.partition()].add(message.key())
        state.update(count)
        return all(count[partition] == len(ids[partition]) for partition in below)

    until(compacted, timeout_s, lambda: f"{space.topic['records']} is compacted: {state} of {below}", every_s=0.6)


def check(space, expected, reference=None, compaction=True):
    """Everything, of a pipeline that has come to rest."""
    findings = Findings()
    view = check_records(space, expected, reference, findings, "records")
    findings.records_read, findings.duplicates, findings.newest = view.n, view.duplicates, view.best
    check_normalized(space, expected, findings)
    check_facets(space, findings)
    check_dead(space, expected, findings)
    check_positions(space, findings)
    if compaction:
        compact(space)
        findings.after_compaction = check_records(space, expected, reference, findings, "compacted records",
                                                  shapes=False).n
    return findings
