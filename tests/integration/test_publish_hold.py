"""publish.expect and publish.waitMs: the first record of an article waits for its facets, not longer than it may, and
whoever owns the article then."""

import json

import pytest

from support.articles import (article, count, ident, log_lines, put_articles, read, retraction, stop, wait_count,
                              wait_ready)
from support.facets import facet, heat, put_facets, rest, settle_all, story
from support.waiting import until

LATE_MS = 6000  # what a busy machine may add to a due time; looks are 100 ms apart


@pytest.fixture
def one(new_namespace):
    return new_namespace(partitions=1, options={"publish": {"expect": ["related", "heat"]}}).create_topics()


def wait_ms(n):
    return ("--set", f"publish.waitMs={n}")


def records(ns):
    return [(int(r.key, 16), r.value and json.loads(r.value)) for r in read(ns, "records")]


def delays_ms(ns):
    """{number: time from its first article to its first record}"""
    came = {}
    for message in read(ns, "normalized"):
        came.setdefault(int(message.key, 16), message.timestamp_ms)
    sent = {}
    for record in read(ns, "records"):
        sent.setdefault(int(record.key, 16), record.timestamp_ms)
    return {number: sent[number] - came[number] for number in sent}


def state(ns, redis, number):
    with redis.client() as client:
        return client.hgetall(f"{ns.name}:record:{{{ident(number)}}}")


def test_first_record_waits_for_its_facets_so_that_a_member_is_never_a_lead(one, workers, redis):
    worker = workers.start("publish", one.config, *wait_ms(60000))
    put_articles(one, article(1, 1000), article(2, 1000), article(3, 1000))
    put_facets(one, facet(1, "related", 10, story(1, 2)), facet(2, "related", 10, story(1)), facet(3, "heat", 10, heat(5)))
    settle_all(one)
    put_articles(one, article(1, 1001, title="newer"))  # what comes meanwhile does not end the wait
    settle_all(one)
    assert count(one, "records") == 0 and b"hold" in state(one, redis, 1)
    put_facets(one, facet(2, "heat", 10, heat(50)))
    rest(one)
    ((number, record),) = records(one)
    assert number == 2 and record["heat"] == -1 and not record["published"] and record["story"]["lead"] == ident(1)
    put_facets(one, facet(1, "heat", 10, heat(126)), facet(3, "related", 10, None))
    rest(one)
    (_, *others) = records(one)
    assert [(n, r["heat"], r["title"]) for n, r in others] == [(1, 126, "newer"), (3, 5, "Article 3")]
    assert [m["title"] for m in others[0][1]["related"]] == ["Article 2"]
    put_articles(one, article(3, 1001, title="newer"))  # only the first record waits
    rest(one)
    assert records(one)[-1][1]["title"] == "newer"
    stop(worker)


def test_facets_that_were_there_before_the_article_are_not_waited_for(one, workers):
    worker = workers.start("publish", one.config, *wait_ms(60000))
    put_facets(one, facet(1, "related", 10, story(1)), facet(1, "heat", 10, heat(9)))
    settle_all(one)
    put_articles(one, article(1, 1000))
    rest(one)
    assert [(n, r["heat"]) for n, r in records(one)] == [(1, 9)]
    stop(worker)


def test_it_waits_no_longer_than_it_may(one, workers):
    worker = workers.start("publish", one.config, *wait_ms(1500))
    wait_ready(worker)
    put_articles(one, article(1, 1000), article(2, 1000))
    put_facets(one, facet(2, "heat", 10, heat(50)))
    wait_count(one, "records", 2, timeout_s=15)
    put_facets(one, facet(1, "heat", 10, heat(9)))
    rest(one)
    assert [(n, r["heat"]) for n, r in records(one)] in ([(1, 86), (2, 50), (1, 9)], [(2, 50), (1, 86), (1, 9)])
    assert all(1500 <= delay <= 1500 + LATE_MS for delay in delays_ms(one).values()), delays_ms(one)
    stop(worker)


def test_news_of_a_held_article_does_not_make_it_wait_anew(one, workers):
    worker = workers.start("publish", one.config, *wait_ms(2000))
    wait_ready(worker)
    revision = 1000

    def told_again():
        nonlocal revision
        revision += 1
        put_articles(one, article(1, revision, title=f"{revision}"))
        return count(one, "records")

    until(told_again, 2 + LATE_MS / 1000, "a record, although news keep coming", every_s=0.1)
    assert 2000 <= delays_ms(one)[1] <= 2000 + LATE_MS
    stop(worker)


def test_what_a_killed_worker_held_is_published_by_its_successor(one, workers, redis):
    numbers = range(1, 41)
    worker = workers.start("publish", one.config, *wait_ms(8000))
    put_articles(one, *[article(n, 1000) for n in numbers])
    settle_all(one)  # finished and committed: no event comes again
    assert count(one, "records") == 0
    assert worker.kill()
    successor = workers.start("publish", one.config, *wait_ms(8000))
    put_facets(one, *[facet(n, "related", 10, story(n)) for n in (1, 2)], *[facet(n, "heat", 10, heat(99)) for n in (1, 3)])
    wait_count(one, "records", len(numbers), timeout_s=40)
    rest(one)
    assert sorted((n, r["heat"]) for n, r in records(one)) == [(n, 99 if n in (1, 3) else 86) for n in numbers]
    assert min(delay for n, delay in delays_ms(one).items() if n != 1) >= 8000
    with redis.client() as client:
        assert client.zcard(f"{one.name}:due:publish:0") == 0
    assert not log_lines(successor, "state.lost")
    stop(successor)


def test_retraction_does_not_wait(one, workers, redis):
    worker = workers.start("publish", one.config, *wait_ms(60000))
    put_articles(one, article(1, 1000), article(3, 1000))
    settle_all(one)
    put_articles(one, retraction(1, 1001), retraction(2, 1000))
    rest(one)
    assert records(one) == [(1, None), (2, None)]
    assert b"hold" not in state(one, redis, 1) and b"hold" in state(one, redis, 3)
    put_articles(one, article(1, 1002, title="again"))  # it was there before: only a first record waits
    rest(one)
    assert [(n, r and r["title"]) for n, r in records(one)] == [(1, None), (2, None), (1, "again")]
    stop(worker)
