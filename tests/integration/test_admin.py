"""Workers as their operators see them: the four pages, the announcement for `newsmill ps`, and what they say when Redis
or Kafka is away. The pages by themselves: tests/unit/test_admin.c; `ps` by itself: test_ps.py.
"""

import json
import re
import signal
import subprocess
import urllib.error
import urllib.request

import pytest

from support.articles import article, message, put, retries, samples
from support.servers import free_port
from support.waiting import until
from support.workers import tool


def ps(ns):
    done = tool("ps", "-c", ns.config, "--json", check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def announced(ns, worker, state="ready"):
    """The row of `newsmill ps` of this process, once it is in that state."""
    def found():
        return next((row for row in ps(ns) if row.get("pid") == worker.pid and row["state"] == state), None)
    return until(found, 30, lambda: f"{worker.name} (pid {worker.pid}) is {state}: {ps(ns)}", every_s=0.1)


def get(address, page, method="GET"):
    """(status, content type, text) of a page."""
    request = urllib.request.Request(f"http://{address}{page}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.headers["Content-Type"], reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def load(ns, numbers):
    put(ns, "normalized", [message(ns, article(n, 1000 + n)) for n in numbers])
    ns.wait_done("publish", "normalized")


def test_a_worker_announces_itself_and_takes_it_back(ns, workers):
    worker = workers.start("publish", ns.config)
    row = announced(ns, worker)
    assert row["worker"] == "publish" and row["ready"] is True and row["lag"] == 0
    assert re.fullmatch(r"[0-9a-f]{16}", row["instance"])
    assert re.fullmatch(r"127\.0\.0\.1:[0-9]+", row["admin"])
    mine = {entry["stream"]: entry["partitions"] for entry in row["partitions"]}
    assert mine["normalized"] == [0, 1, 2, 3]
    assert row["admin"] in worker.log_text(), "the address is logged"
    assert workers.stop() == [0]
    assert ps(ns) == []


def test_two_instances_share_what_ps_shows(ns, workers):
    both = [workers.start("publish", ns.config) for _ in range(2)]

    def shares():
        rows = {row["pid"]: row for row in ps(ns) if row["state"] == "ready"}
        if set(rows) != {worker.pid for worker in both}:
            return None
        parts = [sorted(n for entry in row["partitions"] if entry["stream"] == "normalized" for n in entry["partitions"])
                 for row in rows.values()]
        return parts if sorted(sum(parts, [])) == [0, 1, 2, 3] and all(parts) else None

    until(shares, 40, lambda: f"two instances share four partitions: {ps(ns)}", every_s=0.2)
    assert len({row["admin"] for row in ps(ns)}) == 2
    assert workers.stop() == [0, 0]


def test_a_killed_worker_is_shown_as_gone(ns, workers):
    worker = workers.start("publish", ns.config)
    instance = announced(ns, worker)["instance"]
    worker.kill()
    until(lambda: [row["state"] for row in ps(ns) if row["instance"] == instance] == ["gone"], 30,
          lambda: f"it is gone: {ps(ns)}", every_s=0.5)


def test_pages_of_a_healthy_worker(ns, workers):
    worker = workers.start("publish", ns.config)
    address = announced(ns, worker)["admin"]
    assert get(address, "/livez") == (200, "text/plain; charset=utf-8", "live\n")
    assert get(address, "/readyz") == (200, "text/plain; charset=utf-8", "ready\n")
    assert get(address, "/livez", "HEAD") == (200, "text/plain; charset=utf-8", "")
    assert get(address, "/livez", "POST")[0] == 405
    assert get(address, "/")[0] == 404


def test_status_shows_the_positions(ns, workers):
    worker = workers.start("publish", ns.config)
    address = announced(ns, worker)["admin"]
    load(ns, range(40))
    ends = ns.ends("normalized")

    def finished():
        code, kind, text = get(address, "/status")
        assert code == 200 and kind == "application/json"
        status = json.loads(text)
        rows = {row["partition"]: row for row in status["assignment"] if row["stream"] == "normalized"}
        done = set(rows) == set(ends) and all(row["next"] == ends[p] == row["end"] for p, row in rows.items())
        return (status, rows) if done else None

    status, rows = until(finished, 20, lambda: f"the positions are the ends {ends}: {get(address, '/status')[2]}")
    assert {name: status[name] for name in ("worker", "namespace", "ready", "retrying", "notLive")} == {
        "worker": "publish", "namespace": ns.name, "ready": True, "retrying": None, "notLive": None}
    assert status["uptimeMs"] > 0
    assert status["redis"].pop("connects") >= 1
    assert status["redis"] == {"address": f"127.0.0.1:{ns.redis.port}", "ok": True}
    for partition, row in rows.items():
        assert row["inFlight"] == 0 and row["paused"] is False and row["lagMs"] == 0
        assert row["committed"] in (None, ends[partition]) or row["committed"] <= ends[partition]


def test_metrics_count_what_waits_without_an_event(ns, workers):
    """Held articles lie in the due set of publish, until their time has come."""
    worker = workers.start("publish", ns.config, "--set", "publish.expect=heat", "--set", "publish.waitMs=600000")
    address = announced(ns, worker)["admin"]
    waiting = 'newsmill_set_members{set="due:publish"}'
    until(lambda: samples(f"http://{address}").get(waiting) == 0, 20, "nothing waits")
    load(ns, range(30))
    until(lambda: samples(f"http://{address}").get(waiting) == 30, 20, "thirty wait")
    worker.term()
    assert worker.wait() == 0


def test_metrics_count_what_was_done(ns, workers):
    worker = workers.start("publish", ns.config)
    address = announced(ns, worker)["admin"]
    before = samples(f"http://{address}")
    assert before['newsmill_events_total{stream="normalized",outcome="ok"}'] == 0
    load(ns, range(30))
    put(ns, "normalized", [("f" * 32, "{no json", None, [("nm-schema", "article/1"), ("nm-ns", ns.name)])])
    ns.wait_done("publish", "normalized")
    def rests():
        now = samples(f"http://{address}")
        counted = now['newsmill_events_total{stream="normalized",outcome="dead"}'] == 1
        return now if counted and now["newsmill_in_flight_items"] == 0 else None

    now = until(rests, 20, "the dead letter is counted and nothing is in flight")
    assert now['newsmill_events_total{stream="normalized",outcome="ok"}'] == 30
    assert now['newsmill_messages_out_total{stream="records"}'] == 30
    assert now['newsmill_messages_out_total{stream="dead"}'] == 1
    assert sum(value for name, value in now.items() if name.startswith("newsmill_dead_total{")) == 1
    assert now["newsmill_batch_items_sum"] == 31 and now["newsmill_batch_items_count"] >= 1
    assert now["newsmill_redis_seconds_count"] > 0 and now["newsmill_produce_seconds_count"] > 0
    assert now["newsmill_in_flight_bytes"] == 0
    assert now["newsmill_rebalances_total"] >= 1 and now["newsmill_breaker_open"] == 0
    assert {f'newsmill_lag_messages{{stream="normalized",partition="{p}"}}' for p in range(4)} <= set(now)
    phases = {name: value for name, value in now.items() if name.startswith("newsmill_loop_seconds_total{")}
    age = until(lambda: float(json.loads(get(address, "/status")[2])["uptimeMs"]) / 1000, 5, "the uptime")
    assert 0 < sum(phases.values()) <= age + 1, "the phases are the time of one thread"


@pytest.mark.parametrize("name", ["normalize", "publish"])
def test_promtool_finds_nothing(ns, workers, name):
    worker = workers.start(name, ns.config)
    page = get(announced(ns, worker)["admin"], "/metrics")[2]
    done = subprocess.run(["promtool", "check", "metrics"], input=page, text=True, capture_output=True, timeout=60,
                          check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_redis_that_stops_is_told_and_forgotten(ns, workers, redis):
    worker = workers.start("publish", ns.config, "--set", "redis.commandTimeoutMs=300")
    address = announced(ns, worker)["admin"]
    redis.process.send_signal(signal.SIGSTOP)
    try:
        put(ns, "normalized", [message(ns, article(1, 1001))])
        code, _, text = until(lambda: (reply := get(address, "/readyz"))[0] == 503 and reply, 30, "it is not ready")
        assert f"Redis at 127.0.0.1:{redis.port} does not answer" in text
        assert json.loads(get(address, "/status")[2])["ready"] is False
        assert get(address, "/livez")[0] == 200, "a dependency that is away is no reason to replace the worker"
        put(ns, "normalized", [message(ns, article(n, 1000 + n)) for n in range(2, 30)])

        def lag(name):
            return [value for metric, value in samples(f"http://{address}").items()
                    if metric.startswith(f'newsmill_lag_{name}{{stream="normalized"')]
        until(lambda: sum(lag("messages")) == 29, 20, lambda: f"what nobody fetches is seen: {lag('messages')}")
        assert 0 < max(lag("seconds")) < 60
    finally:
        redis.process.send_signal(signal.SIGCONT)
    until(lambda: get(address, "/readyz")[0] == 200, 30, lambda: f"it is ready again: {get(address, '/readyz')}")
    ns.wait_done("publish", "normalized")
    now = samples(f"http://{address}")
    assert now['newsmill_retries_total{dependency="redis"}'] >= 1
    status = until(lambda: (now := json.loads(get(address, "/status")[2]))["retrying"] is None and now, 10, "it forgets it")
    assert status["redis"]["connects"] >= 2
    assert workers.stop() == [0]


def test_kafka_that_dies_is_told_and_forgotten(ns, workers, kafka):
    worker = workers.start("publish", ns.config)
    address = announced(ns, worker)["admin"]
    kafka.kill()
    try:
        text = until(lambda: (reply := get(address, "/readyz"))[0] == 503 and reply[2], 60, "it is not ready")
        assert "Kafka does not answer" in text
        assert get(address, "/livez")[0] == 200
    finally:
        kafka.start()
    until(lambda: get(address, "/readyz")[0] == 200, 90, lambda: f"it is ready again: {get(address, '/readyz')}")
    assert workers.stop() == [0]


def test_a_worker_that_begins_again_and_again_without_progress_is_not_live(ns, workers):
    """Kafka and Redis answer, but no record is taken: each new beginning is no progress. With nothing to do it was live.

    stallMs is longer than an attempt and the wait after it."""
    worker = workers.start("publish", ns.config, "--set", "runtime.stallMs=12000")
    address = announced(ns, worker)["admin"]
    load(ns, range(3))
    until(lambda: json.loads(get(address, "/status")[2])["uptimeMs"] > 14000, 30, "it has been idle for longer than stallMs",
          every_s=0.2)
    assert get(address, "/livez") == (200, "text/plain; charset=utf-8", "live\n")
    ns.alter("records", message_timestamp_before_max_ms=0)
    put(ns, "normalized", [message(ns, article(n, 1000 + n)) for n in range(3, 20)])
    text = until(lambda: (reply := get(address, "/livez"))[0] == 503 and reply[2], 60,
                 lambda: f"it is not live: {get(address, '/status')[2]}\n{worker.log_tail()}")
    assert ns.topic["normalized"] in text and "made no progress" in text
    assert json.loads(get(address, "/status")[2])["notLive"] and retries(worker) >= 2
    ns.alter("records", message_timestamp_before_max_ms=2**63 - 1)
    until(lambda: get(address, "/livez")[0] == 200, 40, "it goes on")
    ns.wait_done("publish", "normalized")
    assert workers.stop() == [0]


def test_pages_answer_before_kafka_and_redis_do(new_namespace, workers, redis):
    """A worker that waits for its servers can be looked at all the same."""
    ns = new_namespace(options={"kafka": {"brokers": f"127.0.0.1:{free_port()}"},
                                "redis": {"url": f"redis://127.0.0.1:{free_port()}/0"}})
    port = free_port()
    worker = workers.start("publish", ns.config, "--set", f"admin.listen=127.0.0.1:{port}")

    def answers():
        assert worker.alive, worker.log_tail()
        try:
            return get(f"127.0.0.1:{port}", "/readyz")
        except OSError:
            return None

    code, _, text = until(answers, 20, "the endpoint answers")
    assert code == 503 and text.startswith("not ready: ")
    assert get(f"127.0.0.1:{port}", "/livez")[0] == 200
    assert get(f"127.0.0.1:{port}", "/status")[0] == 200


def test_a_taken_port_is_refused(ns, workers):
    first = workers.start("publish", ns.config)
    address = announced(ns, first)["admin"]
    second = workers.start("publish", ns.config, "--set", f"admin.listen={address}")
    assert second.wait() == 2
    assert "the port is taken by another process" in second.log_text()
    assert first.alive


def test_the_endpoint_can_be_switched_off(ns, workers):
    worker = workers.start("publish", ns.config, "--set", "admin.listen=")
    assert announced(ns, worker)["admin"] == ""
    load(ns, range(3))
    assert "off" in tool("ps", "-c", ns.config, check=True).stdout
    assert workers.stop() == [0]


def test_a_frozen_worker_is_not_taken_for_stuck(ns, workers):
    worker = workers.start("publish", ns.config, "--set", "runtime.stallMs=4000")
    announced(ns, worker)
    assert worker.pause()
    until(lambda: any(row["state"] == "silent" for row in ps(ns)), 30, "it is silent", every_s=0.2)
    assert worker.resume()
    announced(ns, worker)
    assert "watchdog" not in worker.log_text()
    assert workers.stop() == [0]
