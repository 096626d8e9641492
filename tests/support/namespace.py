"""A namespace of its own for each test: names, option file, streams, and plain readers and writers of them.

Readers and writers use the Python client of Kafka and know nothing of newsmill's code, so a test sees what any other
user of the streams would see.
"""

import collections
import copy
import pathlib
import secrets

import yaml
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, OffsetSpec, ResourceType
from redis.exceptions import RedisError

from . import schemas
from .waiting import until
from .workers import INPUTS

STREAMS = ("raw", "normalized", "facets", "signals", "records", "dead")

# Of a partition whose leader has still to learn that it is.
NO_LEADER_YET = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_LEADER_EPOCH,
                 KafkaError.FENCED_LEADER_EPOCH)

Message = collections.namedtuple("Message", "partition offset timestamp_ms key value headers")

PROVIDERS = [
    {"domain": "harbour-gazette.example", "name": "Harbour Gazette", "weight": 30,
     "images": [{"url": "https://site.example/logos/harbour-50x50.png", "width": 50, "height": 50}]},
    {"domain": "ostmark-post.example", "name": "Ostmark Post", "weight": 10},
]
TOPICS = [
    {"id": "transport", "name": "Transport", "keywords": ["transport"]},
    {"id": "ferries", "name": "Ferries", "parent": "transport", "keywords": ["ferry", "ferries"]},
]

# Short enough that a test sees a rebalance or a commit within seconds.
OPTIONS = {
    "log": {"level": "info", "format": "json"},
    "kafka": {
        "common": {},
        "consumer": {"session.timeout.ms": "6000", "heartbeat.interval.ms": "500", "fetch.wait.max.ms": "50"},
        "producer": {},
    },
    "runtime": {"commitMs": 200},
    "providers": {"file": "providers.yaml"},
    "topics": {"file": "topics.yaml"},
    "publish": {"expect": []},  # most tests run no enricher
}


def store(producer, topic, key, value, failed, timestamp_ms=None, headers=None):
    """Hands one message to a producer, waiting while its queue is full; what the broker refuses is appended to `failed`."""
    while True:
        try:
            producer.produce(topic, value, key, timestamp=timestamp_ms or 0, headers=headers,
                             on_delivery=lambda err, _: failed.append(err) if err else None)
            return
        except BufferError:
            producer.poll(0.05)


def merged(base, over):
    """`over` on top of `base`, map by map; None removes a member."""
    result = copy.deepcopy(base)
    for name, value in over.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merged(result[name], value)
        else:
            result[name] = copy.deepcopy(value)
    return result


def stream_config(stream):
    """Topic settings as design.md section 2 wants them, but for retention: tests write events of the past, which Kafka would
    delete by their timestamps at its next look."""
    policy = "compact" if stream == "records" else "delete"
    size = "1114112" if stream in ("raw", "signals") else "2097152"
    return {"cleanup.policy": policy, "max.message.bytes": size, "retention.ms": "-1"}


def await_leaders(admin, names, n_partitions):
    """Until the broker knows the new topics and tells the end of each of their partitions. It tells of a topic before it leads it,
    and answers "not leader" or "unknown epoch" meanwhile, which a worker that starts at once takes for a failure."""
    asked = {TopicPartition(name, partition): OffsetSpec.latest() for name in names for partition in range(n_partitions)}
    missing = {}

    def led():
        known = admin.list_topics(timeout=10).topics
        missing.clear()
        missing.update({name: "not known" for name in names
                        if name not in known or len(known[name].partitions) != n_partitions})
        for partition, future in admin.list_offsets(asked, request_timeout=10).items() if asked and not missing else ():
            try:
                future.result(20)
            except KafkaException as error:
                missing[f"{partition.topic}/{partition.partition}"] = error.args[0].str()
        return not missing

    until(led, 30, lambda: f"the broker leads every partition of the new topics: {missing}")


class Namespace:
    def __init__(self, kafka, redis, folder, name=None, partitions=4, options=None, providers=None, topics=None,
                 streams=None):
        """streams: {stream: topic name} where it must not be a name of this namespace's own (a shared raw stream)."""
        self.kafka, self.redis = kafka, redis
        self.name = name or f"t{secrets.token_hex(5)}"
        self.partitions = partitions
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.topic = {stream: f"{self.name}.articles.{stream}" for stream in STREAMS}
        self.topic.update(streams or {})
        self._foreign = set((streams or {}).values())
        self.options = merged(OPTIONS, {
            "namespace": self.name,
            "kafka": {"brokers": kafka.brokers},
            "redis": {"url": redis.url},
            "streams": {stream: {"name": self.topic[stream], "partitions": partitions} for stream in STREAMS},
        })
        self.options = merged(self.options, options or {})
        self.config = self.folder / "newsmill.yaml"
        (self.folder / "providers.yaml").write_text(yaml.safe_dump(PROVIDERS if providers is None else providers))
        (self.folder / "topics.yaml").write_text(yaml.safe_dump(TOPICS if topics is None else topics))
        self.write_config()

    def write_config(self, **more):
        """Writes the option file again with `more` on top, and returns its path."""
        self.options = merged(self.options, more)
        self.config.write_text(yaml.safe_dump(self.options, sort_keys=False))
        return self.config

    def group(self, worker):
        return f"{self.name}.{worker}"

    # ---- streams

    def create_topics(self, streams=STREAMS, config=None):
        """Creates the topics; config: {stream: {setting: value}} on top of the usual ones."""
        wanted = [stream for stream in streams if self.topic[stream] not in self._foreign]
        new = [NewTopic(self.topic[stream], self.partitions, 1,
                        config={**stream_config(stream), **(config or {}).get(stream, {})}) for stream in wanted]
        admin = self.kafka.admin()
        for future in admin.create_topics(new, operation_timeout=20).values():
            future.result(30)
        await_leaders(admin, [self.topic[stream] for stream in wanted], self.partitions)
        return self

    def alter(self, stream, **settings):
        """Changes settings of a stream; their dots are written as underscores."""
        entries = [ConfigEntry(name.replace("_", "."), str(value), incremental_operation=AlterConfigOpType.SET)
                   for name, value in settings.items()]
        resource = ConfigResource(ResourceType.TOPIC, self.topic[stream], incremental_configs=entries)
        admin = self.kafka.admin()  # kept: its futures die with it
        for future in admin.incremental_alter_configs([resource]).values():
            future.result(30)

    def recreate(self, stream):
        """Deletes a stream and makes it anew, empty."""
        admin, name = self.kafka.admin(), self.topic[stream]
        admin.delete_topics([name])[name].result(30)
        until(lambda: name not in admin.list_topics(timeout=10).topics, 20, "the topic is gone")
        admin.create_topics([NewTopic(name, self.partitions, 1)])[name].result(30)
        await_leaders(admin, [name], self.partitions)

    def close(self):
        """Deletes the topics of this namespace, also those that the tool made; errors don't matter any more."""
        admin = self.kafka.admin()
        try:
            mine = [name for name in admin.list_topics(timeout=10).topics
                    if name in self.topic.values() and name not in self._foreign]
            for future in admin.delete_topics(mine).values() if mine else ():
                try:
                    future.result(20)
                except KafkaException:
                    pass
        except KafkaException:
            pass

    def producer(self, **options):
        return Producer({"bootstrap.servers": self.kafka.brokers, "partitioner": "murmur2_random", "acks": "all",
                         "enable.idempotence": True, "linger.ms": 5, "log_level": 0, **options})

    def consumer(self, group="nobody", **options):
        return Consumer({"bootstrap.servers": self.kafka.brokers, "group.id": group, "enable.auto.commit": False,
                         "enable.partition.eof": True, "auto.offset.reset": "error", "log_level": 0,
                         "fetch.wait.max.ms": 20, **options})

    def produce(self, stream, messages, timeout_s=60, **options):
        """messages: (key, value) or (key, value, timestamp_ms) or (key, value, timestamp_ms, headers); bytes, text, or
        None each; options: of the producer. Returns when every one is acknowledged. Nothing is checked: a test may write what it
        likes."""
        failed = []
        producer = self.producer(**options)
        for key, value, *rest in messages:
            store(producer, self.topic[stream], key, value, failed, *rest)
            producer.poll(0)
        left = producer.flush(timeout_s)
        assert left == 0 and not failed, f"{left} messages not delivered in time, {len(failed)} refused: {failed[:3]}"

    def ends(self, stream, consumer=None):
        """{partition: end offset}."""
        return {p: high for p, (_, high) in self.watermarks(stream, consumer).items()}

    def watermarks(self, stream, consumer=None):
        """{partition: (oldest, end offset)}."""
        own = consumer is None
        consumer = consumer or self.consumer()
        try:
            return {p: self._watermark(consumer, stream, p) for p in range(self.partitions)}
        finally:
            if own:
                consumer.close()

    def _watermark(self, consumer, stream, partition):
        """A partition that was just made, or whose broker came back, may have no leader yet, or one that does not know it."""
        def asked():
            try:
                return consumer.get_watermark_offsets(TopicPartition(self.topic[stream], partition), timeout=20,
                                                      cached=False)
            except KafkaException as error:
                if error.args[0].code() in NO_LEADER_YET:
                    return None
                raise
        return until(asked, 20, f"partition {partition} of {self.topic[stream]} has a leader", every_s=0.05)

    def read(self, stream, timeout_s=120, headers=True, check=True):
        """Every message from the oldest to the end of this moment, partition by partition in order. Each must be as
        deploy/schemas say; check=False: the test wrote others there itself."""
        return list(self.read_batches(stream, timeout_s, headers, check=check))

    def read_batches(self, stream, timeout_s=120, headers=True, raw=False, check=True):
        """The same one by one, without keeping them. raw: the client's own message objects."""
        consumer = self.consumer()
        try:
            marks = self.watermarks(stream, consumer)
            open_ends = {p: high for p, (low, high) in marks.items() if high > low}
            consumer.assign([TopicPartition(self.topic[stream], p, marks[p][0]) for p in open_ends])
            idle = 0.0
            while open_ends:
                batch = consumer.consume(10000, timeout=0.5)
                idle = 0.0 if batch else idle + 0.5
                assert idle < timeout_s, f"no message of {self.topic[stream]} for {timeout_s} s, open: {open_ends}"
                for message in batch:
                    error = message.error()
                    if error:
                        # The end of a partition, also where the last offsets were compacted away.
                        if error.code() != KafkaError._PARTITION_EOF:
                            raise KafkaException(error)
                        if message.offset() >= open_ends.get(message.partition(), 0):
                            open_ends.pop(message.partition(), None)
                        continue
                    if check:
                        schemas.check(self, stream, message)
                    yield message if raw else to_message(message, headers)
        finally:
            consumer.close()

    # ---- positions

    def committed(self, group, stream):
        """{partition: committed offset, None where there is none}."""
        consumer = self.consumer(group=group)
        try:
            asked = [TopicPartition(self.topic[stream], p) for p in range(self.partitions)]
            return {tp.partition: tp.offset if tp.offset >= 0 else None
                    for tp in consumer.committed(asked, timeout=20)}
        finally:
            consumer.close()

    def wm(self, group, stream):
        """{partition: list of the words of wm, None where there is none}."""
        with self.redis.client() as client:
            values = client.mget([f"{self.name}:wm:{group}:{self.topic[stream]}:{p}" for p in range(self.partitions)])
        return {p: value.decode().split(" ") if value is not None else None for p, value in enumerate(values)}

    def headers(self, schema, revision=None):
        """As a worker sends them: a touch has no revision."""
        ours = [("nm-schema", schema), ("nm-ns", self.name)]
        return ours if revision is None else [*ours, ("nm-revision", str(revision))]

    def done(self, worker, *streams):
        """Events that a worker has finished: the sum of its watermarks over these inputs, or all that a fleet has; -1 when Redis does not
        answer."""
        try:
            marks = [words for stream in streams or INPUTS[worker] for words in self.wm(self.group(worker), stream).values()]
        except (RedisError, OSError):
            return -1
        return sum(int(words[0]) for words in marks if words)

    def lag(self, worker, stream):
        """{partition: (committed, wm, end)} of the partitions that the worker has not finished. After Redis lost writes
        the commit is ahead, and wm says what is still to be done again."""
        try:
            committed, ends = self.committed(self.group(worker), stream), self.ends(stream)
            marks = self.wm(self.group(worker), stream)
        except (KafkaException, RedisError) as error:
            return {"servers": str(error)}
        done = {p: int(words[0]) if words else 0 for p, words in marks.items()}
        return {p: (committed[p], done[p], end) for p, end in ends.items() if end > 0 and (committed[p], done[p]) != (end, end)}

    def wait_done(self, worker, stream, timeout_s=60):
        """Until the worker has committed the end of every partition of the stream that it reads."""
        until(lambda: not self.lag(worker, stream), timeout_s,
              lambda: f"{self.group(worker)} has read {self.topic[stream]}: {self.lag(worker, stream)}", every_s=0.05)


def to_message(message, headers=True):
    _, timestamp_ms = message.timestamp()
    pairs = {name: value for name, value in message.headers() or ()} if headers else None
    return Message(message.partition(), message.offset(), timestamp_ms, message.key(), message.value(), pairs)
