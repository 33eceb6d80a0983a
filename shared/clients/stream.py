"""The stream of accepted events, through FastStream: Redis Streams, or Kafka when the URL says so. The same handlers.

A message is not acknowledged here: who counts it does so in the same atomic step as the counting (see features).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import msgspec
import redis.asyncio as redis
import structlog
from faststream import AckPolicy
from faststream.message import StreamMessage
from faststream.redis import RedisBroker, StreamSub
from faststream.redis.parser import MessageFormat
from redis.exceptions import RedisError, ResponseError

from shared.contracts.stream import STREAM, PackedEvents, encode

log = structlog.get_logger()

_KAFKA = "kafka"
_READ_MS = 100
_CLAIM_MS = 3_000
_SECONDS = 5.0
_FIELD = b"__data__"  # where FastStream keeps a message's bytes in a stream entry


class Delivery(msgspec.Struct, frozen=True):
    """One message and where it came from: the stream's entry, or the offset in a partition; `part` is "" for Redis."""

    body: bytes
    part: str
    position: str


Handler = Callable[[list[Delivery]], Awaitable[None]]


class Stream(Protocol):
    """What services use of a stream."""

    async def open(self) -> None:
        """Connect."""

    async def send(self, packed: PackedEvents) -> bool:
        """Publish a message; False when the stream is full. Raises OSError or the broker's own errors."""

    async def server(self) -> str:
        """Names the run of the server that keeps the messages: another one may have forgotten the newest."""

    def subscribe(self, group: str, consumer: str, handler: Handler, most: int) -> None:
        """Hand messages to `handler`, up to `most` at once; again and again until they are acknowledged."""

    async def watch(self) -> None:
        """Run the subscription, and mend it; to be called again and again."""

    async def close(self) -> None:
        """Stop and disconnect."""


class _Plain(MessageFormat):
    """A message is its bytes: no envelope, so that anybody can read the stream."""

    @classmethod
    async def encode(cls, *, message: Any, **_: Any) -> bytes:
        return cast(bytes, message)

    @classmethod
    def parse(cls, data: bytes) -> tuple[bytes, dict[str, Any]]:
        return data, {}


async def _parsed(raw: Any) -> StreamMessage[Any]:
    return StreamMessage(raw_message=raw, body=b"", correlation_id="-")


async def _raw(message: StreamMessage[Any]) -> Any:
    return message.raw_message


class RedisEventStream:
    """Redis Streams.

    Args:
        url: the server.
        most_waiting: messages that may wait in the stream; more are refused, and wait in the database.
    """

    def __init__(self, url: str, most_waiting: int = 4000) -> None:
        self._most = most_waiting
        self._redis = redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=1.0)
        quiet: Any = None  # FastStream's own log; what a handler raises is logged here
        self._broker = RedisBroker(url, message_format=_Plain, apply_types=False, logger=quiet, socket_timeout=_SECONDS,
                                   socket_connect_timeout=1.0)  # fmt: skip
        self._subscribers: list[Any] = []
        self._group = ""

    async def open(self) -> None:
        """Connect; the server need not be there yet."""
        await self._broker.connect()

    async def send(self, packed: PackedEvents) -> bool:
        """Add a message, unless too many wait."""
        if await self._redis.xlen(STREAM) >= self._most:
            return False
        await self._broker.publish(encode(packed), stream=STREAM)
        return True

    async def server(self) -> str:
        """The server's run id."""
        return str((await self._redis.info("server"))["run_id"])

    def subscribe(self, group: str, consumer: str, handler: Handler, most: int) -> None:
        """Two readers: one of new messages, one of what another consumer took and did not finish."""
        self._group = group

        async def deliver(raw: Any) -> None:
            try:
                await handler([
                    Delivery(entry[_FIELD], "", key.decode())
                    for key, entry in zip(raw["message_ids"], raw["data"], strict=True) if entry and _FIELD in entry
                ])  # fmt: skip
            except Exception as error:
                # Not acknowledged, so it comes again.
                log.warning("stream.not_counted", kind=type(error).__name__, detail=str(error)[:200])

        for idle in (None, _CLAIM_MS):
            stream = StreamSub(STREAM, group=group, consumer=consumer, batch=True, max_records=most,
                               polling_interval=_READ_MS if idle is None else _CLAIM_MS // 2, min_idle_time=idle)  # fmt: skip
            subscriber = self._broker.subscriber(
                stream=stream, ack_policy=AckPolicy.MANUAL, parser=_parsed, decoder=_raw
            )
            subscriber(deliver)
            self._subscribers.append(subscriber)

    async def watch(self) -> None:
        """Make the group where it is missing (a new or emptied server), start readers that do not run."""
        try:
            # From the first message on: what was accepted before anybody read counts too.
            await self._redis.xgroup_create(STREAM, self._group, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
        for subscriber in self._subscribers:
            if not subscriber.running:
                await subscriber.start()

    async def close(self) -> None:
        """Stop reading, disconnect."""
        await self._broker.stop()
        await self._redis.aclose()


class KafkaEventStream:
    """Kafka, by tenant in one partition; needs the extra `kafka`. Offsets are kept by who counts, not by Kafka alone."""

    def __init__(self, url: str, broker: Any = None) -> None:
        if broker is None:
            from faststream.kafka import KafkaBroker

            broker = KafkaBroker(urlsplit(url).netloc, apply_types=False, logger=None)
        self.broker = broker
        self._running = False

    async def open(self) -> None:
        """Connect."""
        await self.broker.connect()

    async def send(self, packed: PackedEvents) -> bool:
        """Publish; Kafka keeps what waits on disk, so it is never full."""
        if not self._running:
            await self.broker.start()
            self._running = True
        await self.broker.publish(encode(packed), topic=STREAM.replace(":", "."), key=packed.tenant.encode())
        return True

    async def server(self) -> str:
        """Kafka forgets nothing that it confirmed."""
        return ""

    def subscribe(self, group: str, consumer: str, handler: Handler, most: int) -> None:
        """Batches of one partition at a time; the offset is committed after the handler returned."""
        del consumer

        async def deliver(raw: Sequence[Any]) -> None:
            await handler([Delivery(m.value, f"{m.topic}.{m.partition}", str(m.offset)) for m in raw])

        self.broker.subscriber(
            STREAM.replace(":", "."), batch=True, max_records=most, group_id=group, auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR, parser=_parsed, decoder=_raw,
        )(deliver)  # fmt: skip

    async def watch(self) -> None:
        """Start the readers once; the client mends its connections itself."""
        if not self._running:
            await self.broker.start()
            self._running = True

    async def close(self) -> None:
        """Stop and disconnect."""
        await self.broker.stop()


def event_stream(url: str, most_waiting: int = 4000) -> Stream:
    """The stream at a URL: redis://host:port/0, rediss://, unix://, or kafka://host:port."""
    return KafkaEventStream(url) if urlsplit(url).scheme == _KAFKA else RedisEventStream(url, most_waiting)


STREAM_ERRORS = (OSError, RedisError, TimeoutError)
