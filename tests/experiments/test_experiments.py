"""Experiments over the public API: arms change decisions without code, outcomes come back as metrics, once each."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.decisions.shop import decide, ids, items, offer, outcome, person, policy, publish, put, stock

GREEDY = {"exploration": {"kind": "none"}}


async def start(api: httpx.AsyncClient, key: str, variants: list[dict[str, Any]], **more: Any) -> None:
    await put(api, f"/v1/experiments/{key}", {"experimentKey": key, "variants": variants, **more})
    assert (await api.post(f"/v1/experiments/{key}/start")).status_code == 200


async def readout(api: httpx.AsyncClient, key: str, units: int) -> dict[str, Any]:
    """Exposures reach the readout with the journal, a moment after the answer."""
    for _ in range(100):
        found = dict((await api.get(f"/v1/experiments/{key}/readout")).json())
        if sum(found["srm"]["observed"].values()) >= units:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(found)


async def test_arms_change_the_policy_and_the_copy_and_stay_with_their_people(suite: httpx.AsyncClient) -> None:
    await stock(suite, offer("cheap", boost=2), offer("dear", value={"amount": "50", "currency": "USD"}))
    await policy(suite, **GREEDY, learn=False, arbitration={"value": 0})
    for version in ("v1", "v2"):
        await publish(suite, "cheap", version, f"Words of the {'first' if version == 'v1' else 'second'}")
    await policy(suite, **GREEDY, learn=False, arbitration={"value": 0})  # what is live is looked at again
    variants = [{"key": "control", "promptVersion": "v1"}, {"key": "money", "config": {"arbitration": {"value": 1}}}]
    await start(suite, "value", variants)
    shown: dict[str, set[str]] = {}
    for n in range(30):
        await person(suite, f"p{n}")
        one, two = await decide(suite, f"p{n}", limit=1), await decide(suite, f"p{n}", limit=1)
        assert one["experiments"] == two["experiments"]
        arm = one["experiments"][0]["arm"]
        shown.setdefault(arm, set()).update(ids(one))
        if arm == "control":
            assert items(one)[0]["data"]["content"]["sections"] == {"headline": "Words of the first"}
        token = items(one)[0]["characteristics"]["tokens"][0]
        await outcome(suite, token, "interact", f"k{n}")
        await outcome(suite, token, "interact", f"k{n}")
        assert (await suite.post(f"/v1/decisions/{one['id']}/replay")).json()["identical"]
    assert shown == {"control": {"cheap"}, "money": {"dear"}}
    found = await readout(suite, "value", 30)
    assert sum(found["srm"]["observed"].values()) == 30
    means = {a["arm"]: a["mean"] for a in found["arms"] if a["metric"] == "reward"}
    assert means == {"control": 1.0, "money": 1.0}


async def test_the_holdout_gets_chance_and_is_in_no_experiment(suite: httpx.AsyncClient) -> None:
    await stock(suite, offer("a", boost=90), offer("b"))
    await policy(suite, **GREEDY)
    await put(suite, "/v1/holdout", {"percent": 50, "serve": "random"})
    await start(suite, "e", [{"key": "c"}, {"key": "t"}])
    held = []
    for n in range(40):
        await person(suite, f"p{n}")
        made = await decide(suite, f"p{n}", limit=1)
        arms = {a["experimentKey"]: a["arm"] for a in made["experiments"]}
        assert ("e" in arms) != made["holdout"]
        assert items(made)[0]["probability"] == (0.5 if made["holdout"] else 1.0)
        held += [made["id"]] if made["holdout"] else []
    assert 10 <= len(held) <= 30
    found = await readout(suite, "holdout", 40)
    assert found["srm"]["observed"] == {"held_out": len(held), "treated": 40 - len(held)}
    await put(suite, "/v1/holdout", {"percent": 50, "serve": "nothing"})
    await asyncio.sleep(2.2)  # remembered for two seconds
    made = [await decide(suite, f"p{n}", limit=1) for n in range(40)]
    assert sum(not items(one) for one in made) == len(held)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"variants": [{"key": "one"}]}, 422),
        ({"variants": [{"key": "a"}, {"key": "a"}]}, 422),
        ({"variants": [{"key": "a", "weight": -1}, {"key": "b"}]}, 422),
        ({"variants": [{"key": "a", "config": "x"}, {"key": "b"}]}, 422),
        ({"trafficPercent": 0}, 422),
        ({"experimentKey": "other"}, 422),
    ],
)
async def test_experiments_that_cannot_run_are_refused(
    suite: httpx.AsyncClient, change: dict[str, Any], status: int
) -> None:
    body = {"experimentKey": "e", "variants": [{"key": "a"}, {"key": "b"}], **change}
    answer = await suite.put("/v1/experiments/e", json=body)
    assert answer.status_code == status, answer.text


async def test_a_running_experiment_is_not_edited_and_a_full_layer_takes_no_more(suite: httpx.AsyncClient) -> None:
    await start(suite, "one", [{"key": "a"}, {"key": "b"}], trafficPercent=60)
    body = {"experimentKey": "one", "variants": [{"key": "a"}, {"key": "c"}]}
    assert (await suite.put("/v1/experiments/one", json=body)).status_code == 409
    await put(suite, "/v1/experiments/two", {**body, "experimentKey": "two", "trafficPercent": 50})
    assert (await suite.post("/v1/experiments/two/start")).status_code == 409
    assert (await suite.post("/v1/experiments/none/start")).status_code == 404


async def test_an_arm_whose_config_is_no_policy_degrades_and_never_fails(suite: httpx.AsyncClient) -> None:
    await stock(suite, offer("a"))
    await policy(suite)
    await start(suite, "bad", [{"key": "a", "config": {"exploration": {"kind": "magic"}}},
                               {"key": "b", "config": {"exploration": {"kind": "magic"}}}])  # fmt: skip
    await person(suite, "anna")
    made = await decide(suite, "anna", limit=1)
    assert ids(made) == ["a"]
    assert any(reason.startswith("experiment_config") for reason in made["degraded"])
