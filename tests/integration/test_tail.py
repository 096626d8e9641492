"""`newsmill tail` that follows a stream: rows as they come, brokers that go away, and how it ends."""

import json
import signal
import subprocess
import threading
import time

import pytest

from support.articles import ident, put
from support.waiting import until
from support.workers import environment, program

COLUMNS = {"COLUMNS": "200"}


class Follower:
    """newsmill tail as a process; `lines` and `said` grow while it runs."""

    def __init__(self, ns, *args):
        self.process = subprocess.Popen([program("newsmill"), "tail", "-c", str(ns.config), *args], text=True,
                                        env=environment(COLUMNS), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.lines, self.said = [], []
        self.threads = [threading.Thread(target=self._collect, args=pair, daemon=True)
                        for pair in ((self.process.stdout, self.lines), (self.process.stderr, self.said))]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def _collect(stream, into):
        for line in stream:
            into.append(line.rstrip("\n"))
        stream.close()

    def wait(self, n, timeout_s=20):
        until(lambda: len(self.lines) >= n, timeout_s, lambda: f"{n} lines: {self.lines}\n{self.said}")
        return self.lines

    def wait_said(self, text, timeout_s=20):
        until(lambda: any(text in line for line in self.said), timeout_s, lambda: f"'{text}' is said: {self.said}")

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        code = self.process.wait(timeout=20)
        for thread in self.threads:
            thread.join(20)
        return code


@pytest.fixture
def follow(ns):
    started = []

    def start(*args):
        started.append(Follower(ns, *args))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()


def record(number, revision, **members):
    return {"id": ident(number), "revision": revision, "title": f"Record {number}", "heat": 50, "quality": 60,
            "published": True, **members}


def put_record(ns, number, revision, title="", gone=False):
    value = None if gone else json.dumps(record(number, revision, title=title))
    put(ns, "records", [(ident(number), value, None, [("nm-revision", str(revision))])])


def utc(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def test_rows_say_what_they_are_to_the_one_before(ns, follow):
    tail = follow()
    assert tail.wait(1)[0].split()[-2:] == ["time", "change"]
    steps = [(1, 1000, "first", False, None), (2, 1000, "other", False, None), (1, 1005, "newer", False, "update"),
             (1, 1005, "newer", False, "again"), (1, 1003, "late", False, "older"), (1, 1006, "", True, "retracted"),
             (1, 1006, "", True, "again"), (1, 1007, "back", False, "update"), (3, 1000, "", True, "retracted")]
    for n, (number, revision, title, gone, change) in enumerate(steps, 2):
        put_record(ns, number, revision, title, gone)
        row = tail.wait(n)[-1]
        assert (title or f"(retracted) {ident(number)}") in row, row
        assert row.split()[-1] == (change or title), row
    assert tail.end() == 0 and tail.said == []


def test_from_a_time_and_on(ns, follow):
    begin = int(time.time()) - 3600
    ns.produce("raw", [(f"k{i}", str(i), (begin + i) * 1000) for i in range(10)])
    tail = follow("--stream", "raw", "--format", "json", "--from", utc(begin + 7))
    got = sorted(json.loads(line)["value"] for line in tail.wait(3))
    assert got == [7, 8, 9]
    ns.produce("raw", [("k", "99")])
    assert json.loads(tail.wait(4)[-1])["value"] == 99
    assert tail.end(signal.SIGTERM) == 0 and tail.said == []


def test_front_matter_as_it_comes(ns, follow):
    tail = follow("--format", "front-matter", "--from", "beginning")
    put_record(ns, 1, 1000, "First")
    assert tail.wait(7)[:2] == ["---", "title: \"First\""]
    put_record(ns, 1, 1001, gone=True)
    put_record(ns, 1, 1002, "Second")
    assert tail.wait(14)[8] == "title: \"Second\""
    assert tail.end() == 0 and len(tail.lines) == 14


def test_head_ends_it_quietly(ns):
    ns.produce("raw", [("k", '{"n": %d}' % n) for n in range(2000)])
    done = subprocess.run(f"{program('newsmill')} tail -c {ns.config} --stream raw --format json --from beginning | head -n 3;"
                          " echo ${PIPESTATUS[0]}", shell=True, executable="/bin/bash", env=environment(), text=True,
                          capture_output=True, timeout=60, check=False)
    lines = done.stdout.splitlines()
    assert len(lines) == 4 and lines[3] == "0" and done.stderr == ""


def test_it_outlives_a_restart_of_the_broker(ns, kafka, follow):
    tail = follow("--stream", "raw", "--format", "json", "--from", "beginning")
    ns.produce("raw", [("k", "1")])
    tail.wait(1)
    kafka.kill()
    tail.wait_said("Kafka does not answer; waiting for it")
    kafka.start()
    tail.wait_said("Kafka answers again", timeout_s=60)
    ns.produce("raw", [("k", "2"), ("k", "3")])
    assert [json.loads(line)["value"] for line in tail.wait(3, timeout_s=60)] == [1, 2, 3]
    assert tail.end() == 0
    assert len(tail.lines) == 3 and len(tail.said) == 2, tail.said


def test_it_can_be_ended_while_the_broker_is_away(ns, kafka, follow):
    tail = follow("--stream", "raw")
    tail.wait(1)
    kafka.kill()
    tail.wait_said("Kafka does not answer")
    assert tail.end() == 0
    kafka.start()


def test_a_deleted_stream_ends_it(ns, follow):
    tail = follow("--stream", "signals", "--from", "beginning", "--format", "json")
    ns.produce("signals", [("k", "1")])
    tail.wait(1)
    admin = ns.kafka.admin()  # its requests die with it
    admin.delete_topics([ns.topic["signals"]])[ns.topic["signals"]].result(20)
    until(lambda: tail.process.poll() is not None, 60, lambda: f"tail ends: {tail.said}")
    assert tail.process.returncode == 2 and ns.topic["signals"] in tail.said[-1], tail.said
