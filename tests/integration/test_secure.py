"""newsmill through TLS and passwords on both sides, what it says when they are wrong, and that no line holds a secret."""

import ctypes
import json
import re

import pytest
import yaml

from support.articles import stop
from support.namespace import Namespace
from support.secured import (ENVIRONMENT, KAFKA_PASSWORD, PASS_PHRASE, REDIS_PASSWORD, SECRETS, USER, SecuredKafka,
                             SecuredRedis, documented_acl, make_certificates)
from support.servers import ROOT
from support.workers import run

WORKERS = ("normalize", "publish")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secured_kafka(certificates):
    server = SecuredKafka(certificates).start()
    server.add_scram_user()
    yield server
    server.close()


@pytest.fixture(scope="module")
def secured_redis(certificates):
    server = SecuredRedis(certificates).start()
    yield server
    server.close()


@pytest.fixture
def space(secured_kafka, secured_redis, certificates, tmp_path):
    """A namespace whose option file leads through the secured doors; its topics are not made."""
    made = Namespace(secured_kafka, secured_redis, tmp_path / "ns", partitions=2, options={
        "kafka": {"brokers": secured_kafka.secured, "common": {
            "security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.username": USER,
            "sasl.password": "${NM_TEST_KAFKA_PASSWORD}", "ssl.ca.location": str(certificates / "ca.pem")}},
        "redis": {"url": secured_redis.secured, "username": USER, "passwordFile": "redis-password",
                  "caFile": str(certificates / "ca.pem"), "connectTimeoutMs": 5000}})
    (made.folder / "redis-password").write_text(REDIS_PASSWORD + "\n")
    secured_redis.allow(made.name)
    yield made
    made.close()


def without_secrets(text):
    for secret in SECRETS:
        assert secret not in text
    return text


def tool(*args, **options):
    done = run("newsmill", *args, env=ENVIRONMENT, **options)
    without_secrets(done.stdout + done.stderr)
    return done


def start(workers, space, name):
    return workers.start(name, space.config, env=ENVIRONMENT)


def load(space, numbers):
    lines = [json.dumps({"url": f"https://www.harbour-gazette.example/secure/{n}", "title": f"Ferry {n} is late"})
             for n in numbers]
    tool("load", "-c", space.config, "-", stdin="\n".join(lines), check=True)


def ids(space):
    """Distinct records, read through the secured door."""
    done = tool("tail", "-c", space.config, "--stream", "records", "--format", "json", "--from", "beginning",
                "--exit-at-end", check=True)
    return {json.loads(line)["key"] for line in done.stdout.splitlines()}


# ---- good

def test_the_whole_way(space, workers, secured_redis):
    tool("streams", "apply", "-c", space.config, check=True)
    running = [start(workers, space, name) for name in WORKERS]
    load(space, range(300))
    tool("wait", "-c", space.config, "--timeout", "60s", check=True, timeout_s=90)
    assert len(ids(space)) == 300
    assert [line.split()[0] for line in tool("ps", "-c", space.config, check=True).stdout.splitlines()[1:]] != []
    with secured_redis.client() as client:
        ours = [one for one in client.client_list() if one["user"] == USER]
        assert len(ours) >= 2 and {one["laddr"] for one in ours} == {f"127.0.0.1:{secured_redis.tls_port}"}
        assert client.acl_log() == []  # nothing that the documented line does not allow
    for worker in running:
        stop(worker)
        without_secrets(worker.log_text())


def test_servers_that_come_back(space, workers, secured_kafka, secured_redis):
    """A broker and a Redis that die in the middle of anything are no refusal."""
    tool("streams", "apply", "-c", space.config, check=True)
    running = [start(workers, space, name) for name in WORKERS]
    for turn in range(3):
        load(space, range(turn * 100, turn * 100 + 100))
        secured_redis.restart_after_kill()
        secured_kafka.restart_after_kill()
    done = tool("wait", "-c", space.config, "--timeout", "90s", timeout_s=120)
    assert [worker.code for worker in running] == [None, None] and done.returncode == 0, done.stderr
    assert len(ids(space)) == 300
    for worker in running:
        stop(worker)
        without_secrets(worker.log_text())


def test_client_certificate_with_a_locked_key(space, secured_kafka, certificates):
    common = {"security.protocol": "SSL", "sasl.mechanism": None, "sasl.username": None, "sasl.password": None,
              "ssl.certificate.location": str(certificates / "client.pem"),
              "ssl.key.location": str(certificates / "locked.key"), "ssl.key.password": "${NM_TEST_PASS_PHRASE}"}
    space.write_config(kafka={"brokers": secured_kafka.mutual, "common": common})
    tool("streams", "apply", "-c", space.config, check=True)
    space.write_config(kafka={"common": {"ssl.key.password": "wrong"}})
    done = tool("streams", "ls", "-c", space.config)
    assert done.returncode == 2 and "ssl.key.location" in done.stderr, done.stderr


# ---- what is wrong

def librdkafka_version():
    library = ctypes.CDLL("librdkafka.so.1")
    return library.rd_kafka_version()


SCRAM_WORKS = librdkafka_version() >= 0x020601FF


KAFKA_REFUSALS = {
    "password": ({"sasl.password": "wren-4714"}, ["sasl.password"]),
    "user": ({"sasl.username": "nobody"}, ["sasl.username"]),
    "authority": ({"ssl.ca.location": "other-ca.pem"}, ["certificate", "ssl.ca.location"]),
    "mechanism": ({"sasl.mechanism": "SCRAM-SHA-256"}, ["sasl.mechanism"]),
    "SCRAM password": ({"sasl.mechanism": "SCRAM-SHA-512", "sasl.password": "wren-4714"}, ["sasl.password"]),
}


def with_files(common, certificates):
    return {name: str(certificates / value) if value.endswith(".pem") else value for name, value in common.items()}


def refused_everywhere(space, workers, *words):
    """The tool and a worker end with 2 and one sentence that has these words."""
    worker = start(workers, space, "normalize")
    done = tool("tail", "-c", space.config, "--exit-at-end")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert worker.wait(30) == 2, worker.log_text()
    last = worker.log_text().strip().splitlines()[-1]
    for word in words:
        assert word in done.stderr and word in without_secrets(worker.log_text()), last


@pytest.mark.parametrize("what", KAFKA_REFUSALS)
def test_kafka_refuses(space, workers, certificates, what):
    common, words = KAFKA_REFUSALS[what]
    space.write_config(kafka={"common": with_files(common, certificates)})
    refused_everywhere(space, workers, *words)
    if what == "password":
        done = tool("streams", "apply", "-c", space.config)
        assert done.returncode == 2 and "sasl.password" in done.stderr, done.stderr
    assert "wren-4714" not in "".join(worker.log_text() for worker in workers.all)


def test_scram(space, workers):
    space.write_config(kafka={"common": {"sasl.mechanism": "SCRAM-SHA-512"}})
    if SCRAM_WORKS:
        tool("streams", "apply", "-c", space.config, check=True)
    else:
        refused_everywhere(space, workers, "librdkafka 2.6.1")


def test_broker_asks_for_a_certificate(space, workers, secured_kafka, certificates):
    common = {"security.protocol": "SSL", "sasl.mechanism": None, "sasl.username": None, "sasl.password": None}
    space.write_config(kafka={"brokers": secured_kafka.mutual, "common": common})
    refused_everywhere(space, workers, "certificate")
    space.write_config(kafka={"common": {"ssl.certificate.location": str(certificates / "other-client.pem"),
                                         "ssl.key.location": str(certificates / "other-client.key")}})
    refused_everywhere(space, workers, "certificate")


def test_plain_client_on_a_tls_port_is_told(space):
    space.write_config(kafka={"common": {"security.protocol": "PLAINTEXT"}})
    done = tool("tail", "-c", space.config, "--exit-at-end")
    assert done.returncode == 1 and "security.protocol" in done.stderr, done.stderr


REDIS_REFUSALS = {
    "password": ({"passwordFile": "wrong-password"}, ["redis.passwordFile"]),
    "user": ({"username": "nobody"}, ["redis.username"]),
    "authority": ({"caFile": "other-ca.pem"}, ["certificate", "redis.caFile"]),
    "the system's authorities": ({"caFile": None}, ["certificate", "redis.caFile"]),
    "key without certificate": ({"keyFile": "client.key"}, ["redis.certFile"]),
}


@pytest.mark.parametrize("what", REDIS_REFUSALS)
def test_redis_refuses(space, workers, certificates, what):
    options, words = REDIS_REFUSALS[what]
    tool("streams", "apply", "-c", space.config, check=True)
    (space.folder / "wrong-password").write_text("wren-4714\n")
    space.write_config(redis={name: str(certificates / value) if value and (certificates / value).exists() else value
                              for name, value in options.items()})
    worker = start(workers, space, "normalize")
    assert worker.wait(30) == 2, worker.log_text()
    log = without_secrets(worker.log_text())
    assert "wren-4714" not in log
    for word in words:
        assert word in log.splitlines()[-1], log


@pytest.mark.parametrize("missing", ["hset", "evalsha", "info", "zadd"])
def test_permission_that_is_missing(space, workers, secured_redis, missing):
    tool("streams", "apply", "-c", space.config, check=True)
    secured_redis.allow(space.name, f"-{missing}")
    worker = start(workers, space, "normalize")
    load(space, range(3))
    assert worker.wait(30) == 2, worker.log_text()
    assert "permission" in worker.log_text() or "can't run this command" in worker.log_text()


def test_user_deleted_under_a_running_worker(space, workers, secured_redis):
    tool("streams", "apply", "-c", space.config, check=True)
    worker = start(workers, space, "normalize")
    load(space, range(3))
    space.wait_done("normalize", "raw")
    with secured_redis.client() as client:
        client.execute_command("ACL", "DELUSER", USER)
    assert worker.wait(30) == 2, worker.log_text()
    assert "redis.passwordFile" in without_secrets(worker.log_text())


# ---- what is shown, what is written down

def test_print_config_hides_what_is_secret(space):
    space.write_config(
        kafka={"common": {"ssl.key.password": "${NM_TEST_PASS_PHRASE}", "ssl.key.pem": "${NM_TEST_PASS_PHRASE}",
                          "ssl.keystore.password": PASS_PHRASE, "sasl.oauthbearer.client.secret": PASS_PHRASE},
               "consumer": {"sasl.password": KAFKA_PASSWORD}, "producer": {"sasl.password": KAFKA_PASSWORD}},
        redis={"url": f"rediss://{USER}:{REDIS_PASSWORD}@127.0.0.1:1/0"})
    for args in ([], ["--format", "json"], ["--set", f"kafka.common.sasl.password={KAFKA_PASSWORD}"]):
        done = run("newsmill-normalize", "-c", space.config, "--print-config", *args, env=ENVIRONMENT, check=True)
        assert without_secrets(done.stdout + done.stderr).count("***") >= 6
        assert USER in done.stdout  # a user name is none
    assert tool("check", "-c", space.config).returncode in (0, 2)


def test_mistakes_in_secret_options_do_not_show_them(space):
    broken = yaml.safe_load(space.config.read_text())
    broken["kafka"]["common"]["sasl.passwordd"] = KAFKA_PASSWORD
    broken["redis"]["url"] = f"rediss://{USER}:{REDIS_PASSWORD}@127.0.0.1:99999999/0"
    space.config.write_text(yaml.safe_dump(broken))
    for done in (tool("check", "-c", space.config), tool("streams", "ls", "-c", space.config)):
        assert done.returncode in (2, 3) and "redis.url" in done.stdout + done.stderr
    broken["redis"]["url"] = "redis://127.0.0.1:1"
    space.config.write_text(yaml.safe_dump(broken))
    done = tool("streams", "ls", "-c", space.config)
    assert done.returncode == 2 and "sasl.passwordd" in done.stderr


def commands_in_the_sources():
    """Those of Lua scripts, and those that follow nm_pipe_command() or stand in announce.c's COMMAND(); of what is a program."""
    found = set()
    folders = [ROOT / "common", *(path.parent for path in (ROOT / "workers").glob("*/main.c"))]
    for path in (path for folder in folders for path in folder.iterdir() if path.suffix in (".c", ".lua")):
        text = path.read_text()
        found |= set(re.findall(r"\bp?call\('([A-Za-z]+)'", text))
        found |= set(re.findall(r'nm_pipe_command\([^;]*;\s*nm_pipe_(?:str|arg)\([^,]+, "([A-Z]+)"', text))
        found |= set(re.findall(r'\bCOMMAND\([^,]+, "([A-Z]+)"', text))
    return {word.lower() for word in found}


def test_documented_permissions_are_those_of_the_sources():
    allowed = {word[1:].split("|")[0] for word in documented_acl() if word.startswith("+")}
    used = commands_in_the_sources() - {"auth"} | {"evalsha"}
    assert used <= allowed, "missing in the ACL line of common/README.md"
    # Not every command stands where the expressions look; but what stands nowhere is too much.
    everything = "".join(path.read_text() for folder in ("common", "workers")
                         for path in (ROOT / folder).rglob("*.*") if path.suffix in (".c", ".lua")).lower()
    assert {word for word in allowed if f'"{word}"' not in everything and f"'{word}'" not in everything} == set()
