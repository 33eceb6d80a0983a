"""The real vLLM as judge: whatever so small a model says, what is reported of it is consistent."""

import httpx
import pytest

from services.evaluation.settings import EvaluationSettings
from shared.settings import Settings
from tests.evaluation.copybook import many, results, worked

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1200)]


async def test_a_small_real_judge_is_calibrated_kept_and_held_to_its_kappa(
    engine_url: str, shop: httpx.AsyncClient, settings: Settings
) -> None:
    await many(shop, 3)
    own = EvaluationSettings(
        evaluation_judge_base_url=engine_url,
        evaluation_calibration_items=4,
        evaluation_judge_max_tokens=160,
        evaluation_judge_seconds=600,
    )
    metrics = ["claim_support", "verdict", "faithfulness"]
    gates = [{"metric": "verdict", "threshold": 0.1}, {"metric": "claim_support", "threshold": 0.5}]
    runs = []
    for _ in range(2):
        body = {"judge": True, "metrics": metrics, "gates": gates, "seed": 2}
        run = (await shop.post("/v1/evaluations", json=body)).json()["runId"]
        await worked(shop, settings, run, own)
        runs.append((await shop.get(f"/v1/evaluations/{run}")).json())
    first, again = runs
    assert first["state"] == "done", first["problem"]
    judge = first["judge"]
    assert (judge["model"], judge["pairs"], set(judge["metrics"])) == (
        "smollm2-135m-instruct",
        1,
        {"verdict", "faithfulness"},
    )
    for name, one in judge["metrics"].items():
        assert one["items"] == 4
        assert 0 <= one["agreement"] <= 1
        assert -1 <= one["kappaLow"] <= one["kappa"] <= one["kappaHigh"] <= 1
        assert one["mayGate"] == (one["kappaLow"] >= judge["neededKappa"])
        mine = next(found for found in first["summaries"] if found["metric"] == name)
        assert mine["gates"] == one["mayGate"]
        assert mine["n"] + sum(mine["abstained"].values()) == 3
        assert not mine["errors"]
    by_metric = {gate["metric"]: gate for gate in first["gates"]}
    assert (by_metric["verdict"]["passed"] is None) == (not judge["metrics"]["verdict"]["mayGate"])
    assert by_metric["claim_support"]["passed"]
    assert first["cost"]["calls"] > 0
    assert first["cost"]["promptTokens"] > 100 * first["cost"]["calls"] / 2
    # Asked again, only what got no answer is asked anew.
    passing = sum(
        n
        for one in first["summaries"]
        for reason, n in one["abstained"].items()
        if reason in {"timeout", "unreachable"}
    )
    assert again["cost"]["calls"] <= 2 * passing
    if not passing:
        assert await results(shop, first["runId"]) == await results(shop, again["runId"])
