"""What happened is stored once, belongs to one tenant, and adds up."""

import datetime as dt
import random
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import httpx
import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.events.app import create_app
from services.events.importing import create_sink
from shared.context import TENANT_HEADER
from shared.contracts.events import ActivityAnswer, Event, EventPage, EventsIngested
from shared.ingest.importer import ImportSource, run_import
from shared.settings import Settings
from tests.rooms import TENANT, clients_of, serving


@pytest.fixture
async def room(settings: Settings, clean_database: str) -> AsyncIterator[httpx.AsyncClient]:
    async with clients_of(settings) as clients, serving(create_app(settings, clients), settings) as client:
        yield client


def purchase(number: int, **fields: object) -> dict[str, object]:
    base: dict[str, object] = {
        "eventId": f"e{number}", "profileId": "p1", "type": "commerce.purchases", "time": f"2026-01-{number % 28 + 1:02d}T10:00:00Z",
        "category": "milk", "value": "1.50", "quantity": 1, "currency": "USD", "sessionId": f"b{number}",
    }  # fmt: skip
    return base | fields


async def test_the_same_event_twice_is_stored_once(room: httpx.AsyncClient) -> None:
    batch = {"events": [purchase(1), purchase(2), purchase(1)]}
    assert (await room.post("/events", json=batch)).json() == {"stored": 2, "duplicates": 1}
    assert (await room.post("/events", json=batch)).json() == {"stored": 0, "duplicates": 3}


async def test_history_pages_newest_first_without_gaps(room: httpx.AsyncClient) -> None:
    await room.post("/events", json={"events": [purchase(n) for n in range(25)]})
    seen: list[str] = []
    cursor = None
    while True:
        answer = await room.get("/profiles/p1/events", params={"limit": 7} | ({"cursor": cursor} if cursor else {}))
        page = msgspec.json.decode(answer.content, type=EventPage)
        seen += [e.event_id for e in page.events]
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == [f"e{n}" for n in range(24, -1, -1)]


async def test_another_tenant_sees_and_erases_nothing(room: httpx.AsyncClient) -> None:
    await room.post("/events", json={"events": [purchase(1)]})
    other = {TENANT_HEADER: "globex"}
    assert (await room.get("/profiles/p1/events", headers=other)).json()["events"] == []
    assert (await room.delete("/profiles/p1/events", headers=other)).json() == {"rows": 0}
    assert (await room.delete("/profiles/p1/events")).json() == {"rows": 1}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"time": "yesterday"}, "events[0].time"),
        ({"quantity": "many"}, "events[0].quantity"),
        ({"quantity": -1}, "events[0].quantity"),
        ({"time": "2999-01-01T00:00:00Z"}, "events[0].time"),
        ({"productName": "m" * 10_000}, "events[0].productName"),
        ({"category": "a\u0000b"}, "events[0].category"),
        ({"properties": {"a": "\u0000"}}, "events[0].properties"),
        ({"nonsense": 1}, "events[0]"),
    ],
)
async def test_a_wrong_event_names_its_field(room: httpx.AsyncClient, change: dict[str, object], field: str) -> None:
    answer = await room.post("/events", json={"events": [purchase(1, **change)]})
    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["errors"][0]["field"] == field
    assert (await room.get("/profiles/p1/events")).json()["events"] == []


@pytest.mark.parametrize("cursor", ["x", "!!!", "W10", "bm9uc2Vuc2U", "\u00e9"])
async def test_a_foreign_cursor_is_refused(room: httpx.AsyncClient, cursor: str) -> None:
    answer = await room.get("/profiles/p1/events", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad-cursor")


async def test_cloud_events_xdm_and_native_events_come_in_together(room: httpx.AsyncClient) -> None:
    person = {"identityMap": {"CRMID": [{"id": "other"}, {"id": "p1", "primary": True}]}}
    shown = {"propositions": [{"id": "d1", "scope": "hero", "items": [{"id": "o1"}, {"id": "o2"}]}],
             "propositionAction": {"tokens": ["t1"]}}  # fmt: skip
    items = [
        {"specversion": "1.0", "id": "c1", "source": "/shop", "type": "commerce.purchases", "subject": "p1",
         "time": "2026-01-02T00:00:00Z", "data": {"value": "2.00", "till": 4}},
        {"_id": "x1", "eventType": "decisioning.propositionDisplay", "timestamp": "2026-01-03T00:00:00Z", **person,
         "_experience": {"decisioning": shown}},
        {"_id": "x2", "eventType": "decisioning.propositionInteract", "timestamp": "2026-01-03T01:00:00Z", **person,
         "_experience": {"decisioning": {"proposition": shown["propositions"]}}},
        {"_id": "x3", "eventType": "commerce.purchases", "timestamp": "2026-01-04T00:00:00Z", **person,
         "productListItems": [{"SKU": "s1", "priceTotal": 3.5, "quantity": 2}], "commerce": {"order": {"purchaseID": "b"}}},
        purchase(9),
        {"hello": "world"}, 7, {"_id": "x4", "eventType": "x", "timestamp": "soon"},
    ]  # fmt: skip
    result = msgspec.json.decode((await room.post("/events/ingest", json=items)).content, type=EventsIngested)
    assert (result.stored, result.rejected) == (7, 3)
    assert [e.field.split(".")[0] for e in result.errors] == ["[5]", "[6]", "[7]"]
    stored = msgspec.json.decode((await room.get("/profiles/p1/events")).content, type=EventPage).events
    by_id = {e.event_id: e for e in stored}
    assert by_id["x1:0"].offer_id == "o1"
    # One token, one outcome: it stands with the first item and is not said of the other one as well.
    assert by_id["x1:0"].properties["tokens"] == ["t1"]
    assert "tokens" not in by_id["x1:1"].properties
    assert by_id["c1"].properties == {"till": 4}
    assert by_id["x3"].value == Decimal("3.5")


async def test_activity_equals_a_plain_recomputation(room: httpx.AsyncClient) -> None:
    rng = random.Random(7)
    rows = [
        purchase(
            n, profileId=f"p{rng.randrange(3)}", category=rng.choice(["milk", "tea", None]), value=str(rng.randrange(900) / 100),
            discount=rng.choice(["0.25", "0", None]), sessionId=f"b{rng.randrange(40)}", brand=rng.choice(["A", "B"]),
            time=(dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=rng.randrange(2000))).isoformat(),
        )
        for n in range(400)
    ]  # fmt: skip
    await room.post("/events", json={"events": rows})
    as_of = dt.datetime(2026, 2, 20, tzinfo=dt.UTC)
    body = {"profileIds": ["p0", "p1", "p2", "nobody"], "asOf": as_of.isoformat()}
    answer = msgspec.json.decode((await room.post("/activity", json=body)).content, type=ActivityAnswer)
    assert [a.profile_id for a in answer.activities] == ["p0", "p1", "p2"]
    for activity in answer.activities:
        mine = [msgspec.convert(r, Event) for r in rows if r["profileId"] == activity.profile_id]
        mine = [e for e in mine if e.time <= as_of]
        assert activity.lines == len(mine)
        assert activity.baskets == len({e.session_id for e in mine})
        assert activity.spend == sum((e.value or 0 for e in mine), Decimal(0))
        assert activity.discounted_lines == sum(1 for e in mine if e.discount)
        assert activity.basket_days == sorted({e.time.date() for e in mine})
        milk = next(c for c in activity.categories if c.category == "milk")
        assert milk.baskets == len({e.session_id for e in mine if e.category == "milk"})
        assert milk.last_time == max(e.time for e in mine if e.category == "milk")
        assert {b.brand for b in activity.brands} == {"A", "B"}


async def test_importing_a_file_twice_changes_nothing(engine: AsyncEngine, settings: Settings, tmp_path: Path) -> None:
    lines = "".join(f"e{n},p{n % 7},commerce.purchases,2026-01-02T00:00:00Z,1.25\n" for n in range(500))
    path = tmp_path / "e.csv"
    path.write_text("eventId,profileId,type,time,value\n" + lines + "late,p1,x,2999-01-01T00:00:00Z,1\n")
    sink = create_sink("events", engine, settings, TENANT)
    first, second = [
        await run_import(sink, kind="events", source=ImportSource(path=path), data_dir=tmp_path, tenant=TENANT)
        for _ in range(2)
    ]
    assert (first.stored, first.rejected) == (500, 1)
    assert first.first_errors[0].field == "time"
    assert (second.stored, second.duplicates, second.rejected) == (0, 500, 1)
