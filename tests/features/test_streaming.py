"""The stream counts what the table counts: out of order, late, twice, killed in the middle, while everything is computed."""

import asyncio
import contextlib
import datetime as dt
import os
import signal
import subprocess
import sys
from typing import Any

import msgspec
import numpy as np
import pytest

from services.events.packing import packed
from services.features.streaming import GROUP, Counter
from shared.clients.stream import KafkaEventStream, event_stream
from shared.contracts.events import Event
from shared.contracts.features import FeatureView
from shared.contracts.stream import STREAM, decode, encode
from tests.features.replay import VIEWS, assert_equal, drained, wire
from tests.features.suite import Suite, until
from tests.rooms import TENANT


async def test_a_replayed_year_counts_as_the_table_does(suite: Suite, journey: list[Event]) -> None:
    """Half of a year is computed, the rest comes in random order, with batches sent twice, while all is computed anew."""
    await suite.put_views(VIEWS)
    order = np.random.default_rng(5).permutation(len(journey))
    half = len(journey) // 2
    await suite.send(*wire(journey[:half]))
    await suite.compute()
    rest = [journey[i] for i in order if i >= half]
    computing = asyncio.create_task(suite.compute())
    for start in range(0, len(rest), 400):
        part = wire(rest[start : start + 400])
        await suite.send(*part)
        if start % 1200 == 0:
            await suite.send(*part)  # known ids: stored once, published once
    run = await computing
    assert run.state == "done"
    await until(lambda: drained(suite))
    await assert_equal(suite, journey)
    anew = await suite.compute()
    assert anew.version == run.version
    await assert_equal(suite, journey)


async def test_messages_that_come_twice_or_out_of_order_count_once(suite: Suite, journey: list[Event]) -> None:
    await suite.put_views(VIEWS)
    await suite.compute()
    await suite.store.redis.xgroup_destroy(STREAM, GROUP)
    messages = [m for n in range(0, 3000, 300) for m in packed(TENANT, 10**12 + n, 1, journey[n : n + 300])]
    stream = event_stream(suite.settings.redis_url)
    await stream.open()
    for place in np.random.default_rng(1).integers(0, len(messages), 40):
        await stream.send(messages[place])
    for message in reversed(messages):
        await stream.send(message)
    await stream.close()
    await until(lambda: drained(suite))
    await assert_equal(suite, journey[:3000])


async def test_a_consumer_that_is_killed_loses_nothing_and_doubles_nothing(
    quiet_suite: Suite, journey: list[Event]
) -> None:
    """kill -9, three times, at any moment; another consumer takes over what the dead one had taken."""
    suite = quiet_suite
    await suite.put_views(VIEWS)
    await suite.compute()
    stream = event_stream(suite.settings.redis_url, 10_000)
    await stream.open()
    for number, start in enumerate(range(0, 10_000, 5)):
        for message in packed(TENANT, 10**12 + number, 1, journey[start : start + 5]):
            await stream.send(message)
    await stream.close()
    command = [sys.executable, "-m", "tests.features.consumer", suite.settings.redis_url]
    process = await asyncio.create_subprocess_exec(
        *command, "v1", "v2", "v3", "last", stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    try:
        for number in range(4):
            victim = int(await process.stdout.readline())
            left = await suite.store.redis.xlen(STREAM)
            goal = left - 200 if number < 3 else 1
            await until(lambda goal=goal: fewer(suite, goal), 60)
            os.kill(victim, signal.SIGKILL)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    assert left > 0  # the last one had something left to do
    await assert_equal(suite, journey[:10_000])


async def fewer(suite: Suite, than: int) -> bool:
    return bool(await suite.store.redis.xlen(STREAM) < than)


async def test_an_emptied_server_is_taken_up_again(suite: Suite, journey: list[Event]) -> None:
    """Redis lost everything: the group is made again, the tenant's features are asked for, and come back whole."""
    await suite.put_views(VIEWS)
    await suite.send(*wire(journey[:100]))
    await suite.compute()
    await suite.store.redis.flushdb()
    assert await suite.online("hh-1") == [] or (await suite.online("hh-1")) == [{}]
    await suite.send(*wire(journey[100:200]))
    await until(lambda: drained(suite), 30)
    await suite.compute()
    await assert_equal(suite, journey[:200])


async def test_an_event_of_the_future_counts_from_its_time_on(suite: Suite) -> None:
    await suite.put_views([FeatureView(name="n", windows=["1h"])])
    await suite.compute()
    now = dt.datetime.now(dt.UTC)
    ahead = now + dt.timedelta(hours=20)
    await suite.send({"eventId": "f", "profileId": "a", "type": "x", "time": ahead.isoformat()})
    await until(lambda: drained(suite))
    assert await suite.online("a") == [{"n_1h": 0}]
    assert await suite.online("a", at=ahead) == [{"n_1h": 0}]
    assert await suite.online("a", at=ahead + dt.timedelta(microseconds=1)) == [{"n_1h": 1}]


async def test_an_erased_person_does_not_come_back_out_of_the_stream(quiet_suite: Suite, journey: list[Event]) -> None:
    """Keys go at once; what waits in the stream, and what a computation read before, is passed over."""
    suite = quiet_suite
    await suite.put_views(VIEWS)
    await suite.send(*wire(journey[:300]))
    await suite.compute()
    who = journey[0].profile_id
    await suite.send(*wire(journey[300:600]))  # waits in the stream
    answer = await suite.features.delete(f"/profiles/{who}/features")
    assert answer.json() == {"keys": 1}
    counter = Counter(suite.store, None)
    stream = event_stream(suite.settings.redis_url)
    stream.subscribe(GROUP, "late", counter.count, 8)
    await stream.open()
    await stream.watch()
    await until(lambda: drained(suite))
    assert not [key async for key in suite.store.redis.scan_iter(match=f"atelier:{TENANT}:features:*:p:{who}")]
    later = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=5)
    old = next(packed(TENANT, 10**13, int(later.timestamp() * 1000), journey[:1]))
    await stream.send(old)  # accepted after the erasure: the same id is somebody new
    await until(lambda: drained(suite))
    assert (await suite.online(who))[0]["buys_lifetime"] == 1
    await stream.close()


async def test_kafka_drives_the_same_handler(suite: Suite, journey: list[Event]) -> None:
    """FastStream's in-memory Kafka: the handler is the same; offsets, kept with the counts, make a redelivery harmless."""
    kafka = pytest.importorskip("faststream.kafka", reason="the extra kafka is not installed")
    await suite.put_views(VIEWS)
    await suite.compute()
    broker = kafka.KafkaBroker(apply_types=False, logger=None)
    stream = KafkaEventStream("kafka://localhost:9092", broker)
    counter = Counter(suite.store, None)
    deliveries: list[Any] = []

    async def count(found: list[Any]) -> None:
        # The broker in memory gives every message the offset 0.
        numbered = [msgspec.structs.replace(one, position=str(len(deliveries) + n)) for n, one in enumerate(found)]
        deliveries.extend(numbered)
        await counter.count(numbered)

    stream.subscribe(GROUP, "one", count, 8)
    async with kafka.TestKafkaBroker(broker):
        for number, message in enumerate(packed(TENANT, 10**12, 1, journey[:1200])):
            await broker.publish(encode(message), topic=STREAM.replace(":", "."))
            assert decode(deliveries[-1].body).part == number
    assert len(deliveries) == 3
    assert (await suite.online(journey[0].profile_id))[0]["buys_lifetime"] > 0
    await counter.count(deliveries)  # all again, as after a crash before the commit of the offsets
    await suite.store.redis.delete(*[key async for key in suite.store.redis.scan_iter(match="*:seen:*")])
    await counter.count(deliveries)  # and again, when nobody remembers the messages any more
    await assert_equal(suite, journey[:1200])
    # A partition holds messages of other tenants before and behind this tenant's.
    rows = journey[1200:1300]
    mixed = [next(packed(who, 10**12 + n, 1, rows)) for n, who in ((7, "other"), (8, TENANT), (9, "other"))]
    await counter.count([
        msgspec.structs.replace(deliveries[-1], body=encode(message), position=str(100 + n)) for n, message in enumerate(mixed)
    ])  # fmt: skip
    await assert_equal(suite, journey[:1300])


async def test_a_message_that_cannot_be_read_is_dropped(suite: Suite) -> None:
    await suite.store.redis.xadd(STREAM, {"__data__": b"\xff nonsense"})
    await until(lambda: drained(suite))
