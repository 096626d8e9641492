"""What a worker refuses: exit code 2, one sentence that says what to do, and nothing consumed, sent or committed.

Also the command line, which ends with 2 for everything that is not understood, and secrets, which no line may show.
"""

import json

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewTopic

from support.articles import (article, count, log_lines, message, put, put_articles, put_many, refused, stop, titles,
                              wait_log)
from support.namespace import STREAMS, await_leaders
from support.servers import Redis, free_port
from support.waiting import until
from support.workers import run


@pytest.fixture
def one(new_namespace):
    return new_namespace(partitions=1).create_topics()


def worked(ns, workers, n=10):
    """A namespace whose publish has done n articles and stopped."""
    worker = workers.start("publish", ns.config)
    put_many(ns, range(n), 1000)
    ns.wait_done("publish", "normalized")
    stop(worker)


def wm_key(ns, partition=0):
    return f"{ns.name}:wm:{ns.group('publish')}:{ns.topic['normalized']}:{partition}"


# ---- positions

def test_watermark_gone_though_offsets_are_committed(one, workers, redis):
    worked(one, workers)
    with redis.client() as client:
        client.delete(wm_key(one))
    put_many(one, [50], 1000)
    text = refused(workers.start("publish", one.config), "watermark", one.topic["normalized"] + "/0", "state is gone")
    assert "\n" not in text
    assert count(one, "records") == 10
    assert one.committed(one.group("publish"), "normalized") == {0: 10}


def test_watermark_beyond_the_end_a_recreated_stream(one, workers):
    worked(one, workers)
    one.recreate("normalized")
    put_many(one, range(5), 2000)
    refused(workers.start("publish", one.config), "recreated", f"{one.topic['normalized']}/0")
    assert count(one, "records") == 10


def cut(ns, offset):
    """Retention: everything below the offset is gone."""
    part = TopicPartition(ns.topic["normalized"], 0, offset)
    admin = ns.kafka.admin()
    for future in admin.delete_records([part]).values():
        future.result(30)
    until(lambda: ns.watermarks("normalized")[0][0] == offset, 20, "the stream begins later")


def test_retention_overtook_the_position(one, workers):
    worked(one, workers)
    put_many(one, range(10, 30), 1000)
    cut(one, 20)
    refused(workers.start("publish", one.config), "retention", one.topic["normalized"] + "/0", "10", "20")
    assert count(one, "records") == 10


def test_retention_that_took_only_what_is_done(one, workers):
    worked(one, workers)
    put_many(one, range(10, 30), 1000)
    cut(one, 10)
    worker = workers.start("publish", one.config)
    one.wait_done("publish", "normalized")
    assert sorted(titles(one)) == list(range(30))
    stop(worker)


def test_watermark_that_newsmill_did_not_write(one, workers, redis):
    worked(one, workers)
    with redis.client() as client:
        client.set(wm_key(one), "hello")
    worker = workers.start("publish", one.config)
    assert worker.wait() == 1
    assert "hello" in worker.log_text()


# ---- messages of somebody else

def put_with_headers(ns, headers, item=None):
    key, value, timestamp, _ = message(ns, item or article(1, 1000))
    put(ns, "normalized", [(key, value, timestamp, headers)])


@pytest.mark.parametrize("headers, words", [
    ([("nm-ns", "other"), ("nm-schema", "article/1")], ["namespace 'other'"]),
    ([("nm-ns", "")], ["namespace"]),
    ([("nm-schema", "article/2")], ["article/2", "update newsmill"]),
    ([("nm-schema", "article/99999999999999999999")], ["article/9"]),
    ([("nm-schema", "record/1")], ["record/1"]),
    ([("nm-schema", "article/0")], ["article/0"]),
    ([("nm-schema", "article")], ["'article'"]),
])
def test_message_of_another_namespace_or_schema(one, workers, headers, words):
    put_articles(one, article(0, 1000))
    put_with_headers(one, headers)
    worker = workers.start("publish", one.config)
    refused(worker, one.topic["normalized"] + "/0", *words)
    refused(workers.start("publish", one.config), *words)
    assert one.committed(one.group("publish"), "normalized")[0] in (None, 0, 1)


def test_own_or_missing_headers_are_taken(one, workers):
    put_with_headers(one, [("nm-ns", one.name), ("nm-schema", "article/1"), ("nm-revision", "x")], article(0, 1000))
    put_with_headers(one, [], article(1, 1000))
    worker = workers.start("publish", one.config)
    one.wait_done("publish", "normalized")
    assert sorted(titles(one)) == [0, 1]
    stop(worker)


# ---- streams

@pytest.mark.parametrize("worker_name, missing", [("publish", "normalized"), ("publish", "records"),
                                                  ("publish", "facets"), ("publish", "dead"), ("normalize", "raw"),
                                                  ("normalize", "normalized")])
def test_missing_topic_names_the_remedy(new_namespace, workers, worker_name, missing):
    ns = new_namespace(partitions=1)
    ns.create_topics([stream for stream in STREAMS if stream != missing])
    refused(workers.start(worker_name, ns.config), ns.topic[missing], "newsmill streams apply")


def test_topics_with_unequal_partition_counts(new_namespace, workers):
    ns = new_namespace(partitions=2).create_topics(["raw", "normalized", "facets", "signals", "dead"])
    name = ns.topic["records"]
    admin = ns.kafka.admin()
    admin.create_topics([NewTopic(name, 3, 1)])[name].result(30)
    await_leaders(admin, [name], 3)
    refused(workers.start("publish", ns.config), "3", "2", name)


def test_unequal_partition_counts_in_the_file(new_namespace):
    ns = new_namespace()
    done = run("newsmill-publish", "-c", ns.config, "--set", "streams.facets.partitions=3", "--check")
    assert done.returncode == 2 and "streams.facets.partitions" in done.stderr


# ---- properties of librdkafka

@pytest.mark.parametrize("option, value", [
    ("kafka.consumer.enable.auto.commit", "true"),
    ("kafka.consumer.auto.offset.reset", "earliest"),
    ("kafka.consumer.partition.assignment.strategy", "cooperative-sticky"),
    ("kafka.consumer.group.instance.id", "a"),
    ("kafka.common.client.rack", "a"),
    ("kafka.common.bootstrap.servers", "h:1"),
    ("kafka.producer.acks", "1"),
    ("kafka.producer.enable.idempotence", "false"),
    ("kafka.producer.partitioner", "random"),
    ("kafka.producer.transactional.id", "t"),
    ("kafka.producer.message.timeout.ms", "1"),
    ("kafka.consumer.no.such.property", "1"),
    ("kafka.producer.linger.ms", "many"),
])
def test_forbidden_or_unknown_property(ns, workers, option, value):
    name = option.split(".", 2)[2]
    refused(workers.start("publish", ns.config, "--set", f"{option}={value}"), name)


def test_allowed_properties_take_effect(one, workers):
    """kafka.common reaches both kinds of clients, and is not overridden by our own defaults."""
    worker = workers.start("publish", one.config, "--set", "kafka.common.debug=conf", "--set", "log.level=debug",
                           "--set", "kafka.common.socket.timeout.ms=7777", "--set",
                           "kafka.producer.linger.ms=77", "--set", "kafka.consumer.fetch.wait.max.ms=55")
    put_articles(one, article(1, 1000))
    one.wait_done("publish", "normalized")
    stop(worker)
    text = worker.log_text()
    assert "socket.timeout.ms = 7777" in text and "fetch.wait.max.ms = 55" in text
    assert "queue.buffering.max.ms = 77" in text  # its other name is linger.ms


# ---- Redis

def test_redis_that_may_evict_state(one, workers, tmp_path):
    unsafe = Redis(tmp_path / "redis", extra=["--maxmemory-policy", "allkeys-lru"]).start()
    try:
        one.redis = unsafe
        one.write_config(redis={"url": unsafe.url})
        refused(workers.start("publish", one.config), "maxmemory-policy", "allkeys-lru", "redis.allowUnsafe")
        worker = workers.start("publish", one.config, "--set", "redis.allowUnsafe=true")
        put_articles(one, article(1, 1000))
        one.wait_done("publish", "normalized")
        assert "allkeys-lru" in wait_log(worker, "redis.unsafe")[0]["msg"]
        stop(worker)
    finally:
        unsafe.close()


def test_redis_in_cluster_mode(one, workers, tmp_path):
    cluster = Redis(tmp_path / "redis", extra=["--cluster-enabled", "yes", "--cluster-port", str(free_port())]).start()
    try:
        one.write_config(redis={"url": cluster.url, "allowUnsafe": True})
        refused(workers.start("publish", one.config), "cluster mode")
    finally:
        cluster.close()


def test_keys_of_another_format(one, workers, redis):
    with redis.client() as client:
        client.set(f"{one.name}:format", "newsmill/2")
    refused(workers.start("publish", one.config), "newsmill/2")


def test_wrong_password_and_no_secret_in_any_line(one, workers, tmp_path):
    secret = "correct-horse-42"
    locked = Redis(tmp_path / "redis", extra=["--requirepass", secret])
    locked.client = lambda **options: Redis.client(locked, password=secret, **options)
    locked.start()
    logs, one.redis = [], locked
    try:
        port = locked.port
        for url, exit_code in ((f"redis://:wrong-{secret}@127.0.0.1:{port}/0", 2),
                               (f"redis://:{secret}@127.0.0.1:{port}/99999", 2),
                               (f"redis://127.0.0.1:{port}/0", 2),
                               (f"redis://:{secret}@127.0.0.1:{port}/0?x={secret}", 2),
                               (f"redis://:{secret}@127.0.0.1:{free_port()}/0", None),
                               (f"redis://default:{secret}@127.0.0.1:{port}/0", 0)):
            one.write_config(redis={"url": url}, log={"level": "debug"})
            worker = workers.start("publish", one.config)
            if exit_code is None:
                wait_log(worker, "retry", 1)
            elif exit_code == 0:
                put_articles(one, article(1, 1000))
                one.wait_done("publish", "normalized")
            if exit_code != 2:
                stop(worker)
            assert worker.wait(20) == (exit_code or 0)
            logs.append(worker.log_text())
            shown = run("newsmill-publish", "-c", one.config, "--print-config")
            logs += [shown.stdout, shown.stderr]
            shown = run("newsmill-publish", "-c", one.config, "--print-config", "--format", "json")
            logs += [shown.stdout, shown.stderr]
    finally:
        locked.close()
    assert not [line for text in logs for line in text.splitlines() if secret in line]


# ---- command line

@pytest.mark.parametrize("arguments, words", [
    ([], "-c"),
    (["--check"], "-c"),
    (["-c"], "-c"),
    (["-c", "CONFIG", "extra"], "extra"),
    (["-c", "CONFIG", "--chek"], "--chek"),
    (["-c", "CONFIG", "--set"], "--set"),
    (["-c", "CONFIG", "--format", "yaml"], "yaml"),
    (["-c", "CONFIG", "--set", "runtime.batchItem=5", "--check"], "runtime.batchItems"),
    (["-c", "CONFIG", "--set", "publish.minQualty=5", "--check"], "publish.minQuality"),
    (["-c", "CONFIG", "--set", "runtime.batchItems=0", "--check"], "runtime.batchItems"),
    (["-c", "CONFIG", "--set", "runtime.batchItems=many", "--check"], "runtime.batchItems"),
    (["-c", "CONFIG", "--set", "runtime.start=yesterday", "--check"], "yesterday"),
    (["-c", "CONFIG", "--set", "runtime.batchItems", "--check"], "runtime.batchItems"),
    (["-c", "/nowhere/newsmill.yaml", "--check"], "/nowhere/newsmill.yaml"),
    (["-c", "CONFIG", "--set", "redis.url=localhost:6379", "--check"], "redis.url"),
    (["-c", "CONFIG", "--set", "namespace=Über", "--check"], "namespace"),
])
def test_command_lines_that_are_not_understood(new_namespace, arguments, words):
    ns = new_namespace()
    done = run("newsmill-publish", *[str(ns.config) if word == "CONFIG" else word for word in arguments])
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""


def test_misspelt_option_in_the_file_names_line_and_nearest(new_namespace):
    ns = new_namespace()
    ns.write_config(runtime={"batchItms": 5})
    line = 1 + [n for n, text in enumerate(ns.config.read_text().splitlines()) if "batchItms" in text][0]
    for arguments in (["--check"], ["--print-config"], []):
        done = run("newsmill-publish", "-c", ns.config, *arguments)
        assert done.returncode == 2
        assert f"{ns.config}:{line}:" in done.stderr and "batchItems" in done.stderr


def test_check_print_help_and_version(new_namespace):
    ns = new_namespace()
    done = run("newsmill-publish", "-c", ns.config, "--check")
    assert done.returncode == 0 and str(ns.config) in done.stdout and done.stderr == ""
    done = run("newsmill-publish", "-c", ns.config, "--set", "runtime.batchItems=7", "--set=runtime.batchItems=8",
               "--print-config", "--format", "json")
    assert done.returncode == 0
    printed = json.dumps(json.loads(done.stdout))
    assert "batchItems" in printed and "8" in printed
    text = run("newsmill-publish", "-c", ns.config, "--set", "runtime.batchItems=8", "--print-config").stdout
    assert [line for line in text.splitlines() if "batchItems" in line and "8" in line]
    done = run("newsmill-publish", "--help")
    assert done.returncode == 0 and "runtime.batchItems" in done.stdout and "publish.minQuality" in done.stdout
    done = run("newsmill-publish", "--version")
    assert done.returncode == 0 and done.stdout.startswith("newsmill-publish ")


def test_options_of_one_worker_and_of_the_environment(new_namespace):
    ns = new_namespace()
    ns.write_config(publish={"minQuality": 10}, workers={"publish": {"publish": {"minQuality": 20}}})

    def min_quality(*arguments, env=None):
        done = run("newsmill-publish", "-c", ns.config, *arguments, "--print-config", env=env, check=True)
        return [line for line in done.stdout.splitlines() if "minQuality" in line][0]

    assert "20" in min_quality()
    env = {"NEWSMILL_PUBLISH_MIN_QUALITY": "30"}
    assert "30" in min_quality(env=env)
    assert "40" in min_quality("--set", "publish.minQuality=40", env=env)


def test_unreachable_kafka_is_waited_for(new_namespace, workers):
    """Not a mistake of the option file: no exit, and a stop is obeyed."""
    ns = new_namespace()
    worker = workers.start("publish", ns.config, "--set", f"kafka.brokers=127.0.0.1:{free_port()}")
    wait_log(worker, "retry", timeout_s=20)
    assert not log_lines(worker, "stop")
    stop(worker, timeout_s=5)
