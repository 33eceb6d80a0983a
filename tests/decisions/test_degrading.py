"""With parts down a decision still comes, with an approved item and the reason; caps hold; nothing answered is lost."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from services.decisions.people import People
from shared.settings import Settings
from shared.stack.valkey import Valkey, free_port
from tests.decisions.conftest import settled
from tests.decisions.shop import decide, ids, items, offer, outcome, policy, stock
from tests.journeys.suite import beside, started

ROOT = Path(__file__).resolve().parents[2]


async def test_without_redis_capped_offers_are_withheld_and_decisions_are_still_logged(
    shop: httpx.AsyncClient, own_valkey: Valkey
) -> None:
    assert ids(await decide(shop, "anna", limit=1)) == ["capped"]
    own_valkey.stop()
    made = [await decide(shop, "anna", limit=1) for _ in range(5)]
    assert [ids(one) for one in made] == [["free"]] * 5
    assert all(any(reason.startswith("counters_unavailable") for reason in one["degraded"]) for one in made)
    record = (await shop.get(f"/v1/decisions/{made[-1]['id']}")).json()
    assert record["funnel"] == {"offers": 2, "frequency_cap": 1}


async def test_caps_hold_over_a_redis_that_lost_everything(
    shop: httpx.AsyncClient, own_valkey: Valkey, tmp_path: Path
) -> None:
    token = items(await decide(shop, "anna", limit=1))[0]["characteristics"]["tokens"][0]
    await outcome(shop, token, "display", "seen")  # reads the log, so what is in the stream is written
    own_valkey.stop()
    assert ids(await decide(shop, "anna", limit=1)) == ["free"]
    again = Valkey(tmp_path / "empty", port=own_valkey.port)
    try:
        assert await settled(shop) == 1  # two in a lifetime, one of them before the loss
    finally:
        again.stop()


async def test_a_redis_that_hangs_costs_one_deadline_and_then_nothing(
    settings: Settings, clean_database: str, tmp_path: Path, own_valkey: Valkey
) -> None:
    (tmp_path / "data").mkdir()
    data = beside(settings, tmp_path / "data")
    own = msgspec.structs.replace(settings, atelier_data=data, redis_url=own_valkey.url, redis_ms=1000)
    async with started(own) as api:
        await stock(api, offer("a"))
        await decide(api, "anna")
        own_valkey.process.send_signal(signal.SIGSTOP)
        try:
            await decide(api, "anna")  # each of the services on the way finds out
            begun = time.monotonic()
            answers = await asyncio.gather(*(decide(api, f"p{n}") for n in range(20)))
            spent = time.monotonic() - begun
        finally:
            own_valkey.process.send_signal(signal.SIGCONT)
        assert all(ids(one) == ["a"] for one in answers)
        assert spent < 0.9  # not one of them waited for Redis
        breaker = api.host.apps["decisions"].litestar.dependencies["decisions"].dependency()._counters.breaker  # type: ignore[attr-defined]
        for _ in range(100):
            if not breaker.is_open:
                break
            await asyncio.sleep(0.05)
        assert not breaker.is_open


async def test_without_redis_a_capped_fallback_is_withheld_and_the_empty_answer_is_logged(
    shop: httpx.AsyncClient, own_valkey: Valkey
) -> None:
    await shop.put(
        "/v1/rules/never", json={"ruleId": "never", "when": {"field": "profile.attributes.zz", "op": "exists"}}
    )
    capped = {"ruleIds": ["never"], "capping": [{"window": "lifetime", "limit": 2}]}
    await stock(shop, offer("capped", **capped), offer("free", ruleIds=["never"]))
    await policy(shop, exploration={"kind": "none"}, learn=False, fallbackOfferIds=["capped"])
    assert ids(await until_steady(shop)) == ["capped"]
    own_valkey.stop()
    made = await decide(shop, "anna", limit=1)
    assert ids(made) == []
    assert (await shop.get(f"/v1/decisions/{made['id']}")).status_code == 200


async def test_a_slow_or_dead_profiles_service_costs_personal_data_not_the_answer(
    shop: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stuck(*_: Any) -> None:
        await asyncio.sleep(60)

    app = shop.host.apps["decisions"].litestar  # type: ignore[attr-defined]
    decisions = app.dependencies["decisions"].dependency()
    people: People = decisions._people
    monkeypatch.setattr(people, "_seconds", 0.05)
    monkeypatch.setattr(people._profiles, "context", stuck)
    made = await decide(shop, "anna", limit=1)
    assert len(ids(made)) == 1
    assert "profiles_unavailable: no personal data is used" in made["degraded"]


async def test_the_search_down_costs_relevance_not_the_answer(
    shop: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await policy(shop, relevance=True, exploration={"kind": "none"}, learn=False)
    app = shop.host.apps["retrieval"].litestar  # type: ignore[attr-defined]
    searching = app.dependencies["searching"].dependency()

    async def dead(*_: Any) -> None:
        raise OSError("the vector store is gone")

    monkeypatch.setattr(searching, "search", dead)
    made = await decide(shop, "anna", limit=1)
    assert len(ids(made)) == 1
    assert any(reason.startswith("search_unavailable") for reason in made["degraded"])


async def test_more_offers_than_are_considered_is_said(
    shop: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = shop.host.apps["decisions"].litestar  # type: ignore[attr-defined]
    policies = app.dependencies["policies"].dependency()
    catalog = policies._catalog
    monkeypatch.setattr(catalog, "_settings", msgspec.structs.replace(catalog._settings, decisions_max_offers=1))
    policies.forget("acme")
    made = await decide(shop, "anna", limit=1)
    assert any(reason.startswith("too_many_offers: only the first 1") for reason in made["degraded"])


async def test_offers_that_are_over_take_no_room_from_those_that_run(
    suite: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies = suite.host.apps["decisions"].litestar.dependencies["policies"].dependency()  # type: ignore[attr-defined]
    catalog = policies._catalog
    monkeypatch.setattr(catalog, "_settings", msgspec.structs.replace(catalog._settings, decisions_max_offers=3))
    over = {"endDate": "2020-02-01T00:00:00Z"}
    await stock(suite, offer("a", **over), offer("b", **over), offer("c", **over), offer("y"), offer("z"))
    policies.forget("acme")
    made = await decide(suite, "x", limit=3)
    assert sorted(ids(made)) == ["y", "z"]
    assert not any("too_many" in reason for reason in made["degraded"])
    record = (await suite.get(f"/v1/decisions/{made['id']}")).json()
    assert record["funnel"] == {"offers": 3, "expired": 2}  # where there is room, what is over is told


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"limit": 0}, 422), ({"limit": 31}, 422), ({"scopes": []}, 422), ({"at": "yesterday"}, 422),
        ({"candidateIds": ["x"] * 501}, 422), ({"attributes": {"a": {"b": 1}}}, 422), ({"channel": "fax"}, 422),
        ({"candidateIds": ["gone"]}, 200), ({"scopes": ["nowhere"]}, 200), ({"attributes": {"f": 1e308}}, 200),
        ({"at": "1971-01-01T00:00:00Z"}, 200), ({"at": "2098-01-01T00:00:00+14:00"}, 200),
        ({"at": "0001-01-01T00:00:00+14:00"}, 422), ({"page": "x\x00y"}, 200),
    ],
)  # fmt: skip
async def test_no_request_makes_a_5xx(suite: httpx.AsyncClient, change: dict[str, Any], status: int) -> None:
    await stock(suite, offer("a"))
    answer = await suite.post("/v1/decisions", json={"profileId": "x", "channel": "web", **change})
    assert answer.status_code == status, answer.text
    if status == 200 and not items(answer.json()):
        assert answer.json()["reason"]


async def test_kill_9_loses_no_decision_that_was_answered(
    settings: Settings, clean_database: str, tmp_path: Path, own_valkey: Valkey
) -> None:
    (tmp_path / "data").mkdir()
    port = free_port()
    environ = {**os.environ, "DATABASE_URL": clean_database, "REDIS_URL": own_valkey.url, "INTERNAL_TOKEN": "kill",
               "ATELIER_DATA": str(beside(settings, tmp_path / "data")), "LOG_LEVEL": "warning"}  # fmt: skip
    command = [sys.executable, "-m", "services", "serve", "all", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environ, start_new_session=True)  # noqa: ASYNC220
    answered: list[str] = []
    inner = {"x-atelier-internal-token": "kill", "x-atelier-tenant": "acme"}
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}/_internal", headers=inner, timeout=10
        ) as direct:
            await _ready(f"http://127.0.0.1:{port}")
            for n in range(5):
                (await direct.put(f"/retrieval/offers/o{n}", json=offer(f"o{n}"))).raise_for_status()

            async def hammer() -> None:
                while True:
                    try:
                        answer = await direct.post("/decisions/decide", json={"profileId": "x", "channel": "web"})
                    except httpx.HTTPError:
                        return
                    assert answer.status_code == 200, answer.text
                    answered.append(answer.json()["id"])

            work = [asyncio.create_task(hammer()) for _ in range(8)]
            for _ in range(3000):
                await asyncio.sleep(0.01)
                if len(answered) >= 200:
                    break
            os.killpg(process.pid, signal.SIGKILL)
            await asyncio.gather(*work)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
    assert len(answered) >= 200
    own = msgspec.structs.replace(settings, atelier_data=tmp_path / "data", redis_url=own_valkey.url)
    async with started(own) as api:
        found = [(await api.get(f"/v1/decisions/{decision_id}")).status_code for decision_id in answered]
    assert set(found) == {200}


async def _ready(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=2) as api:
        for _ in range(600):
            try:
                if (await api.get("/health/live")).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.1)
    raise AssertionError("the service did not start")


async def test_a_rest_after_a_dismissal_holds_over_a_redis_that_lost_everything_where_nothing_is_capped(
    shop: httpx.AsyncClient, own_valkey: Valkey, tmp_path: Path
) -> None:
    await shop.delete("/v1/offers/capped")
    await stock(shop, offer("other", boost=50))
    await policy(
        shop, exploration={"kind": "none"}, learn=False, contact={"suppressions": [{"after": "dismiss", "days": 2}]}
    )
    made = await until_steady(shop)
    assert ids(made) == ["other"]
    await outcome(shop, items(made)[0]["characteristics"]["tokens"][0], "dismiss", "no")
    assert ids(await decide(shop, "anna", limit=1)) == ["free"]
    own_valkey.stop()
    again = Valkey(tmp_path / "empty", port=own_valkey.port)
    try:
        assert any(
            "rests after outcomes are not known" in reason for reason in (await decide(shop, "anna"))["degraded"]
        )
        assert ids(await until_steady(shop)) == ["free"]
    finally:
        again.stop()


async def until_steady(shop: httpx.AsyncClient) -> dict[str, Any]:
    """The first decision for Anna that is not degraded."""
    for _ in range(100):
        made = await decide(shop, "anna", limit=1)
        if not made["degraded"]:
            return made
        await asyncio.sleep(0.05)
    raise AssertionError(made["degraded"])
