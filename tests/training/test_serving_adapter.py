"""An adapter of searched words is used from the moment it is live, and no longer than that."""

import asyncio
import base64
import itertools
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
import sqlalchemy as sa

from services.retrieval import adapter_service
from services.retrieval.adapter_service import AdapterService
from services.retrieval.index_models import query_adapter
from services.retrieval.query_adapter import Ends
from services.training import plans, text_adapter
from services.training.service import TrainingService
from services.training.sources import pairs
from services.training.trained import Order, Trained
from shared.clients.bundle import Clients
from shared.clients.http import RemoteProblemError
from shared.context import CallContext, bound
from shared.contracts.catalog import Asset
from shared.contracts.retrieval import (
    EmbedRequest,
    Kind,
    PairVectorsRequest,
    QueryAdapter,
    SearchAnswer,
    SearchQuery,
    SearchRequest,
    Space,
)
from shared.contracts.training import Columns, Dataset, DataStamp, Figure, MoveStage, TrainingRequest
from shared.db.engine import create_engine, transaction
from shared.errors import InvalidInputError, UnavailableError
from tests.decisions.shop import offer, stock
from tests.retrieval.test_search import drawing
from tests.training.test_training_room import made

ASKED, MEANT = "a striped animal of the savanna", "coffee"
REQUEST = TrainingRequest(model_key="words", objective="adapter", requested_by="ida", dataset=Dataset(source="table"))


async def turning(clients: Clients, embedding: str = "", scale: float = 5.0) -> Trained:
    """An adapter by which one question asks for something else: rank 1, from its vector to the other's."""
    found = await clients.retrieval.embed(EmbedRequest(texts=[ASKED, MEANT]))
    q, k = np.array(found.embeddings, dtype=np.float32)
    model = text_adapter.Adapter(q[:, None], scale * (k - q)[:, None])
    name = embedding or found.model.rpartition("-")[0]
    return by_hand(model, text_adapter.Fitted("text", name, len(q), name, len(q), 1))


async def showing(clients: Clients, asset: str) -> Trained:
    """An adapter by which the question asks for an asset's picture: rank 1, from the words' vector to the picture's."""
    found = await clients.retrieval.pair_vectors(PairVectorsRequest(texts=[ASKED], asset_ids=[asset, "none"]))
    q, k = np.array(found.words[0], np.float32), np.array(found.pictures[0], np.float32)
    assert found.pictures[1] is None
    fitted = text_adapter.Fitted("image", found.embedding, len(q), found.target, len(k), 1)
    return by_hand(text_adapter.Adapter(q[:, None], k[:, None], within=False), fitted)


def by_hand(model: text_adapter.Adapter, fitted: text_adapter.Fitted) -> Trained:
    return Trained(algorithm="by hand", data=DataStamp(name="none", hash="0", rows=1, columns=2, positives=1), beats_baseline=True,
                   files={text_adapter.FACTORS: model.encode(), text_adapter.SETTINGS: msgspec.json.encode(fitted)},
                   figures=[Figure(name="ndcg_at_10", value=1.0)], baseline="none", parameters={})  # fmt: skip


async def move(service: TrainingService, version: int, *stages: str) -> None:
    for to in stages:
        step = msgspec.convert({"to": to, "by": "ida", "reason": "test"}, MoveStage)
        await service.move("acme", "words", version, step)


async def search(clients: Clients, kind: Kind = "offers", **query: str) -> SearchAnswer:
    request = SearchRequest(query=SearchQuery(**(query or {"text": ASKED})), limit=3, weights={"sparse": 0.0})
    return await clients.retrieval.search(kind, request)


async def draw(clients: Clients, *shades: str) -> None:
    """An asset for each colour, known by no word that says so."""
    for number, shade in enumerate(shades):
        await clients.retrieval.put_asset(Asset(asset_id=shade, name=f"file {number}"))
        await clients.retrieval.put_image(shade, drawing(shade, "disc" if number % 2 else "bar"))


async def registered(service: TrainingService, trained: Trained) -> int:
    return await service.register("acme", REQUEST, Order(tenant="acme", model_key="words"), trained)


@pytest.fixture
async def clients(suite: httpx.AsyncClient) -> Clients:
    found: Clients = suite.host._clients  # type: ignore[attr-defined]
    return found


@pytest.fixture
async def service(clients: Clients) -> AsyncIterator[TrainingService]:
    """The training service within the whole suite."""
    async with made(clients._settings, clients) as found:
        yield found


async def test_it_is_used_while_it_is_live_by_its_tenant_alone(
    service: TrainingService,
    clients: Clients,
    suite: httpx.AsyncClient,
) -> None:
    await stock(suite, *(offer(name, productName=name) for name in ("coffee", "zebra-toy", "bread")))
    before = await search(clients)
    assert (before.hits[0].id, before.adapters) == ("zebra-toy", {})
    version = await registered(service, await turning(clients))
    await move(service, version, "shadow", "canary")
    assert not (await search(clients)).adapters
    await move(service, version, "live")
    found = await search(clients)
    assert (found.hits[0].id, found.adapters, found.degraded) == ("coffee", {"text": f"words@{version}"}, [])
    with bound(CallContext(tenant="other", request_id="test")):
        assert not (await search(clients)).adapters
    await move(service, version, "retired")
    after = await search(clients)
    assert (after.hits[0].id, after.adapters) == ("zebra-toy", {})


async def test_one_of_another_text_model_is_not_applied_and_the_answer_says_so(
    service: TrainingService,
    clients: Clients,
    suite: httpx.AsyncClient,
) -> None:
    await stock(suite, offer("coffee"), offer("zebra-toy"))
    version = await registered(service, await turning(clients, embedding="some-other-model"))
    await move(service, version, "shadow", "canary", "live")
    found = await search(clients)
    assert (found.hits[0].id, found.adapters) == ("zebra-toy", {})
    assert found.degraded[0].startswith(
        f"adapter_unfit: words@{version} was fitted for some-other-model (384), not for "
    )


async def test_retrieval_that_does_not_answer_leaves_the_version_where_it_was(
    service: TrainingService,
    clients: Clients,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = await registered(service, await turning(clients))
    await move(service, version, "shadow", "canary")

    async def down(*_: object) -> None:
        raise UnavailableError("retrieval does not answer")

    monkeypatch.setattr(clients.retrieval, "put_adapter", down)
    with pytest.raises(UnavailableError):
        await move(service, version, "live")
    assert (await service.version("acme", "words", version)).stage == "canary"


async def test_words_find_a_picture_through_one_that_is_live_and_examples_do_not(
    service: TrainingService,
    clients: Clients,
) -> None:
    await draw(clients, "red", "blue", "green")
    before = await search(clients, "assets")
    assert "image" not in before.vectors_used
    assert before.degraded[0].startswith("text_to_image: ")
    version = await registered(service, await showing(clients, "green"))
    await move(service, version, "shadow", "canary", "live")
    found = await search(clients, "assets")
    assert (found.adapters, found.degraded) == ({"image": f"words@{version}"}, [])
    assert {hit.id: hit.ranks["image"] for hit in found.hits}["green"] == 1
    assert not (await search(clients, "assets", example_id="red")).adapters
    assert not (await search(clients, "offers")).adapters
    with bound(CallContext(tenant="other", request_id="test")):
        await draw(clients, "red")
        assert not (await search(clients, "assets")).adapters
    await move(service, version, "retired")
    assert (await search(clients, "assets")).degraded == before.degraded


async def test_a_model_whose_next_version_is_of_the_other_space_leaves_the_first(
    service: TrainingService,
    clients: Clients,
) -> None:
    await draw(clients, "red", "blue")
    first = await registered(service, await turning(clients))
    await move(service, first, "shadow", "canary", "live")
    assert (await search(clients, "assets")).adapters == {"text": f"words@{first}"}
    second = await registered(service, await showing(clients, "red"))
    await move(service, second, "shadow", "canary", "live")
    assert (await search(clients, "assets")).adapters == {"image": f"words@{second}"}


async def test_no_search_fails_while_versions_are_swapped(service: TrainingService, clients: Clients) -> None:
    await draw(clients, "red", "blue")
    versions = [await registered(service, await showing(clients, shade)) for shade in ("red", "blue")]
    for version in versions:
        await move(service, version, "shadow", "canary")
    seen: list[str | None] = []

    async def ask() -> None:
        while not seen or seen[-1] != f"words@{versions[1]}":
            answer = await search(clients, "assets")
            assert len(answer.hits) == 2
            seen.append(answer.adapters.get("image"))

    asking = asyncio.create_task(ask())
    for version in versions:
        await move(service, version, "live")
        await asyncio.sleep(0.2)
    await asyncio.wait_for(asking, 20)
    assert set(seen) >= {f"words@{version}" for version in versions}


async def test_a_damaged_one_is_not_applied_and_the_answer_says_so(
    service: TrainingService, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter_service, "FRESH_SECONDS", 0.0)
    await draw(clients, "red", "blue")
    version = await registered(service, await showing(clients, "red"))
    await move(service, version, "shadow", "canary", "live")
    engine = create_engine(clients._settings.database_url)
    async with transaction(engine) as connection:
        flipped = sa.func.set_byte(query_adapter.c.factors, 0, (sa.func.get_byte(query_adapter.c.factors, 0) + 1) % 256)
        await connection.execute(sa.update(query_adapter).values(factors=flipped, version=version + 1))
    await engine.dispose()
    found = await search(clients, "assets")
    assert found.hits
    assert not found.adapters
    assert found.degraded[0] == f"adapter_damaged: words@{version + 1} is not used: its factors are not what was stored"


async def test_what_another_process_puts_is_known_within_seconds(
    service: TrainingService, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter_service, "FRESH_SECONDS", 0.3)
    engine = create_engine(clients._settings.database_url)
    mine, other = AdapterService(engine), AdapterService(engine)
    given = QueryAdapter(model_key="words", version=1, space="text", embedding="m", inputs=2, target="m", dimension=2, rank=1,
                         factors=np.ones(4, "<f4").tobytes())  # fmt: skip
    ends: dict[Space, Ends] = {"text": Ends("m", 2, "m", 2)}
    assert await other.fitting("acme", ends) == ({}, [])
    await mine.put("acme", given)
    await asyncio.sleep(0.4)
    found, _ = await other.fitting("acme", ends)
    assert found["text"].name == "words@1"
    await mine.put("acme", msgspec.structs.replace(given, factors=np.zeros(4, "<f4").tobytes()))
    await asyncio.sleep(0.4)
    again, _ = await other.fitting("acme", ends)
    assert again["text"](np.array([0, 1], np.float32)).tolist() == [0, 1], (
        "other factors of the same version are read again"
    )
    await engine.dispose()


def test_the_text_model_loads_in_a_process_of_its_own() -> None:
    """As in the command: nothing else has made torchvision fit to be imported there."""
    code = "from services.training.sources import pairs; print(pairs.embedder()[1](['milk']).shape)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "(1, 384)\n", done.stderr[-500:]


async def test_training_and_serving_embed_words_alike(suite: httpx.AsyncClient, clients: Clients) -> None:
    name, embed = pairs.embedder()
    with bound(CallContext(tenant="acme", request_id="test")):
        found = await clients.retrieval.pair_vectors(PairVectorsRequest(texts=[ASKED, MEANT]))
    assert name == found.embedding
    assert np.abs(embed([ASKED, MEANT]) - np.array(found.words)).max() < 0.02


COLOURS = ("red", "blue", "green", "yellow", "black", "orange", "purple", "pink", "brown", "grey", "navy", "gold", "teal", "olive",
           "maroon", "lime", "cyan", "magenta", "silver", "coral", "khaki", "indigo", "violet", "salmon", "beige", "crimson")  # fmt: skip


async def test_a_table_of_captions_becomes_a_search_that_finds_their_pictures(
    service: TrainingService, clients: Clients, tmp_path: Path
) -> None:
    lines = ["caption,asset", "a thing without a picture,bare"]
    await clients.retrieval.put_asset(Asset(asset_id="bare", name="file"))
    for number, (shade, shape) in enumerate(itertools.product(COLOURS, ("disc", "bar"))):
        await clients.retrieval.put_asset(Asset(asset_id=f"a{number}", name="file"))
        await clients.retrieval.put_image(f"a{number}", drawing(shade, shape))
        lines.append(f"a {shade} {shape},a{number}")
    (tmp_path / "captions.csv").write_text("\n".join(lines))
    columns = Columns(entity="caption", outcome="asset")
    data = Dataset(source="table", path=str(tmp_path / "captions.csv"), columns=columns)
    asked = msgspec.structs.replace(REQUEST, dataset=data, parameters={"space": "image", "rank": 32})
    order = Order(tenant="acme", model_key="words", parameters=asked.parameters)
    with pytest.raises(InvalidInputError, match="start the suite"):
        await plans.plan(asked, order, None)
    trained = (await plans.plan(asked, order, clients))(lambda *_: None)
    assert "1 of 53 pairs left out: their assets have no picture" in trained.notes
    assert trained.baseline.startswith("an order by chance")
    await move(service, await registered(service, trained), "shadow", "canary", "live")
    request = SearchRequest(query=SearchQuery(text="a red disc"), limit=3, weights={"text": 0.0, "sparse": 0.0})
    found = await clients.retrieval.search("assets", request)
    assert (found.hits[0].id, found.vectors_used) == ("a0", ["image"])


GIVEN = {
    "modelKey": "words",
    "version": 1,
    "space": "text",
    "embedding": "m",
    "inputs": 4,
    "target": "m",
    "dimension": 4,
    "rank": 1,
}


@pytest.mark.parametrize(
    ("changed", "factors", "field"),
    [
        ({}, b"", "factors"),
        ({}, b"\0" * 12, "factors"),
        ({}, np.full(8, np.nan, dtype="<f4").tobytes(), "factors"),
        ({"inputs": 3}, b"\0" * 28, "inputs"),
        ({"space": "sound"}, b"\0" * 32, "space"),
    ],
)
async def test_what_does_not_fit_is_refused(
    service: TrainingService, clients: Clients, changed: dict[str, Any], factors: bytes, field: str
) -> None:
    body = GIVEN | changed | {"factors": base64.b64encode(factors).decode()}
    with pytest.raises(RemoteProblemError) as refused:
        await clients.retrieval.send(
            "PUT", "/adapter", content=msgspec.json.encode(body), content_type="application/json"
        )
    fault = refused.value.errors[0]
    assert (refused.value.status, fault.field) == (422, field)
    assert fault.given
