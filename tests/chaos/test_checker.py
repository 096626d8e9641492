"""The checker is checked: a perfect outcome, written by this test, must pass, and each way to break it must be seen."""

import copy
import itertools
import json

import pytest
from chaos import checker, events, model
from confluent_kafka import TopicPartition
from support import schemas
from support.articles import article

SEED, N_EVENTS = 5, 300


class Outcome:
    """What a perfect pipeline would leave, as messages that a test can change before they are written."""

    def __init__(self, space):
        self.space = space
        space.create_topics()
        raw = itertools.islice(events.generate(SEED, N_EVENTS // 3, bad_share=0.05), N_EVENTS)
        space.produce("raw", [(e.key, e.value, e.timestamp_ms, e.headers) for e in raw])
        self.expected = model.expect(space.read("raw"))
        self.records, self.normalized, self.dead = [], [], []
        for revision, (name, want) in enumerate(self.expected.records.items(), 1000):
            self.records.append([name, self.record(name, want, revision), revision])
            gone = {"id": name, "revision": revision, "sourceTime": 1, "retracted": True}
            self.normalized.append([name, article(0, revision, id=name, title=want["title"]) if want else gone, revision])
        for (partition, offset), (code, key, value) in self.expected.dead.items():
            self.dead.append([key, value, {"nm-schema": "dead/1", "nm-ns": space.name, "nm-code": code, "nm-message": "x",
                                           "nm-worker": "normalize", "nm-version": "0.1.0",
                                           "nm-stream": space.topic["raw"], "nm-partition": str(partition),
                                           "nm-offset": str(offset), "nm-timestamp": "1", "nm-attempts": "1"}])
        self.short = {}  # (worker, partition): how much its commit is behind
        self.wm_short = {}

    @staticmethod
    def record(name, want, revision):
        if want is None:
            return None
        record = {**copy.deepcopy(want), "id": name, "revision": revision, "topics": ["Ferries"],
                  "provider": {"name": want["provider"].get("name", "x"), "domain": want["provider"]["domain"]},
                  "images": [{"url": url, "isCached": False} for url, *_ in want["images"]]}
        return schemas.ordered("record/1", {name: value for name, value in record.items() if value not in (None, [])})

    def live(self):
        """The first message of `records` that is no tombstone, and the article's id."""
        return next(entry for entry in self.records if entry[1] is not None)

    def gone(self):
        return next(entry for entry in self.records if entry[1] is None)

    def write(self):
        for stream, schema in (("records", "record/1"), ("normalized", "article/1")):
            self.space.produce(stream, [
                (name, None if value is None else json.dumps(value), None,
                 [("nm-schema", schema), ("nm-ns", self.space.name), ("nm-revision", str(revision))])
                for name, value, revision in getattr(self, stream)])
        self.space.produce("dead", [(key, value, None, list(headers.items())) for key, value, headers in self.dead])
        for worker, stream in (("normalize", "raw"), ("publish", "normalized")):
            self._position(worker, stream)

    def _position(self, worker, stream):
        space, group = self.space, self.space.group(worker)
        consumer = space.consumer(group=group)
        ends = space.ends(stream, consumer)
        consumer.commit(offsets=[TopicPartition(space.topic[stream], p, end - self.short.get((worker, p), 0))
                                 for p, end in ends.items()], asynchronous=False)
        consumer.close()
        with space.redis.client() as client:
            for p, end in ends.items():
                client.set(f"{space.name}:wm:{group}:{space.topic[stream]}:{p}",
                           f"{end - self.wm_short.get((worker, p), 0)} 1 - 2 0badcafe")


def record_missing(out):
    out.records.remove(out.live())


def article_missing(out):
    del out.normalized[3]


def newest_is_old_content(out):
    name, value, revision = out.live()
    out.records.append([name, {**value, "title": "an older title", "revision": revision + 1}, revision + 1])


def old_content_comes_last(out):
    name, value, revision = out.live()
    out.records.append([name, {**value, "title": "an older title", "revision": revision - 500}, revision - 500])


def same_revision_other_bytes(out):
    name, value, revision = out.live()
    out.records.insert(0, [name, {**value, "heat": value["heat"] + 1}, revision])


def tombstone_missing(out):
    entry = out.gone()
    entry[1] = {"id": entry[0], "revision": entry[2], "title": "retracted, and still there"}


def tombstone_of_a_living_article(out):
    out.live()[1] = None


def unknown_article(out):
    out.records.append(["0" * 32, {"id": "0" * 32, "revision": 7}, 7])


def revision_inside_differs(out):
    out.live()[1]["revision"] += 1


def dead_letter_missing(out):
    out.dead.pop()


def dead_letter_of_a_good_event(out):
    letter = copy.deepcopy(out.dead[0])
    bad = set(out.expected.dead)
    letter[2]["nm-offset"] = str(next(n for n in range(N_EVENTS) if (int(letter[2]["nm-partition"]), n) not in bad))
    out.dead.append(letter)


def dead_letter_with_wrong_code(out):
    out.dead[0][2]["nm-code"] = "too_big"


def member_out_of_order(out):
    entry = out.live()
    entry[1] = dict(sorted(entry[1].items()))


def member_that_no_schema_has(out):
    out.normalized[-1][1]["note"] = "x"


def header_missing_in_dead_letter(out):
    del out.dead[0][2]["nm-attempts"]


def commit_is_short(out):
    out.short["normalize", 1] = 1


def wm_is_short(out):
    out.wm_short["publish", 2] = 1


LOSSES = (record_missing, article_missing, tombstone_missing, tombstone_of_a_living_article, dead_letter_missing)
WRONGS = (newest_is_old_content, old_content_comes_last, same_revision_other_bytes, unknown_article,
          revision_inside_differs, dead_letter_of_a_good_event, dead_letter_with_wrong_code, commit_is_short, wm_is_short,
          member_out_of_order, member_that_no_schema_has, header_missing_in_dead_letter)


def test_a_perfect_outcome_passes(new_namespace):
    out = Outcome(new_namespace())
    out.write()
    findings = checker.check(out.space, out.expected)
    assert findings.good, findings.show()
    assert findings.records_read == len(out.records) and findings.dead_read == len(out.dead) > 3


@pytest.mark.parametrize("change", LOSSES + WRONGS, ids=lambda change: change.__name__)
def test_a_broken_outcome_is_seen(new_namespace, change):
    out = Outcome(new_namespace())
    change(out)
    out.write()
    findings = checker.check(out.space, out.expected, compaction=False)
    assert findings.lost if change in LOSSES else findings.wrong, findings.show()


def test_old_content_that_comes_last_is_all_that_compaction_leaves(new_namespace):
    """Why both are checked: a reader of revisions would never notice this, a reader of the compacted topic would."""
    out = Outcome(new_namespace())
    old_content_comes_last(out)
    out.write()
    findings = checker.check(out.space, out.expected)
    name = out.live()[0]
    assert any(text.startswith(f"compacted records: newest record of {name}") for text in findings.wrong), findings.show()


def test_a_duplicate_is_counted_and_allowed(new_namespace):
    out = Outcome(new_namespace())
    out.records.append(copy.deepcopy(out.live()))
    out.write()
    findings = checker.check(out.space, out.expected, compaction=False)
    assert findings.good and findings.duplicates == 1, findings.show()


def test_reference_differences_are_seen(new_namespace):
    out = Outcome(new_namespace())
    reference = {name: None if value is None else {k: v for k, v in value.items() if k != "revision"}
                 for name, value, _ in out.records}
    reference[out.live()[0]]["qualityParts"] = "something that the model does not know"
    out.write()
    findings = checker.check(out.space, out.expected, reference, compaction=False)
    assert {"differs" in text for text in findings.wrong} == {True} and not findings.lost, findings.show()
