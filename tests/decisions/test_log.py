"""The log as estimators read it: a policy may name a scorer that came later, and is valued under it as it is now."""

from typing import Any

import httpx
import pytest

from shared.clients.http import RemoteProblemError
from shared.context import CallContext, bound
from tests.decisions.shop import decide, offer, person, policy, put, stock

UNDER = {"policy": {"scorer": "later", "learn": False, "exploration": {"kind": "none"}},
         "start": "2020-01-01T00:00:00Z", "end": "2099-01-01T00:00:00Z"}  # fmt: skip


async def scorer(api: httpx.AsyncClient, **intercepts: float) -> None:
    offers = {key: {"intercept": value} for key, value in intercepts.items()}
    await put(api, "/v1/scorers/later", {"modelId": "later", "kind": "linear", "body": {"offers": offers}})


async def expected(api: httpx.AsyncClient) -> dict[str, float]:
    row = (await api.post("/v1/decisions/log", json=UNDER)).json()["rows"][0]
    return dict(zip(row["offers"], row["expected"], strict=True))


async def test_a_log_is_valued_under_a_scorer_as_it_is_now_and_rows_say_when_and_of_which_inputs(
    suite: httpx.AsyncClient,
) -> None:
    await stock(suite, offer("a"), offer("b"))
    await person(suite, "anna", age=3)
    await policy(suite, exploration={"kind": "uniform"}, features=[{"field": "profile.attributes.age"}])
    at = "2026-03-01T10:00:00Z"
    await decide(suite, "anna", limit=1, at=at)
    refused = await suite.post("/v1/decisions/log", json=UNDER)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "scorer")
    await scorer(suite, a=3.0, b=-3.0)
    assert await expected(suite) == {"a": 1.0, "b": 0.0}
    await scorer(suite, a=-3.0, b=3.0)
    assert await expected(suite) == {"a": 0.0, "b": 1.0}, "what was worked out for the one before is not taken for it"
    page = (await suite.post("/v1/decisions/log", json={**UNDER, "policy": {}})).json()
    row = page["rows"][0]
    assert row["time"] == at
    names = page["spaces"][row["space"]]
    assert dict(zip(names, row["x"], strict=True))["profile.attributes.age"] == 3.0


async def test_only_the_model_that_decides_is_pinned_and_only_others_can_be_removed(suite: httpx.AsyncClient) -> None:
    decisions: Any = suite.host.apps["decisions"].litestar.dependencies["authoring"].dependency()  # type: ignore[attr-defined]
    policies = decisions._policies
    await stock(suite, offer("a"))
    await person(suite, "anna")
    await scorer(suite, a=1.0)

    async def named() -> list[str]:
        with bound(CallContext(tenant="acme", request_id="test")):
            pinned = (await policies.snapshot("acme")).pinned
            return [model.model_id for model in (await policies.assortment("acme", pinned, {})).pinned.models]

    assert await named() == []
    await policy(suite, scorer="later")
    assert await named() == ["later"]
    clients = suite.host._clients  # type: ignore[attr-defined]
    with bound(CallContext(tenant="acme", request_id="test")):
        with pytest.raises(RemoteProblemError, match="is the live policy's"):
            await clients.decisions.delete_scorer("later")
        await policy(suite)
        await clients.decisions.delete_scorer("later")
    answer = await suite.put("/v1/policy", json={"scorer": "later"})
    assert answer.status_code == 422
