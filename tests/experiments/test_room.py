"""The experiments room on a real Postgres: nobody moves, nothing counts twice, bad input is named."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from services.experiments.app import create_app
from shared.context import TENANT_HEADER
from shared.settings import Settings
from tests.rooms import clients_of, serving

UNITS = [f"u{n}" for n in range(60)]


@pytest.fixture
async def room(settings: Settings, clean_database: str) -> AsyncIterator[httpx.AsyncClient]:
    async with clients_of(settings) as clients, serving(create_app(settings, clients), settings) as client:
        yield client


async def put(room: httpx.AsyncClient, key: str = "e1", **fields: Any) -> httpx.Response:
    body = {"experimentKey": key, "variants": [{"key": "control"}, {"key": "new"}]} | fields
    return await room.put(f"/experiments/{key}", json=body)


async def start(room: httpx.AsyncClient, key: str = "e1", **fields: Any) -> httpx.Response:
    assert (await put(room, key, **fields)).status_code == 200
    return await room.post(f"/experiments/{key}/start")


async def arms(room: httpx.AsyncClient, key: str = "e1") -> dict[str, str]:
    found = {}
    for unit in UNITS:
        for one in (await room.post("/assignments", json={"unit": unit})).json()["assignments"]:
            if one["experimentKey"] == key:
                found[unit] = one["arm"]
    return found


def seen(number: int, **fields: Any) -> dict[str, Any]:
    base = {"experimentKey": "e1", "unit": f"u{number}", "arm": "new", "metric": "exposure", "value": 1,
            "time": "2026-01-01T00:00:00Z", "idempotencyKey": f"k{number}"}  # fmt: skip
    return base | fields


async def test_starting_and_stopping_others_moves_nobody_of_a_running_experiment(room: httpx.AsyncClient) -> None:
    await start(room, "first", trafficPercent=20)
    await start(room, trafficPercent=50)
    before = await arms(room)
    assert set(before.values()) == {"control", "new"}
    assert (await start(room, "third", trafficPercent=30)).status_code == 200
    await room.post("/experiments/first/stop")
    await start(room, "fourth", layer="copy")
    assert await arms(room) == before
    third = await arms(room, "third")
    assert not set(third) & set(before)


async def test_a_restarted_room_assigns_the_same_arms(settings: Settings, clean_database: str) -> None:
    found = []
    for first in (True, False):
        async with clients_of(settings) as clients, serving(create_app(settings, clients), settings) as room:
            if first:
                await start(room)
            found.append(await arms(room))
    assert len(found[0]) == len(UNITS)
    assert found[0] == found[1]


async def test_the_same_observation_twice_or_at_once_counts_once(room: httpx.AsyncClient) -> None:
    await start(room)
    batch = {"observations": [seen(n) for n in range(50)] + [seen(3)]}
    answers = await asyncio.gather(*[room.post("/observations", json=batch) for _ in range(4)])
    assert [a.status_code for a in answers] == [200] * 4
    assert sum(a.json()["stored"] for a in answers) == 50
    assert sum(a.json()["duplicates"] for a in answers) == 4 * 51 - 50
    assert (await room.get("/experiments/e1/readout")).json()["srm"]["observed"] == {"new": 50}


async def test_only_exposed_units_count_and_their_values_are_summed(room: httpx.AsyncClient) -> None:
    await start(room)
    values = [(1, 2.0, "a"), (1, 3.0, "b"), (2, 9.0, "c")]
    rows = [seen(1), seen(3), *(seen(n, metric="reward", value=v, idempotencyKey=k) for n, v, k in values)]
    await room.post("/observations", json={"observations": rows})
    found = (await room.get("/experiments/e1/readout")).json()
    new = next(a for a in found["arms"] if (a["metric"], a["arm"]) == ("reward", "new"))
    assert (new["units"], new["mean"]) == (2, 2.5)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"experimentKey": "none"}, "experimentKey"), ({"arm": "none"}, "arm"),
     ({"experimentKey": "holdout", "arm": "new"}, "arm")],
)  # fmt: skip
async def test_an_unknown_experiment_or_arm_is_refused_by_its_index(
    room: httpx.AsyncClient, change: dict[str, Any], field: str
) -> None:
    await start(room)
    stored = (await room.post("/observations", json={"observations": [seen(1), seen(2, **change)]})).json()
    assert (stored["stored"], stored["rejected"]) == (1, 1)
    assert stored["errors"][0]["field"] == f"observations[1].{field}"


async def test_a_broken_guardrail_stops_its_arm_and_its_people_get_the_control(room: httpx.AsyncClient) -> None:
    harm = [{"metric": "dismiss", "direction": "increase", "threshold": 0.1}]
    await start(room, guardrailMetrics=harm)
    before = await arms(room)
    rows = []
    for n in range(800):
        arm = "new" if n % 2 else "control"
        rows.append(seen(n, arm=arm))
        if arm == "new" or n % 20 == 0:
            rows.append(seen(n, arm=arm, metric="dismiss", idempotencyKey=f"d{n}"))
    for first in range(0, len(rows), 1000):
        await room.post("/observations", json={"observations": rows[first : first + 1000]})
    found = (await room.post("/experiments/e1/check")).json()
    assert found["stoppedArms"] == ["new"]
    assert set(before.values()) == {"control", "new"}
    assert set((await arms(room)).values()) == {"control"}


async def test_another_tenant_sees_no_experiment_and_no_observation(room: httpx.AsyncClient) -> None:
    await start(room)
    await room.put("/holdout", json={"percent": 50})
    other = {TENANT_HEADER: "globex"}
    assert (await room.get("/experiments/e1", headers=other)).status_code == 404
    assert (await room.get("/active", headers=other)).json() == {
        "holdout": {"percent": 0.0, "serve": "random"}, "experiments": []
    }  # fmt: skip
    refused = await room.post("/observations", json={"observations": [seen(1)]}, headers=other)
    assert refused.json()["rejected"] == 1


async def test_an_erased_persons_observations_are_gone(room: httpx.AsyncClient) -> None:
    await start(room)
    await room.post("/observations", json={"observations": [seen(1), seen(2)]})
    assert (await room.delete("/units/u1")).json() == {"rows": 1}
    assert (await room.get("/experiments/e1/readout")).json()["srm"]["observed"] == {"new": 1}


@pytest.mark.parametrize("body", [
    '{"experimentKey":"e1","variants":[{"key":"a","weight":NaN},{"key":"b"}]}',
    '{"experimentKey":"e1","variants":[{"key":"a","weight":1e999},{"key":"b"}]}',
    '{"experimentKey":"e1","variants":[{"key":"a","weight":0},{"key":"b","weight":0}]}',
    '{"experimentKey":"e1","variants":[{"key":"a","config":{"x":"\\u0000"}},{"key":"b"}]}',
    '{"experimentKey":"e1","variants":[{"key":"a","config":{"x\\u0000":1}},{"key":"b"}]}',
    '{"experimentKey":"e1","variants":[{"key":"a","config":[]},{"key":"b"}]}',
    '{"experimentKey":"e1","layer":"\\u0000","variants":[{"key":"a"},{"key":"b"}]}',
    '{"experimentKey":"e1","variants":[{"key":"a","config":' + '{"a":' * 500 + "1" + "}" * 500 + '},{"key":"b"}]}',
    '{"experimentKey":"holdout","variants":[{"key":"a"},{"key":"b"}]}',
])  # fmt: skip
async def test_a_body_that_cannot_be_stored_is_the_callers_mistake(room: httpx.AsyncClient, body: str) -> None:
    answer = await room.put("/experiments/e1", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in {400, 422}
    assert (await room.get("/experiments")).json() == {"experiments": []}


@pytest.mark.parametrize("key", ["e1", "holdout"])
async def test_before_there_is_data_a_readout_has_nulls(room: httpx.AsyncClient, key: str) -> None:
    await put(room)
    found = (await room.get(f"/experiments/{key}/readout")).json()
    assert all(
        found["comparisons"][0][name] is None for name in ("difference", "ciLow", "liftHigh", "incrementalValue")
    )
    assert found["srm"]["ok"]
