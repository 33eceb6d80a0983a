"""The public door under stress: keys that ran out, scopes, limits, Redis down, garbage of every kind."""

import datetime as dt
import string
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.app import create_app
from services.gateway.keys import SCOPES, hash_of
from services.gateway.service import KeyService
from services.gateway.settings import GatewaySettings
from services.gateway.streaming import begun
from shared.clients.bundle import Clients
from shared.errors import UnavailableError
from shared.settings import Settings
from tests.rooms import running

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(string.printable, max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)


@asynccontextmanager
async def opened(settings: Settings, headers: dict[str, str] | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """The gateway alone, its services unreachable."""
    app = create_app(settings, Clients(settings))
    transport: Any = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with (
        running(app),
        httpx.AsyncClient(transport=transport, base_url="http://door.test", headers=headers) as client,
    ):
        yield client


@pytest.fixture
async def door(settings: Settings, clean_database: str) -> AsyncIterator[httpx.AsyncClient]:
    async with opened(settings) as client:
        yield client


async def key(engine: AsyncEngine, *scopes: str, expires: dt.datetime | None = None) -> dict[str, str]:
    made = await KeyService(engine, GatewaySettings()).create("acme", scopes or list(SCOPES), expires)
    return {"authorization": f"Bearer {made}"}


async def test_a_key_is_stored_as_a_hash_only(engine: AsyncEngine) -> None:
    made = (await key(engine))["authorization"].removeprefix("Bearer ")
    async with engine.connect() as connection:
        rows = (await connection.exec_driver_sql("SELECT * FROM gateway.api_key")).mappings().all()
    assert [row["key_hash"] for row in rows] == [hash_of(made)]
    assert made not in str(rows)


async def test_an_expired_key_is_refused(door: httpx.AsyncClient, engine: AsyncEngine) -> None:
    gone = await key(engine, expires=dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1))
    answer = await door.get("/v1/offers", headers=gone)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid-key")


@pytest.mark.parametrize(
    ("path", "scope"),
    [("/v1/offers", "catalog"), ("/v1/profiles", "profiles"), ("/v1/decisions/x", "decide"), ("/v1/imports/x", "imports"),
     ("/v1/index/offers", "search")],
)  # fmt: skip
async def test_a_key_does_only_what_its_scopes_allow(
    door: httpx.AsyncClient, engine: AsyncEngine, path: str, scope: str
) -> None:
    others = [name for name in SCOPES if name != scope]
    refused = await door.get(path, headers=await key(engine, *others))
    assert (refused.status_code, refused.json()["code"]) == (403, "missing-scope")
    assert scope in refused.json()["detail"]
    assert (await door.get(path, headers=await key(engine, scope))).status_code in {404, 503}


async def test_a_service_that_is_down_is_a_503_with_retry_after(door: httpx.AsyncClient, engine: AsyncEngine) -> None:
    answer = await door.get("/v1/offers", headers=await key(engine))
    assert (answer.status_code, answer.json()["status"]) == (503, 503)
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_stream_that_cannot_begin_is_a_problem_not_a_broken_answer(suite: httpx.AsyncClient) -> None:
    offer = {"offerId": "o", "name": "O", "startDate": "2020-01-01T00:00:00Z", "endDate": "2099-01-01T00:00:00Z"}
    assert (await suite.put("/v1/offers/o", json=offer)).status_code == 200
    answer = await suite.post("/v1/generate/stream", json={"profileId": "p", "offerIds": ["o"], "channel": "web"})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_a_stream_that_breaks_ends_with_an_error_event() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"event: token\ndata: {}\n\n"
        raise UnavailableError("gone", retry_after=2)

    pieces = [piece async for piece in await begun(broken())]
    assert pieces[1].startswith(b"event: error")
    assert b'"code":"unavailable"' in pieces[1]


async def test_requests_above_the_limit_wait(
    door: httpx.AsyncClient, engine: AsyncEngine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_REQUESTS_PER_MINUTE", "3")
    async with opened(settings, await key(engine)) as client:
        answers = [await client.get("/v1/imports/x") for _ in range(7)]
    limited = [answer for answer in answers if answer.status_code == 429]
    assert len(limited) >= 1  # the minute may turn in between, so not exactly 4
    assert {answer.status_code for answer in answers} == {404, 429}
    assert 1 <= int(limited[0].headers["retry-after"]) <= 60


async def test_without_redis_the_door_opens_but_promises_no_single_effect(
    settings: Settings, engine: AsyncEngine
) -> None:
    lame = msgspec.structs.replace(settings, redis_url="redis://127.0.0.1:1/0")
    async with opened(lame, await key(engine)) as client:
        assert (await client.get("/v1/imports/x")).status_code == 404
        ready = (await client.get("/health/ready")).json()
        assert (ready["status"], ready["checks"]["database"]) == ("degraded", "ok")
        once = {"idempotency-key": "k1"}
        refused = await client.post("/v1/imports", json={"kind": "events", "file": "x.csv"}, headers=once)
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Basic YTpi", "Bearer \u00e4".encode("latin-1"), "bearer atl_x" * 300]
)
async def test_a_key_of_any_shape_is_401(door: httpx.AsyncClient, header: str | bytes) -> None:
    answer = await door.get("/v1/offers", headers={"authorization": header})  # type: ignore[dict-item]
    assert answer.status_code == 401


PATHS = ["/v1/profiles/resolve", "/v1/events", "/v1/search/offers", "/v1/decisions", "/v1/generate", "/v1/generate/ranked",
         "/v1/generate/stream", "/v1/embeddings", "/v1/imports", "/v1/profiles/facts/refresh", "/v1/index/offers/rebuild"]  # fmt: skip


async def test_no_json_document_makes_a_5xx(suite: httpx.AsyncClient) -> None:
    @hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(path=st.sampled_from(PATHS), body=JSON)
    def collect(path: str, body: Any) -> None:
        cases.append((path, body))

    cases: list[tuple[str, Any]] = []
    collect()
    for path, body in cases:
        content = msgspec.json.encode(body, enc_hook=str)
        answer = await suite.post(path, content=content, headers={"content-type": "application/json"})
        assert answer.status_code < 500, f"{path} {content!r}: {answer.text}"


@pytest.mark.parametrize(
    "key", ["%00", "a%00b", "..", "%2e%2e", "a" * 3000, "%ff%fe", "a%2Fb", "\u202e", "%20", "'; DROP TABLE x"]
)
async def test_no_id_in_a_path_makes_a_5xx(suite: httpx.AsyncClient, key: str) -> None:
    for path in ("offers", "assets", "profiles", "decisions", "imports", "index", "brands"):
        answer = await suite.get(f"/v1/{path}/{key}")
        assert answer.status_code < 500, f"{path}/{key}: {answer.text}"
