"""Roll-outs where decisions are made: who decides for whom, swapped under traffic, replayed, and when a scorer is damaged."""

import asyncio
import datetime as dt
import json
from typing import Any

import httpx
import msgspec
import psycopg
import pytest

from services.decisions import rollouts
from services.decisions.assortment import Pinned, digest
from shared.clients.decisions import DecisionsClient
from shared.clients.http import RemoteProblemError
from shared.context import CallContext, bound
from shared.contracts.policies import ArmsQuery, Policy, Rollout
from shared.settings import Settings
from tests.decisions.shop import decide, ids, items, offer, outcome, person, policy, put, stock

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def likes(key: str) -> dict[str, Any]:
    """A scorer that likes one offer."""
    return {"offers": {key: {"intercept": 3.0}}, "intercept": -3.0}


async def scorer(api: httpx.AsyncClient, key: str, likes_: str) -> None:
    await put(api, f"/v1/scorers/{key}", {"modelId": key, "kind": "linear", "body": likes(likes_)})


async def roll(api: httpx.AsyncClient, **changes: Any) -> Rollout:
    with bound(CallContext(tenant="acme", request_id="test")):
        return await internal(api).put_rollout(Rollout(model_key="clicks", **changes))


def internal(api: httpx.AsyncClient) -> DecisionsClient:
    clients = api.host._clients  # type: ignore[attr-defined]
    return clients.decisions  # type: ignore[no-any-return]


@pytest.fixture
async def shop(suite: httpx.AsyncClient) -> httpx.AsyncClient:
    """Two offers, a scorer that likes each, a policy that names the model."""
    await stock(suite, offer("hat"), offer("shoe"))
    await scorer(suite, "clicks.v1", "hat")
    await scorer(suite, "clicks.v2", "shoe")
    await roll(suite, live="clicks.v1")
    await policy(suite, scorer="clicks", learn=False, exploration={"kind": "none"})
    for n in range(40):
        await person(suite, f"p{n}")
    return suite


async def test_the_live_scorer_decides_and_the_challenger_for_its_share(shop: httpx.AsyncClient) -> None:
    alone = await decide(shop, "p0", limit=1)
    assert (ids(alone), alone["modelVersion"][:10], alone["degraded"]) == (["hat"], "clicks.v1@", [])
    assert "rollout" not in (await shop.get(f"/v1/decisions/{alone['id']}")).json()["versions"]
    await roll(shop, live="clicks.v1", challenger="clicks.v2", share=0.3, salt="one")
    few = {f"p{n}": await decide(shop, f"p{n}", limit=1) for n in range(40)}
    challenged = {key for key, made in few.items() if made["modelVersion"].startswith("clicks.v2@")}
    assert all(ids(made) == (["shoe"] if key in challenged else ["hat"]) for key, made in few.items())
    expected = Rollout(model_key="clicks", challenger="clicks.v2", share=0.3, salt="one")
    assert challenged == {key for key in few if rollouts.is_challenged("acme", expected, key)}
    assert 3 <= len(challenged) <= 22
    record = (await shop.get(f"/v1/decisions/{few[min(challenged)]['id']}")).json()
    assert record["versions"]["rollout"] == "clicks.v2:canary"
    stranger = await decide(shop, "nobody", limit=1)
    assert stranger["modelVersion"].startswith("clicks.v1@")
    await roll(shop, live="clicks.v1", challenger="clicks.v2", share=0.7, salt="one")
    more = {f"p{n}" for n in range(40) if ids(await decide(shop, f"p{n}", limit=1)) == ["shoe"]}
    assert challenged < more, "who was in stays in"
    await roll(shop, live="clicks.v2", previous="clicks.v1")
    assert ids(await decide(shop, "p0", limit=1)) == ["shoe"]
    for made in [alone, stranger, *few.values()]:  # all of them as they were, whatever is live
        replayed = (await shop.post(f"/v1/decisions/{made['id']}/replay")).json()
        assert replayed["identical"], replayed


async def test_the_scorer_is_swapped_under_traffic_and_no_request_fails(shop: httpx.AsyncClient) -> None:
    stop = asyncio.Event()
    answers: list[dict[str, Any]] = []

    async def ask(n: int) -> None:
        while not stop.is_set():
            answer = await shop.post("/v1/decisions", json={"profileId": f"p{n}", "channel": "web", "limit": 1})
            assert answer.status_code == 200, answer.text
            answers.append(answer.json())

    asking = [asyncio.create_task(ask(n)) for n in range(8)]
    for swap in range(6):
        now, before = ("clicks.v2", "clicks.v1") if swap % 2 == 0 else ("clicks.v1", "clicks.v2")
        await roll(shop, live=now, previous=before)
        first = ids(await decide(shop, "p20", limit=1))
        assert first == (["shoe"] if now == "clicks.v2" else ["hat"]), "it decides from the next call on"
        await asyncio.sleep(0.3)
    stop.set()
    await asyncio.gather(*asking)
    by = {"clicks.v1": ["hat"], "clicks.v2": ["shoe"]}
    assert len(answers) > 50
    assert not [made for made in answers if any("scorer" in note for note in made["degraded"])]
    # A busy machine may let a leaf service be late; whoever could be decided for was, by the version that the answer names.
    wrong = [
        made for made in answers if not made["degraded"] and ids(made) != by[made["modelVersion"].partition("@")[0]]
    ]
    assert not wrong, wrong[0]
    assert {made["modelVersion"].partition("@")[0] for made in answers} == set(by)
    for made in answers[:: max(1, len(answers) // 20)]:
        replayed = (await shop.post(f"/v1/decisions/{made['id']}/replay")).json()
        assert replayed["identical"], replayed


def damage(settings: Settings, key: str, body: dict[str, Any]) -> None:
    """Change a stored document behind the suite's back."""
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        query = "UPDATE decisions.document SET body = %s WHERE kind = 'model' AND key = %s"
        assert connection.execute(query, (json.dumps(body), key)).rowcount == 1


@pytest.mark.parametrize(
    "body",
    [
        {"modelId": "clicks.v2", "kind": "linear", "body": likes("hat")},  # loads, and is another model
        {"modelId": "clicks.v2", "kind": "linear", "body": {"intercept": "x"}},
        {"modelId": "clicks.v2"},
    ],
)
async def test_where_the_live_scorer_is_damaged_the_previous_one_decides_and_says_so(
    shop: httpx.AsyncClient, settings: Settings, body: dict[str, Any]
) -> None:
    await scorer(shop, "clicks.v0", "shoe")
    await roll(shop, live="clicks.v2", previous="clicks.v1")
    damage(settings, "clicks.v2", body)
    await policy(shop, scorer="clicks", learn=False, exploration={"kind": "none"})  # everything is read anew
    made = await decide(shop, "p0", limit=1)
    assert (ids(made), made["modelVersion"][:10]) == (["hat"], "clicks.v1@")
    assert len(made["degraded"]) == 1
    assert made["degraded"][0].startswith("scorer_unusable: clicks.v2: ")
    assert made["degraded"][0].endswith("decides")
    assert (await shop.post(f"/v1/decisions/{made['id']}/replay")).json()["identical"]
    # The damaged one can still be rolled back.
    await roll(shop, live="clicks.v1", challenger="clicks.v2", share=1.0, salt="s")
    made = await decide(shop, "p0", limit=1)
    assert made["modelVersion"].startswith("clicks.v1@")
    assert made["degraded"]
    await roll(shop, live="clicks.v2", previous="clicks.v1")
    damage(settings, "clicks.v1", {"modelId": "clicks.v1", "kind": "trees", "body": {"model": "tree"}})
    await policy(shop, scorer="clicks", learn=False, exploration={"kind": "none"})
    made = await decide(shop, "p0", limit=1)
    assert made["modelVersion"].startswith("prior-")
    assert [note.partition(": ")[2][:9] for note in made["degraded"]] == ["clicks.v2", "clicks.v1"]
    assert all(note.endswith("the prior decides") for note in made["degraded"])


async def test_what_a_roll_out_names_exists_stays_and_does_not_change(shop: httpx.AsyncClient) -> None:
    client = internal(shop)
    with pytest.raises(RemoteProblemError) as refused:
        await roll(shop, live="clicks.v9")
    assert refused.value.errors[0].field == "live"
    with bound(CallContext(tenant="acme", request_id="test")):
        with pytest.raises(RemoteProblemError, match="is the name of a scorer"):
            await client.put_rollout(Rollout(model_key="clicks.v1"))
        with pytest.raises(RemoteProblemError, match="is named by the roll-out"):
            await client.delete_scorer("clicks.v1")
        with pytest.raises(RemoteProblemError) as slow:
            await client.timing("clicks.v9")
        assert slow.value.status == 422
        timing = await client.timing("clicks.v1")
    assert (timing.offers, timing.runs > 100, timing.median_ms > 0) == (2, True, True)
    await scorer(shop, "clicks.v1", "hat")
    changed = await shop.put(
        "/v1/scorers/clicks.v1", json={"modelId": "clicks.v1", "kind": "linear", "body": likes("shoe")}
    )
    assert changed.status_code == 409, changed.text
    taken = await shop.put("/v1/scorers/clicks", json={"modelId": "clicks", "kind": "linear", "body": {}})
    assert taken.status_code == 422
    other = await shop.put("/v1/policy", json={"scorer": "clicks"}, headers=shop.other)  # type: ignore[attr-defined]
    assert other.status_code == 422, "another tenant has no such model"


async def test_both_arms_are_counted_person_by_person(shop: httpx.AsyncClient) -> None:
    reward = {"wait_seconds": 1}
    await policy(shop, scorer="clicks", learn=False, exploration={"kind": "none"},
                 reward={"objective": "interact", "waitSeconds": reward["wait_seconds"]})  # fmt: skip
    await roll(shop, live="clicks.v1", challenger="clicks.v2", share=0.5, salt="one")
    for n in range(20):
        for turn in range(1 + n % 2):
            made = await decide(shop, f"p{n}", limit=1)
            token = items(made)[0]["characteristics"]["tokens"][0]
            if ids(made) == ["hat"] and turn == 0:
                await outcome(shop, token, "interact", f"i{n}")
            if ids(made) == ["shoe"]:
                await outcome(shop, token, "dismiss", f"d{n}-{turn}")
    await decide(shop, "nobody", limit=1)
    await decide(shop, "p39", limit=1, explore=False)
    await asyncio.sleep(1.5)
    with bound(CallContext(tenant="acme", request_id="test")):
        arms = await internal(shop).arms(ArmsQuery(challenger="clicks.v2", since=NOW))
        start = await internal(shop).log_start(5, dt.datetime.now(dt.UTC))
        everything = await internal(shop).log_start(1000, dt.datetime.now(dt.UTC))
        nothing = await internal(shop).log_start(5, NOW)
    mine = [n for n in range(20) if rollouts.is_challenged("acme", Rollout(model_key="clicks", challenger="c", share=0.5, salt="one"), f"p{n}")]  # fmt: skip
    rest = [n for n in range(20) if n not in mine]
    assert (arms.canary.persons, arms.live.persons) == (len(mine), len(rest))
    assert arms.canary.decisions == sum(1 + n % 2 for n in mine)
    assert arms.live.reward == pytest.approx(sum(1 / (1 + n % 2) for n in rest))
    assert arms.live.reward_squares == pytest.approx(sum(1 / (1 + n % 2) ** 2 for n in rest))
    assert [arms.canary.dismissed, arms.live.dismissed] == [pytest.approx(len(mine)), 0.0]
    assert (arms.canary.reward, arms.canary.degraded, arms.canary.sampled) == (0, 0, arms.canary.decisions)
    assert len(arms.live.pairs) == arms.live.decisions
    assert sum(seen for _, seen in arms.live.pairs) == len(rest)
    assert (start.decisions, everything.decisions, nothing.start) == (5, 32, None)


def test_what_was_pinned_before_there_were_roll_outs_reads_and_is_named_as_before() -> None:
    class Before(msgspec.Struct, frozen=True):
        offers: list[str]
        rules: list[str]
        policy: Policy
        variants: list[str] = []
        models: list[str] = []

    old = Before([], [], Policy(scorer="m"))
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=Pinned)
    assert read == Pinned([], [], Policy(scorer="m"))
    assert set(read.parts()) == {"offers", "rules", "policy", "variants", "models", "all"}
    assert read.parts()["policy"] == digest(old.policy)
    assert rollouts.order("m", read.rollouts) == [("m", "")]
    assert rollouts.arm("m", read.rollouts) == {}


def test_an_arm_as_it_is_pinned_does_not_know_the_share() -> None:
    few, many = (Rollout(model_key="m", live="a", challenger="b", share=share, salt="s", digests={"a": "1", "x": "2"})
                 for share in (0.1, 0.9))  # fmt: skip
    for challenged in (True, False):
        assert rollouts.fixed(few, challenged=challenged) == rollouts.fixed(many, challenged=challenged)
    assert rollouts.order("m", [rollouts.fixed(few, challenged=True)]) == [("b", ""), ("a", "1")]
    assert rollouts.order("m", [rollouts.fixed(few, challenged=False)]) == [("a", "1")]
    stopped = msgspec.structs.replace(few, share=0.0)
    assert rollouts.arm("m", [rollouts.fixed(stopped, challenged=False)]) == {}
