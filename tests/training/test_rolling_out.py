"""Versions go live by their plan in a running suite, and bad ones are stopped at every gate."""

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import lightgbm
import msgspec
import numpy as np
import pytest
from sqlalchemy.exc import OperationalError

from services.training import cards
from services.training.errors import WrongStageError
from services.training.repository import TrainingRepository
from services.training.rolling import RolloutService
from services.training.service import TrainingService
from services.training.trained import Order
from shared.context import CallContext, bound
from shared.contracts.policies import ScorerModel
from shared.contracts.training import MoveStage, StageChange
from shared.db.engine import create_engine, transaction
from shared.errors import UnavailableError
from tests.decisions.shop import decide, ids, items, offer, person, policy, stock
from tests.training.test_training_room import REQUEST, made, small

PEOPLE = 260
CLICKS = {"hat": 0.6, "shoe": 0.1}


def logit(chance: float) -> float:
    return float(np.log(chance / (1 - chance)))


def believes(hat: float, shoe: float) -> dict[str, Any]:
    """A scorer's body by what it takes the chances of a click for."""
    return {"offers": {"hat": {"intercept": logit(hat)}, "shoe": {"intercept": logit(shoe)}}}


def many_trees() -> str:
    """A model that takes its time."""
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 1))
    y = (random.random(400) < 0.4).astype(float)
    settings = {"objective": "binary", "num_leaves": 15, "min_data_in_leaf": 2, "verbose": -1, "num_threads": 1,
                "learning_rate": 0.001}  # fmt: skip
    names = ["offer.priority"]
    return str(lightgbm.train(settings, lightgbm.Dataset(x, y, feature_name=names), 400).model_to_string())


@pytest.fixture
def slow_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The app's own loop does not come in between."""
    monkeypatch.setenv("TRAINING_ROLLOUT_SECONDS", "3600")


@pytest.fixture
async def training(suite: httpx.AsyncClient) -> AsyncIterator[TrainingService]:
    """The shop, in which people click on hats, and the service that keeps its models."""
    await stock(suite, offer("hat"), offer("shoe"))
    for start in range(0, PEOPLE, 10):
        await asyncio.gather(*(person(suite, f"p{n}") for n in range(start, start + 10)))
    await policy(suite, learn=False, **POLICY)
    clients = suite.host._clients  # type: ignore[attr-defined]
    async with made(clients._settings, clients) as service:
        yield service


POLICY: dict[str, Any] = {"exploration": {"kind": "epsilon", "epsilon": 0.5}, "reward": {"objective": "interact", "waitSeconds": 1}}  # fmt: skip


async def version(training: TrainingService, number: int, body: dict[str, Any], kind: Any = "linear") -> None:
    """A trained version with its scorer."""
    order = Order(tenant="acme", model_key="clicks")
    await training._clients.decisions.put_scorer(ScorerModel(model_id=f"clicks.v{number}", kind=kind, body=body))
    card = cards.card_of(small(), order, REQUEST.objective, "test", dt.datetime.now(dt.UTC))
    line = msgspec.structs.replace(card.lineage, version=number, scorer_id=f"clicks.v{number}")
    card = msgspec.structs.replace(card, model_key="clicks", version=number, lineage=line)
    first = StageChange(number=1, time=card.created_at, actor="ida", before=None, after="apprentice", reason="trained")
    async with transaction(training._engine) as connection:
        await TrainingRepository(connection).add_version("acme", card, "apprentice", first)


async def move(training: TrainingService, number: int, *stages: str) -> None:
    for stage in stages:
        asked = msgspec.convert({"to": stage, "by": "ida", "reason": "test"}, MoveStage)
        await training.move("acme", "clicks", number, asked)


async def first_live(api: httpx.AsyncClient, training: TrainingService) -> None:
    """Version 1, which knows what people like, decides."""
    await version(training, 1, believes(0.6, 0.1))
    await move(training, 1, "shadow", "canary", "live")
    await policy(api, scorer="clicks", learn=False, **POLICY)
    assert (await decide(api, "p0", limit=1))["modelVersion"].startswith("clicks.v1@")


async def traffic(api: httpx.AsyncClient, rounds: int, seed: int) -> float | None:
    """Everybody is decided for and clicks on what they like; the time of the first outcome for a challenger."""
    draw = np.random.default_rng(seed)
    bad: float | None = None
    for turn in range(rounds):
        found = []
        for start in range(0, PEOPLE, 10):
            found += await asyncio.gather(*(decide(api, f"p{n}", limit=1) for n in range(start, start + 10)))
        outcomes = [
            {"token": items(answer)[0]["characteristics"]["tokens"][0], "kind": "interact", "idempotencyKey": f"{seed}-{turn}-{n}"}
            for n, answer in enumerate(found) if draw.random() < CLICKS[ids(answer)[0]]
        ]  # fmt: skip
        answer = await api.post("/v1/outcomes", json={"outcomes": outcomes})
        assert answer.json()["rejected"] == 0, answer.text
        if bad is None and any(not one["modelVersion"].startswith("clicks.v1@") for one in found):
            bad = time.monotonic()
    return bad


SHADOW = {"leastDecisions": 200, "mostDecisions": 1000, "valueDrop": 0.3, "calibrationError": 0.1, "scoringMs": 0.05,
          "againSeconds": 0}  # fmt: skip
CANARY = [{"share": 0.5, "leastSeconds": 0, "leastDecisions": 100}]


async def plan(api: httpx.AsyncClient, shadow: dict[str, Any] | None = None, **more: Any) -> None:
    body = {"modelKey": "clicks", "shadow": SHADOW | (shadow or {}), "canary": CANARY, **more}
    answer = await api.put("/v1/models/clicks/rollout-plan", json=body)
    assert answer.status_code == 200, answer.text
    assert (await api.get("/v1/models/clicks/rollout-plan")).json() == answer.json()


async def post(api: httpx.AsyncClient, path: str, status: int, **body: Any) -> dict[str, Any]:
    answer = await api.post(f"/v1/models/clicks/rollout{path}", json=body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def state(api: httpx.AsyncClient) -> dict[str, Any]:
    return dict((await api.get("/v1/models/clicks/rollout")).json())


async def test_bad_versions_do_not_leave_the_shadow_and_good_ones_need_two_people(
    slow_loop: None, suite: httpx.AsyncClient, training: TrainingService
) -> None:
    await first_live(suite, training)
    rolling = RolloutService(training._engine, training._clients)
    await version(training, 2, believes(0.1, 0.6))
    await post(suite, "", 404, version=2, by="ida")  # no plan
    assert (await suite.get("/v1/models/clicks/rollout")).status_code == 404
    await plan(suite, {"calibrationError": 1.0})
    await post(suite, "", 404, version=9, by="ida")
    asked = await post(suite, "", 201, version=2, by="ida", reason="autumn")
    assert (asked["phase"], asked["liveVersion"], asked["version"]) == ("shadow", 1, 2)
    await post(suite, "", 409, version=2, by="ida")
    with pytest.raises(WrongStageError, match="has a roll-out plan"):
        await move(training, 2, "canary")
    assert await rolling.look("acme") == 0
    assert (await state(suite))["waiting"].startswith("decisions is "), "there is too little log"
    await traffic(suite, 2, 1)
    await asyncio.sleep(1.2)
    await rolling.look("acme")
    await stopped(suite, training, 2, "value_difference is -0.")
    # The same ranking with promises that are not kept.
    await version(training, 3, believes(0.97, 0.8))
    await plan(suite)
    await post(suite, "", 201, version=3, by="ida")
    await rolling.look("acme")
    await stopped(suite, training, 3, "calibration_error is 0.")
    await version(training, 4, {"model": many_trees()}, "trees")
    await post(suite, "", 201, version=4, by="ida")
    await rolling.look("acme")
    await stopped(suite, training, 4, "scoring_ms is ")
    await two_people(suite, training, rolling)


async def two_people(suite: httpx.AsyncClient, training: TrainingService, rolling: RolloutService) -> None:
    """A good version: the same person twice is one approval, and looks at once take one step."""
    await version(training, 5, believes(0.62, 0.11))
    await plan(suite, approvalsCanary=2)
    await post(suite, "", 201, version=5, by="ida")
    await post(suite, "/approve", 404, gate="live", by="bob")
    assert await rolling.look("acme") == 1
    for actor in ("ida", " IDA "):
        found = await post(suite, "/approve", 200, gate="canary", by=actor)
        assert len(found["approvals"]) == 1
    assert await rolling.look("acme") == 0
    found = await state(suite)
    assert (found["phase"], found["passed"], found["waiting"]) == ("shadow", True, "approvals for canary: 1 of 2")
    assert {one["name"]: one["passed"] for one in found["history"][1]["figures"]} == {
        "scoring_ms": True, "calibration_error": True, "decisions": True, "value_difference": True}  # fmt: skip
    await post(suite, "/approve", 200, gate="canary", by="bob")
    other = RolloutService(
        create_engine(str(training._engine.url.render_as_string(hide_password=False))), training._clients
    )
    taken = await asyncio.gather(*(one.look("acme") for one in (rolling, other, rolling, other)))
    assert sum(taken) == 1
    found = await state(suite)
    assert (found["phase"], found["share"], found["told"]) == ("canary", 0.5, True)
    assert [step["action"] for step in found["history"]].count("share raised") == 1
    shown = {(await decide(suite, f"p{n}", limit=1))["modelVersion"][:9] for n in range(30)}
    assert shown == {"clicks.v1", "clicks.v5"}
    await move(training, 5, "retired")  # by hand: the roll-out ends with it, and decisions are told
    assert ((await state(suite))["phase"], (await training.version("acme", "clicks", 5)).stage) == (
        "rolled back",
        "retired",
    )
    shown = {(await decide(suite, f"p{n}", limit=1))["modelVersion"][:9] for n in range(30)}
    assert shown == {"clicks.v1"}
    await other._engine.dispose()


async def stopped(api: httpx.AsyncClient, training: TrainingService, number: int, why: str) -> None:
    found = await state(api)
    assert (found["phase"], found["version"], found["liveVersion"]) == ("rejected", number, 1)
    assert found["history"][-1]["reason"].startswith(why), found["history"][-1]
    assert found["history"][-1]["figures"][-1]["passed"] is False
    assert (await training.version("acme", "clicks", number)).stage == "retired"
    assert (await decide(api, "p0", limit=1))["modelVersion"].startswith("clicks.v1@")


async def test_a_bad_canary_is_rolled_back_by_itself_within_a_minute_of_its_first_outcome(
    suite: httpx.AsyncClient, training: TrainingService, record_property: Any
) -> None:
    await first_live(suite, training)
    await version(training, 2, believes(0.1, 0.6))  # likes shoes, which nobody clicks on
    lenient = {"calibrationError": 1.0, "valueDrop": 1.0, "leastDecisions": 100}
    await plan(suite, lenient, canary=[CANARY[0] | {"leastSeconds": 3600}], guardrails={"calibrationError": 1.0})
    await traffic(suite, 1, 1)
    await asyncio.sleep(1.2)
    await post(suite, "", 201, version=2, by="ida")
    begin = time.monotonic()
    while (await state(suite))["phase"] != "canary":  # the app's own loop finds it, every ten seconds
        assert time.monotonic() - begin < 60, await state(suite)
        await asyncio.sleep(0.3)
    first, seed = None, 10
    while (await state(suite))["phase"] == "canary":
        seen = await traffic(suite, 1, seed)
        first, seed = first or seen, seed + 1
        assert first is None or time.monotonic() - first < 60, await state(suite)
    while not (await state(suite))["told"]:
        assert time.monotonic() - (first or 0) < 60, await state(suite)
        await asyncio.sleep(0.1)
    assert first is not None
    seconds = time.monotonic() - first
    record_property("seconds_to_roll_back", round(seconds, 1))
    print(f"rolled back {seconds:.1f} s after the first outcome of the challenger")  # noqa: T201
    assert seconds < 60
    shown = {(await decide(suite, f"p{n}", limit=1))["modelVersion"][:9] for n in range(30)}
    assert shown == {"clicks.v1"}
    found = await state(suite)
    assert (found["phase"], found["liveVersion"], found["history"][-1]["actor"]) == ("rolled back", 1, "atelier")
    assert found["history"][-1]["reason"].startswith("reward is -0.")
    assert (await training.version("acme", "clicks", 2)).stage == "retired"


async def test_a_good_version_goes_live_step_by_step_and_back_by_one_call(
    slow_loop: None, suite: httpx.AsyncClient, training: TrainingService, monkeypatch: pytest.MonkeyPatch
) -> None:
    await first_live(suite, training)
    rolling = RolloutService(training._engine, training._clients)
    await version(training, 2, believes(0.61, 0.1))
    await plan(suite, {"leastDecisions": 100}, canary=[CANARY[0] | {"share": 0.3}, CANARY[0] | {"share": 0.6}], approvalsLive=1,
               guardrails={"calibrationError": 0.3})  # fmt: skip
    await traffic(suite, 1, 1)
    await asyncio.sleep(1.2)
    await post(suite, "", 201, version=2, by="ida")
    assert await rolling.look("acme") == 2
    for seed in (2, 3):
        for turn in range(2 if seed == 2 else 1):
            await traffic(suite, 1, 10 * seed + turn)
        await asyncio.sleep(0.5)
        await rolling.look("acme")
    found = await state(suite)
    assert (found["step"], found["share"], found["waiting"]) == (1, 0.6, "approvals for live: 0 of 1"), found
    # What does not answer changes nothing: the live one stays.
    dead = RolloutService(create_engine("postgresql://nobody@127.0.0.1:1/nowhere"), training._clients)
    with pytest.raises(OperationalError):
        await dead.look_everywhere()
    with monkeypatch.context() as patch:
        patch.setattr(training._clients.decisions, "arms", down)
        assert await rolling.look("acme") == 0
    await post(suite, "/approve", 200, gate="live", by="bob")
    with monkeypatch.context() as patch:
        patch.setattr(training._clients.decisions, "put_rollout", down)
        assert await rolling.look("acme") == 1
        found = await state(suite)
        assert (found["phase"], found["liveVersion"], found["before"], found["told"]) == ("live", 2, 1, False)
        assert (await decide(suite, "nobody", limit=1))["modelVersion"].startswith("clicks.v1@")
    assert await rolling.look_everywhere() == 0
    assert (await state(suite))["told"]
    assert (await decide(suite, "nobody", limit=1))["modelVersion"].startswith("clicks.v2@")
    assert [step["action"] for step in (await state(suite))["history"]] == [
        "proposed", "shadow passed", "share raised", "share raised", "approved", "went live"]  # fmt: skip
    with bound(CallContext(tenant="acme", request_id="test")):
        assert (await training._clients.decisions.rollouts()).rollouts[0].previous == "clicks.v1"
    back = await post(suite, "/rollback", 200, by="ida", reason="complaints")
    assert (back["phase"], back["liveVersion"], back["told"]) == ("rolled back", 1, True)
    assert (await decide(suite, "nobody", limit=1))["modelVersion"].startswith("clicks.v1@")
    await post(suite, "/rollback", 404, by="ida", reason="again")
    with contextlib.suppress(Exception):
        await dead._engine.dispose()


async def down(*_: object) -> Any:
    raise UnavailableError("decisions do not answer")
