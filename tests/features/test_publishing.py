"""Accepted events reach whoever counts them: by the stream, by the sweeper, by an export; none is lost."""

import os
import time
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.events import exporting, publishing
from services.events.packing import packed
from shared.clients.stream import event_stream
from shared.contracts.events import Event
from shared.contracts.stream import STREAM
from shared.contracts.tasks import MaterialiseFeatures
from tests.features.replay import VIEWS, assert_equal, drained, wire
from tests.features.suite import Suite, until
from tests.rooms import TENANT


async def test_what_was_stored_and_not_published_is_published_by_the_sweeper(
    suite: Suite, journey: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies between the commit and the stream, or the stream is full; nothing is lost, nothing doubled."""
    await suite.put_views(VIEWS)
    await suite.compute()
    monkeypatch.setattr(publishing, "_SETTLED_SECONDS", 0.2)
    monkeypatch.setattr(publishing, "_ORPHANED_SECONDS", 0.4)

    async def dies(*_: Any) -> bool:
        raise OSError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(publishing.Publisher, "_send", dies)
        await suite.send(*wire(journey[:700]))
    await suite.send(*wire(journey[700:900]))
    await until(lambda: announced_none(suite), 20)
    await until(lambda: drained(suite))
    await assert_equal(suite, journey[:900])


async def announced_none(suite: Suite) -> bool:
    async with await psycopg.AsyncConnection.connect(suite.settings.database_url) as connection:
        found = await (await connection.execute("SELECT count(*) FROM events.outbox")).fetchone()
    return found == (0,)


async def test_what_a_restarted_server_forgot_is_sent_again(suite: Suite, journey: list[Event]) -> None:
    """Its run id is another one: the newest messages count as never sent, and are counted once all the same."""

    class Restarting:
        runs = "one"

        def __init__(self) -> None:
            self.sent: list[Any] = []

        async def send(self, message: Any) -> bool:
            self.sent.append(message)
            return True

        async def server(self) -> str:
            return self.runs

    stream = Restarting()
    publisher = publishing.Publisher(suite.engine, stream, None)  # type: ignore[arg-type]
    await publisher.sweep()
    await publisher.publish(TENANT, 5, 0, journey[:3])
    stream.runs = "two"
    await publisher.sweep()
    assert len(stream.sent) == 1
    assert publisher._sent == {}


async def test_what_waited_too_long_is_computed_anew(engine: AsyncEngine) -> None:
    """However much it is: it goes in one step, and nothing newer waits behind it."""

    class Asked:
        def __init__(self) -> None:
            self.tenants: list[str] = []

        def send(self, task: MaterialiseFeatures) -> None:
            self.tenants.append(task.tenant)

    async with engine.begin() as connection:
        await connection.execute(text(
            "INSERT INTO events.outbox SELECT n, 't' || n % 2, now() - interval '10 minutes' FROM generate_series(1, 1200) n"
        ))  # fmt: skip
    asked = Asked()
    publisher = publishing.Publisher(engine, event_stream("redis://127.0.0.1:1"), asked)  # type: ignore[arg-type]
    await publisher.sweep()
    assert asked.tenants == ["t0", "t1"]
    async with engine.begin() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM events.outbox"))).scalar_one() == 0


def test_an_export_holds_line_breaks_in_labels(tmp_path: Path) -> None:
    """Over many blocks of the file, whose ends lie within labels."""
    rows, label = 20_000, "green\ntea\n" * 20
    with (tmp_path / "lines.csv").open("w", newline="") as file:
        file.write(",".join(exporting._SCHEMA.names) + "\n")
        file.writelines(f'{n},p{n},x,"{label}""fresh""",,,,,,,1.5,,\n' for n in range(rows))
    assert exporting._to_parquet(tmp_path / "lines.csv", tmp_path / "found.parquet") == rows
    found = pa.parquet.read_table(tmp_path / "found.parquet")
    assert set(found["category"].to_pylist()) == {f'{label}"fresh"'}
    assert found["at"].to_pylist() == list(range(rows))


def test_exports_that_somebody_left_are_removed_after_a_day(tmp_path: Path) -> None:
    left, used = tmp_path / "left.parquet", tmp_path / "used.parquet"
    for path, age in ((left, 90_000), (used, 60)):
        path.write_bytes(b"")
        os.utime(path, (time.time() - age, time.time() - age))
    exporting._remove_left(tmp_path)
    assert [path.exists() for path in (left, used)] == [False, True]


async def test_a_full_stream_leaves_events_in_the_database(suite: Suite, journey: list[Event]) -> None:
    stream = event_stream(suite.settings.redis_url, 2)
    await stream.open()
    await suite.store.redis.delete(STREAM)
    for _ in range(2):
        await suite.store.redis.xadd(STREAM, {"x": "y"})
    assert not await stream.send(next(packed(TENANT, 1, 0, journey[:2])))
    await stream.close()
