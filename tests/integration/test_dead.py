"""`newsmill dead stats`, and the filters of `ls`: which dead letters there are, counted and chosen."""

import json
import time

import pytest

from support.workers import tool


def headers(code, worker="normalize", stream="articles.raw"):
    return [("nm-schema", "dead/1"), ("nm-code", code), ("nm-message", "remove it"), ("nm-worker", worker),
            ("nm-version", "1.0.0"), ("nm-stream", stream), ("nm-partition", "3"), ("nm-offset", "18112"),
            ("nm-timestamp", "1933740131000"), ("nm-attempts", "1")]


def utc(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def dead(ns, *args):
    done = tool("dead", args[0], "-c", ns.config, *args[1:], check=True, env={"COLUMNS": "200"})
    return [json.loads(line) for line in done.stdout.splitlines()] if "--json" in args else done.stdout.splitlines()


@pytest.fixture
def letters(ns):
    """90 of a code an hour ago, one a second; 9 and 1 of others ten seconds ago. Returns the time of the first."""
    now = int(time.time())
    begin = now - 3600
    ns.produce("dead", [(f"k{i}", "x", (begin + i) * 1000, headers("url_scheme")) for i in range(90)])
    ns.produce("dead", [(f"k{i}", "x", (now - 10) * 1000, headers("no_title")) for i in range(9)])
    ns.produce("dead", [("k", "x", (now - 9) * 1000, headers("not_json", "publish", "articles.normalized"))])
    ns.begin, ns.now = begin, now
    return ns


def test_stats_count_by_kind(letters):
    ns = letters
    rows = dead(ns, "stats", "--json")
    assert rows == [
        {"code": "url_scheme", "worker": "normalize", "stream": "articles.raw", "first": utc(ns.begin),
         "last": utc(ns.begin + 89), "count": 90, "share": 0.9},
        {"code": "no_title", "worker": "normalize", "stream": "articles.raw", "first": utc(ns.now - 10),
         "last": utc(ns.now - 10), "count": 9, "share": 0.09},
        {"code": "not_json", "worker": "publish", "stream": "articles.normalized", "first": utc(ns.now - 9),
         "last": utc(ns.now - 9), "count": 1, "share": 0.01}]
    table = dead(ns, "stats")
    assert table[0].split() == ["count", "share", "code", "worker", "stream", "first", "last"]
    assert table[1].split() == ["90", "90.0", "%", "url_scheme", "normalize", "articles.raw", utc(ns.begin), utc(ns.begin + 89)]
    assert len(table) == 4


@pytest.mark.parametrize("args, counts", [
    (["--since", "60s"], {"no_title": 9, "not_json": 1}),
    (["--since", "TIME"], {"url_scheme": 10, "no_title": 9, "not_json": 1}),
    (["--code", "no_title"], {"no_title": 9}),
    (["--worker", "publish"], {"not_json": 1}),
    (["--worker", "publish", "--code", "no_title"], {}),
    (["--since", "2040-01-01"], {}),
])
def test_stats_of_some(letters, args, counts):
    args = [utc(letters.begin + 80) if arg == "TIME" else arg for arg in args]
    assert {row["code"]: row["count"] for row in dead(letters, "stats", "--json", *args)} == counts


def test_ls_filters_before_it_counts(letters):
    ns = letters
    newest = dead(ns, "ls", "--json", "--code", "url_scheme", "--limit", "3")
    assert [row["timestamp"] for row in newest] == [(ns.begin + n) * 1000 for n in (87, 88, 89)]
    assert [row["worker"] for row in dead(ns, "ls", "--json", "--worker", "publish")] == ["publish"]
    assert len(dead(ns, "ls", "--json", "--since", "60s")) == 10
    assert len(dead(ns, "ls", "--json", "--since", "60s", "--limit", "4")) == 4
    assert len(dead(ns, "ls", "--json", "--limit", "100")) == 100
    assert len(dead(ns, "ls", "--since", "60s", "--code", "not_json")) == 3  # header, row, reason


def test_text_of_headers_is_cleaned(ns):
    ns.produce("dead", [("k", "x", None, headers("a\x1b[31mb", "w\u202eo", "s\n" * 200)), ("none", "x")])
    for line in dead(ns, "stats"):
        assert line.isprintable(), line
    rows = dead(ns, "stats", "--json")
    assert {row["count"] for row in rows} == {1} and {"a\x1b[31mb", ""} == {row["code"] for row in rows}
    assert len(json.dumps(rows)) < 1500


@pytest.mark.parametrize("args, said", [
    (["stats", "0:1"], "takes no argument"),
    (["stat"], "did you mean 'stats'?"),
    (["stats", "--since", "yesterday"], "--since"),
    (["ls", "--code", ""], "--code"),
])
def test_usage(ns, args, said):
    done = tool("dead", args[0], "-c", ns.config, *args[1:])
    assert done.returncode == 2 and said in done.stderr
