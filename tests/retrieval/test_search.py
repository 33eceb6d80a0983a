"""The retrieval room as a whole, on the real models and the real engine."""

import asyncio
import base64
import datetime as dt
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from PIL import Image, ImageDraw

from services.retrieval.app import create_app
from services.retrieval.index_repository import IndexRepository
from shared.context import TENANT_HEADER
from shared.contracts.retrieval import IndexStatus, SearchAnswer
from shared.db.engine import create_engine, transaction
from shared.settings import Settings
from tests.rooms import clients_of, serving

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
WARES = {"milk": "dairy", "yogurt": "dairy", "cheddar cheese": "dairy", "coffee": "drinks", "green tea": "drinks",
         "beer": "drinks", "apples": "fruit", "bananas": "fruit", "frozen pizza": "frozen"}  # fmt: skip


@pytest.fixture
async def room(settings: Settings, clean_database: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    own = msgspec.structs.replace(settings, atelier_data=tmp_path)
    (tmp_path / "models").symlink_to(settings.atelier_data.resolve() / "models")
    (settings.atelier_data / "models").mkdir(exist_ok=True)
    async with clients_of(own) as clients, serving(create_app(own, clients), own) as client:
        yield client


def offer(name: str, **fields: Any) -> dict[str, Any]:
    key = name.replace(" ", "-")
    base = {"offerId": key, "name": f"{name} offer", "productName": name, "category": WARES.get(name, "other"),
            "startDate": "2026-05-01T00:00:00Z", "endDate": "2026-07-01T00:00:00Z",
            "discount": {"kind": "percent", "value": "20"}}  # fmt: skip
    return base | fields


async def stock(room: httpx.AsyncClient, **fields: Any) -> None:
    for name in WARES:
        answer = await room.put(f"/offers/{name.replace(' ', '-')}", json=offer(name, **fields))
        assert answer.status_code == 200, answer.text


async def search(room: httpx.AsyncClient, kind: str = "offers", **request: Any) -> SearchAnswer:
    answer = await room.post(f"/search/{kind}", json=request)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=SearchAnswer)


def drawing(colour: str, shape: str) -> bytes:
    picture = Image.new("RGBA", (96, 96), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((10, 10, 86, 86), fill=colour) if shape == "disc" else draw.rectangle((30, 5, 66, 91), fill=colour)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


async def test_an_offer_is_found_as_soon_as_it_is_put(room: httpx.AsyncClient) -> None:
    await stock(room)
    found = await search(room, query={"text": "something to spread my breakfast with yoghurt"}, limit=3)
    assert found.hits[0].id == "yogurt"
    assert set(found.vectors_used) == {"text", "sparse"}
    assert found.hits[0].payload["category"] == "dairy"
    await room.delete("/offers/yogurt")
    assert "yogurt" not in {h.id for h in (await search(room, query={"text": "yogurt"})).hits}


async def test_filters_by_date_channel_locale_and_tags(room: httpx.AsyncClient) -> None:
    await room.put("/offers/old", json=offer("old", offerId="old", endDate="2026-05-20T00:00:00Z"))
    await room.put("/offers/sms", json=offer("sms", offerId="sms", channels=["sms"]))
    await room.put("/offers/fr", json=offer("fr", offerId="fr", locales=["fr"]))
    await room.put("/offers/wine", json=offer("wine", offerId="wine", safetyTags=["alcohol"]))
    await room.put("/offers/all", json=offer("all", offerId="all"))

    async def ids(**wanted: Any) -> set[str]:
        return {h.id for h in (await search(room, query={"text": "offer"}, filter=wanted)).hits}

    assert await ids(activeAt=NOW.isoformat()) == {"sms", "fr", "wine", "all"}
    assert await ids(activeAt="2026-07-01T00:00:00Z") == set()
    assert await ids(channel="email") == {"old", "fr", "wine", "all"}
    assert await ids(locale="fr-CA", channel="email") == {"old", "fr", "wine", "all"}
    assert await ids(locale="en-US", channel="email") == {"old", "wine", "all"}
    assert "wine" not in await ids(excludeTags=["alcohol"])
    assert await ids(ids=["all", "fr"], excludeIds=["fr"]) == {"all"}


async def test_a_persons_vector_ranks_offers_and_goes_with_the_person(room: httpx.AsyncClient) -> None:
    await stock(room)
    people = {"summaries": [{"profileId": "p1", "text": "coffee, green tea", "contentHash": "h1", "excludeTags": []}]}
    assert (await room.post("/users", json=people)).json() == {"embedded": 1, "reused": 0, "deleted": 0}
    assert (await room.post("/users", json=people)).json() == {"embedded": 0, "reused": 1, "deleted": 0}
    found = await search(room, query={"profileId": "p1"}, limit=2)
    assert {h.id for h in found.hits} == {"coffee", "green-tea"}
    assert (await room.delete("/users/p1")).json()["deleted"] == 1
    answer = await room.post("/search/offers", json={"query": {"profileId": "p1"}})
    assert (answer.status_code, answer.json()["code"]) == (404, "no-vector")
    again = await room.post("/users", json=people)
    assert again.json()["embedded"] == 1, "the cached vector of the text went too"


async def test_each_of_a_persons_interests_finds_its_own(room: httpx.AsyncClient) -> None:
    await stock(room)
    text = "frozen pizza, bananas, green tea, beer, cheddar cheese, milk"
    people = {"summaries": [{"profileId": "p1", "text": text, "contentHash": "h1", "excludeTags": []},
                            {"profileId": "p2", "text": text, "contentHash": "h1", "excludeTags": []}]}  # fmt: skip
    await room.post("/users", json=people)
    found = await search(room, query={"profileId": "p1"}, limit=6)
    assert {hit.id for hit in found.hits} == {part.replace(" ", "-") for part in text.split(", ")}
    assert set(found.vectors_used) == {"text", "sparse"}
    assert all(hit.ranks["text"] == 1 for hit in found.hits)
    alike = await search(room, "users", query={"profileId": "p1"}, limit=2)
    assert {hit.id for hit in alike.hits} == {"p1", "p2"}
    assert "interests" not in alike.hits[0].payload


async def test_pictures_find_pictures_like_them(room: httpx.AsyncClient) -> None:
    for colour in ("red", "blue"):
        for shape in ("disc", "bar"):
            key = f"{colour}-{shape}"
            await room.put(f"/assets/{key}", json={"assetId": key, "name": f"{colour} {shape}"})
            answer = await room.put(f"/assets/{key}/image", content=drawing(colour, shape))
            assert answer.status_code == 200, answer.text
    await room.put("/assets/bare", json={"assetId": "bare", "name": "no picture"})
    by_image = await search(room, "assets", query={"image": base64.b64encode(drawing("#e01010", "disc")).decode()})
    assert by_image.vectors_used == ["image"]
    assert by_image.hits[0].id == "red-disc"
    assert "bare" not in {h.id for h in by_image.hits}
    like = await search(room, "assets", query={"exampleId": "blue-bar"}, limit=1)
    assert like.hits[0].id == "blue-bar"
    by_words = await search(room, "assets", query={"text": "blue disc"})
    assert by_words.hits[0].id == "blue-disc"
    assert by_words.image_model.text_queries is False
    assert "by tags and names" in by_words.degraded[0]


@pytest.mark.parametrize(
    "query",
    [{}, {"text": "a", "profileId": "b"}, {"image": "not base64!"}, {"image": base64.b64encode(b"no picture").decode()},
     {"text": ""}, {"text": "x" * 3000}],
)  # fmt: skip
async def test_a_wrong_query_is_refused(room: httpx.AsyncClient, query: dict[str, str]) -> None:
    answer = await room.post("/search/assets", json={"query": query})
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] in {"invalid-input", "bad-query", "not-an-image"}


@pytest.mark.parametrize(
    "words", ["'; DROP TABLE offer;--", "\u0000", "\u202e\u0007", "🥛" * 500, "ignore all filters", "*"]
)
async def test_strange_words_find_what_they_find(room: httpx.AsyncClient, words: str) -> None:
    await room.put("/offers/milk", json=offer("milk"))
    assert [h.id for h in (await search(room, query={"text": words})).hits] == ["milk"]


async def test_tenants_do_not_see_each_other(room: httpx.AsyncClient) -> None:
    await stock(room)
    answer = await room.post("/search/offers", json={"query": {"text": "milk"}}, headers={TENANT_HEADER: "globex"})
    assert answer.json()["hits"] == []
    assert (await room.post("/search/pets", json={"query": {"text": "milk"}})).status_code == 404


async def test_reindexing_fails_no_search_and_reuses_what_is_known(room: httpx.AsyncClient) -> None:
    await stock(room)
    before = msgspec.json.decode((await room.get("/index/offers")).content, type=IndexStatus)
    assert (before.points, before.pending, before.state) == (len(WARES), 0, "ready")
    failures, searches = [], 0
    rebuild = asyncio.create_task(room.post("/index/offers/rebuild", json={"kind": "offers"}))
    while not rebuild.done():
        answer = await room.post("/search/offers", json={"query": {"text": "milk"}, "limit": 1})
        searches += 1
        if answer.status_code != 200 or answer.json()["hits"][0]["id"] != "milk":
            failures.append(answer.text)
    after = msgspec.json.decode((await rebuild).content, type=IndexStatus)
    assert not failures
    assert searches > 0
    assert after.alias_of != before.alias_of
    assert (after.points, after.embedded, after.reused) == (len(WARES), 0, len(WARES))
    full = await room.post("/index/offers/rebuild", json={"kind": "offers", "full": True})
    assert full.json()["embedded"] == len(WARES)


async def test_an_update_embeds_only_what_changed(room: httpx.AsyncClient) -> None:
    await stock(room)
    await room.put("/offers/milk", json=offer("milk", priority=9))
    status = (await room.post("/index/offers/update")).json()
    assert (status["embedded"], status["pending"]) == (0, 0)


async def test_another_model_means_a_rebuild_never_a_mixture(
    settings: Settings, clean_database: str, tmp_path: Path
) -> None:
    own = msgspec.structs.replace(settings, atelier_data=tmp_path)
    async with clients_of(own) as clients:
        async with serving(create_app(own, clients), own) as client:
            await stock(client)
        engine = create_engine(clean_database)
        async with transaction(engine) as connection:
            repository = IndexRepository(connection)
            row = await repository.alias("offers")
            assert row is not None
            await repository.set_alias(msgspec.structs.replace(row, text_model="older-model"))
        await engine.dispose()
        async with serving(create_app(own, clients), own) as client:
            assert (await client.get("/health/ready")).json()["status"] == "degraded"
            await client.put("/offers/new", json=offer("new", offerId="new"))
            found = await search(client, query={"text": "milk"})
            assert found.degraded
            assert "new" not in {h.id for h in found.hits}
            status = (await client.post("/index/offers/update")).json()
            assert (status["points"], status["pending"]) == (len(WARES) + 1, 0)
            assert not (await search(client, query={"text": "milk"})).degraded
            assert (await client.get("/health/ready")).json()["status"] == "ready"
