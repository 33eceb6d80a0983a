"""The express route answers what the framework's handler beside it answers; both stand for one method."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from services.gateway.service import KeyService
from services.gateway.settings import GatewaySettings
from shared.clients.http import RemoteProblemError
from shared.context import CallContext, bound
from shared.contracts.decisions import DecisionRequest
from shared.db.engine import create_engine
from shared.settings import Settings
from tests.decisions.shop import ids, offer, person, policy, stock
from tests.journeys.suite import beside, started

FRAMEWORK = "/v1/decisions?by=framework"  # a query is out of the ordinary, so the framework serves it
EXPRESS = "/v1/decisions"


@pytest.fixture
async def shop(settings: Settings, clean_database: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    (tmp_path / "data").mkdir()
    own = msgspec.structs.replace(settings, atelier_data=beside(settings, tmp_path / "data"))
    async with started(own) as api:
        await stock(api, offer("a", boost=50), offer("b"))
        await policy(api, exploration={"kind": "none"}, learn=False)
        await person(api, "anna")
        yield api


def shape(answer: httpx.Response) -> tuple[int, str, set[str], Any]:
    """What must be equal: status, media type, names of headers, and the body without what is new each time."""
    body = answer.json()
    for name in ("id", "requestId", "tookMs"):
        body.pop(name, None)
    for proposition in body.get("propositions", []):
        proposition.pop("id")
        proposition["scopeDetails"].pop("correlationID", None)
        for item in proposition["items"]:
            item["characteristics"].pop("tokens")
    return answer.status_code, answer.headers["content-type"].split(";")[0], set(answer.headers), body


@pytest.mark.parametrize(
    "body",
    [
        b'{"profileId": "anna", "channel": "web", "limit": 2}',
        b'{"identityMap": {"CRMID": [{"id": "nobody"}]}, "channel": "web"}',
        b'{"channel": "web"}',
        b'{"profileId": "anna", "limit": 0}',
        b'{"profileId": 7}',
        b"{",
        b"",
        b'{"profileId": "\xff"}',
        b"[" * 5000,
    ],
    ids=["a person", "a stranger", "nobody", "limit 0", "wrong type", "half", "empty", "not UTF-8", "deep"],
)
async def test_both_ways_answer_alike(shop: httpx.AsyncClient, body: bytes) -> None:
    head = {"content-type": "application/json"}
    fast = await shop.post(EXPRESS, content=body, headers=head)
    slow = await shop.post(FRAMEWORK, content=body, headers=head)
    assert shape(fast) == shape(slow)
    assert fast.headers["x-request-id"] != slow.headers["x-request-id"]


@pytest.mark.parametrize("path", [EXPRESS, FRAMEWORK])
async def test_both_ways_ask_for_the_key_and_its_scope(shop: httpx.AsyncClient, settings: Settings, path: str) -> None:
    engine = create_engine(settings.database_url)
    other = await KeyService(engine, GatewaySettings()).create("acme", ["events"])
    await engine.dispose()
    body = {"profileId": "anna"}
    answers = [
        await shop.post(path, json=body, headers={"authorization": "Bearer atl_wrong"}),
        await shop.post(path, json=body, headers={"authorization": f"Bearer {other}"}),
    ]
    assert [(a.status_code, a.json()["code"]) for a in answers] == [(401, "invalid-key"), (403, "missing-scope")]


async def test_a_body_that_does_not_decode_is_counted_once(shop: httpx.AsyncClient) -> None:
    left = []
    for content in (b'{"profileId": "anna"}', b"{", b'{"profileId": "anna"}'):
        answer = await shop.post(EXPRESS, content=content, headers={"content-type": "application/json"})
        left.append(int(answer.headers["ratelimit-remaining"]))
    assert left[0] - left[1] == left[1] - left[2] == 1


async def test_too_large_a_body_is_refused_while_it_is_read(shop: httpx.AsyncClient, settings: Settings) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(settings.max_body_bytes // 100_000 + 2):
            yield b" " * 100_000

    answer = await shop.post(EXPRESS, content=pieces(), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


async def test_an_idempotency_key_gets_the_first_answer_again(shop: httpx.AsyncClient) -> None:
    head = {"idempotency-key": "once"}
    first = await shop.post(EXPRESS, json={"profileId": "anna"}, headers=head)
    again = await shop.post(EXPRESS, json={"profileId": "anna"}, headers=head)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["idempotency-replayed"] == "true"


async def test_a_refusal_inside_the_process_is_the_same_problem(shop: httpx.AsyncClient) -> None:
    clients = shop.host._clients  # type: ignore[attr-defined]
    with bound(CallContext(tenant="acme", request_id="test")):
        with pytest.raises(RemoteProblemError) as refused:
            await clients.decisions.decide(DecisionRequest())
        found = await clients.decisions.decide(DecisionRequest(profile_id="anna", channel="web", limit=1))
    assert (refused.value.status, refused.value.code) == (422, "person-missing")
    assert [item.id for proposition in found.propositions for item in proposition.items] == ["a"]


async def test_each_service_on_the_way_counts_the_request(shop: httpx.AsyncClient) -> None:
    def served(text: str) -> dict[str, float]:
        lines = [line for line in text.splitlines() if line.startswith("atelier_request_seconds_count")]
        routes = {"gateway": "/v1/decisions", "decisions": "/decide", "profiles": "/context"}
        return {
            name: sum(float(line.split()[-1]) for line in lines if f'route="{route}"' in line and f'"{name}"' in line)
            for name, route in routes.items()
        }

    before = served((await shop.get("/metrics")).text)
    assert ids((await shop.post(EXPRESS, json={"profileId": "anna", "channel": "web"})).json())
    after = served((await shop.get("/metrics")).text)
    assert {name: after[name] - before[name] for name in after} == {"gateway": 1, "decisions": 1, "profiles": 1}
