"""What no clock, table or person could make sense of is refused before it reaches the table."""

import asyncio
import datetime as dt
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.events.app import create_app
from services.events.importing import create_sink
from shared.contracts.events import Event
from shared.ingest.importer import ImportSource, run_import
from shared.settings import Settings
from tests.rooms import TENANT, clients_of, serving


@pytest.fixture
async def room(settings: Settings, clean_database: str) -> AsyncIterator[httpx.AsyncClient]:
    async with clients_of(settings) as clients, serving(create_app(settings, clients), settings) as client:
        yield client


def event(number: int, **fields: Any) -> dict[str, Any]:
    return {"eventId": f"e{number}", "profileId": "p1", "type": "x", "time": "2026-01-02T03:04:05Z"} | fields


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


REFUSED = [
    ({"value": "1e40"}, "value"),
    ({"value": "NaN"}, "value"),
    ({"discount": "-Infinity"}, "discount"),
    ({"productId": "a\0b"}, "productId"),
    ({"offerId": "\0"}, "offerId"),
    ({"time": "0001-01-01T00:00:00+14:00"}, "time"),
    ({"properties": {"a": nested(60)}}, "properties"),
]


@pytest.mark.parametrize(("change", "field"), REFUSED)
async def test_it_is_refused_by_name(room: httpx.AsyncClient, change: dict[str, Any], field: str) -> None:
    answer = await room.post("/events", json={"events": [event(1, **change)]})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, f"events[0].{field}")
    mixed = await room.post("/events/ingest", json=[event(2), event(3, **change)])
    assert (mixed.json()["stored"], mixed.json()["rejected"]) == (1, 1)


@pytest.mark.parametrize(
    "payload", [None, 5, "x", [], [None], [[]], {}, {"specversion": "1.0", "data": 3}, {"_id": 4, "identityMap": 7},
                {"_id": "a", "identityMap": {"x": [{"id": "p"}]}, "eventType": [], "timestamp": 1, "productListItems": 3},
                {"eventId": "a", "properties": nested(900)}]
)  # fmt: skip
async def test_no_payload_breaks_the_mixed_endpoint(room: httpx.AsyncClient, payload: Any) -> None:
    answer = await room.post("/events/ingest", json=payload)
    assert answer.status_code in {200, 400, 422}
    assert answer.status_code != 200 or answer.json()["stored"] == 0


async def test_an_import_goes_past_all_of_them(engine: AsyncEngine, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    rows = [event(n, **change) for n, (change, _) in enumerate(REFUSED)]
    path.write_text(
        "".join(json.dumps(row) + "\n" for row in [*rows, event(99), event(100, time="0987-01-01T00:00:00Z")])
    )
    sink = create_sink("events", engine, settings, TENANT)
    report = await run_import(sink, kind="events", source=ImportSource(path=path), data_dir=tmp_path, tenant=TENANT)
    assert (report.stored, report.rejected) == (2, len(REFUSED))
    assert [e.line for e in report.first_errors] == list(range(1, len(REFUSED) + 1))


async def test_the_same_events_arriving_at_once_in_any_order_are_stored_once(
    engine: AsyncEngine, settings: Settings
) -> None:
    sink = create_sink("events", engine, settings, TENANT)
    time = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    rows = [Event(event_id=f"e{n}", profile_id="p", type="x", time=time) for n in range(3000)]
    orders = [random.Random(seed).sample(rows, len(rows)) for seed in range(4)]
    written = await asyncio.gather(*map(sink.write, orders))
    assert sum(w.stored for w in written) == 3000
    assert sum(w.duplicates for w in written) == 9000
