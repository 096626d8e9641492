"""Fixtures of all Python tests: one Kafka and one Redis for each process of pytest, a namespace of its own for each test.

A test that fails shows the last log lines of the workers it started. NM_KEEP=1 keeps the servers' folders.
"""

import os
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from support.images import Rig  # noqa: E402
from support.collect import Space  # noqa: E402
from support.namespace import Namespace  # noqa: E402
from support.servers import Kafka, Redis, kafka_answers  # noqa: E402
from support.workers import Workers  # noqa: E402

KEEP = bool(os.environ.get("NM_KEEP"))


def pytest_configure():
    # Without this a SIGTERM (a time limit) would leave the broker running: it has a session of its own.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", returncode=1))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    workers = getattr(item, "newsmill_workers", None) or next(
        (value.workers for value in getattr(item, "funcargs", {}).values() if isinstance(value, Rig)), None)
    if report.when == "call" and report.failed and workers is not None:
        report.sections.append(("workers' logs", workers.show_logs()))


@pytest.fixture(scope="session")
def session_kafka():
    server = Kafka().start()
    yield server
    server.close(keep=KEEP)


@pytest.fixture
def kafka(session_kafka):
    """The one Kafka; started again when the test before left it dead."""
    if not kafka_answers(session_kafka):
        session_kafka.start()
    return session_kafka


@pytest.fixture(scope="session")
def session_redis():
    server = Redis().start()
    yield server
    server.close(keep=KEEP)


@pytest.fixture
def redis(session_redis):
    """The one Redis; started again when the test before left it dead."""
    if not session_redis.alive:
        session_redis.start()
    return session_redis


@pytest.fixture
def workers(request, tmp_path):
    """Starts workers; ends those that still run after the test."""
    group = Workers(tmp_path / "logs")
    request.node.newsmill_workers = group
    yield group
    group.close()


@pytest.fixture
def new_namespace(kafka, redis, tmp_path):
    """Makes namespaces: new_namespace(partitions=2, options={...}); see support/namespace.py."""
    made = []

    def make(**arguments):
        space = Namespace(kafka, redis, tmp_path / f"ns{len(made)}", **arguments)
        made.append(space)
        return space

    yield make
    for space in made:
        space.close()


def rig_maker(session_kafka, session_redis, new_folder):
    made = []

    def make(**arguments):
        if not kafka_answers(session_kafka):
            session_kafka.start()
        if not session_redis.alive:
            session_redis.start()
        made.append(Rig(session_kafka, session_redis, new_folder(), **arguments))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture(scope="module")
def shared_rig(session_kafka, session_redis, tmp_path_factory):
    """Makes rigs of the images worker that serve all tests of a module: shared_rig(options={...}); see support/images.py."""
    yield from rig_maker(session_kafka, session_redis, lambda: tmp_path_factory.mktemp("rig"))


@pytest.fixture
def new_rig(session_kafka, session_redis, tmp_path_factory):
    """The same for one test."""
    yield from rig_maker(session_kafka, session_redis, lambda: tmp_path_factory.mktemp("rig"))


@pytest.fixture
def new_space(redis, tmp_path):
    """Makes stores of images with a Redis namespace each: see support/collect.py."""
    made = []

    def make(**options):
        made.append(Space(tmp_path, redis, **options))
        return made[-1]

    yield make
    for space in made:
        space.close()


@pytest.fixture
def space(new_space):
    return new_space()


@pytest.fixture
def ns(new_namespace):
    """A namespace with its topics made."""
    return new_namespace().create_topics()
