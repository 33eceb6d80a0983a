"""What the room gets wrong today: each of these fails on the committed code and passes with room.patch."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.experiments import readout
from services.experiments.app import create_app
from services.experiments.service import ExperimentService
from services.experiments.settings import ExperimentsSettings
from services.experiments.statistics import Sums
from shared.context import TENANT_HEADER
from shared.contracts.experiments import Arm, Experiment, Guardrail
from shared.settings import Settings
from tests.rooms import TENANT, clients_of, serving


@pytest.fixture
async def room(settings: Settings, clean_database: str) -> AsyncIterator[httpx.AsyncClient]:
    async with clients_of(settings) as clients, serving(create_app(settings, clients), settings) as client:
        yield client


async def start(room: httpx.AsyncClient, key: str = "e1", headers: dict[str, str] | None = None, **fields: Any) -> None:
    body = {"experimentKey": key, "variants": [{"key": "control"}, {"key": "new"}]} | fields
    assert (await room.put(f"/experiments/{key}", json=body, headers=headers)).status_code == 200
    assert (await room.post(f"/experiments/{key}/start", headers=headers)).status_code == 200


def seen(unit: str, key: str, **fields: Any) -> dict[str, Any]:
    return {"experimentKey": "e1", "unit": unit, "arm": "new", "metric": "exposure", "value": 1,
            "time": "2026-01-01T00:00:00Z", "idempotencyKey": key} | fields  # fmt: skip


def zeros(n: int) -> Sums:
    return Sums(n, 0.0, 0.0)


def coins(rate: float, n: int) -> Sums:
    hits = float(np.random.default_rng(1).binomial(n, rate))
    return Sums(n, hits, hits)


@pytest.mark.parametrize(
    ("direction", "control", "arm"),
    [("decrease", coins(0.2, 5000), zeros(5000)), ("increase", zeros(5000), coins(0.3, 5000)),
     ("decrease", Sums(5000, -5000.0, 30_000.0), Sums(5000, -15_000.0, 60_000.0))],
    ids=["sales fall to none", "complaints where there were none", "a loss trebles"],
)  # fmt: skip
def test_a_guardrail_sees_the_worst_harm(direction: Any, control: Sums, arm: Sums) -> None:
    one = Experiment(experiment_key="e1", variants=[Arm(key="control"), Arm(key="new")],
                     guardrail_metrics=[Guardrail(metric="m", direction=direction, threshold=0.1)])  # fmt: skip
    found = readout.read(one, {"m": {"control": control, "new": arm}}, {"control": 5000, "new": 5000})
    assert readout.broken_arms(found) == ["new"]


async def test_units_of_a_stopped_arm_stay_in_it(room: httpx.AsyncClient) -> None:
    await start(room)
    later = seen("u1", "k2", arm="control", time="2026-01-02T00:00:00Z")
    await room.post("/observations", json={"observations": [seen("u1", "k1"), later]})
    assert (await room.get("/experiments/e1/readout")).json()["srm"]["observed"] == {"new": 1}


async def test_one_absurd_value_does_not_take_the_readout_away(room: httpx.AsyncClient) -> None:
    await start(room)
    rows = [seen("u1", "k1"), seen("u1", "k2", metric="reward", value=1e200)]
    stored = (await room.post("/observations", json={"observations": rows})).json()
    assert (stored["stored"], stored["rejected"]) == (1, 1)
    assert (await room.get("/experiments/e1/readout")).status_code == 200


async def test_a_nul_in_one_metric_refuses_that_observation_only(room: httpx.AsyncClient) -> None:
    await start(room)
    rows = [seen("u1", "k1"), seen("u1", "k2", metric="a\0b")]
    answer = await room.post("/observations", json={"observations": rows})
    assert answer.status_code == 200
    assert answer.json()["errors"][0]["field"] == "observations[1].metric"


async def test_one_tenants_failing_check_does_not_leave_the_others_unguarded(
    room: httpx.AsyncClient, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start(room)
    await start(room, headers={TENANT_HEADER: "globex"})
    checked = []

    async def check(self: ExperimentService, tenant: str, key: str) -> None:
        checked.append(tenant)
        message = "a bad readout"
        raise RuntimeError(message)

    monkeypatch.setattr(ExperimentService, "check", check)
    await ExperimentService(engine, ExperimentsSettings()).check_all()
    assert sorted(checked) == [TENANT, "globex"]


async def test_a_vanishing_weight_is_refused_and_breaks_no_readout(room: httpx.AsyncClient) -> None:
    body = {"experimentKey": "e1", "variants": [{"key": "control", "weight": 5e-324}, {"key": "new", "weight": 1000}]}
    put = await room.put("/experiments/e1", json=body)
    await room.post("/observations", json={"observations": [seen("u1", "k1")]})
    assert (await room.get("/experiments/e1/readout")).status_code in {200, 404}
    assert put.status_code == 422


async def test_the_key_in_the_path_is_the_key_in_the_body(room: httpx.AsyncClient) -> None:
    body = {"experimentKey": "e1", "variants": [{"key": "control"}, {"key": "new"}]}
    assert (await room.put("/experiments/other", json=body)).status_code == 422
