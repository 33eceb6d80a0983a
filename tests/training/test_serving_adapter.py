"""An adapter of searched words is used from the moment it is live, and no longer than that."""

from collections.abc import AsyncIterator

import httpx
import msgspec
import numpy as np
import pytest

from services.training import text_adapter
from services.training.service import TrainingService
from services.training.trained import Order, Trained
from shared.clients.bundle import Clients
from shared.clients.http import RemoteProblemError
from shared.context import CallContext, bound
from shared.contracts.retrieval import EmbedRequest, QueryAdapter, SearchAnswer, SearchQuery, SearchRequest
from shared.contracts.training import Dataset, DataStamp, Figure, MoveStage, TrainingRequest
from shared.errors import UnavailableError
from tests.decisions.shop import offer, stock
from tests.training.test_training_room import made

ASKED, MEANT = "a striped animal of the savanna", "coffee"
REQUEST = TrainingRequest(model_key="words", objective="adapter", requested_by="ida", dataset=Dataset(source="table"))


async def turning(clients: Clients, embedding: str = "", scale: float = 5.0) -> Trained:
    """An adapter by which one question asks for something else: rank 1, from its vector to the other's."""
    found = await clients.retrieval.embed(EmbedRequest(texts=[ASKED, MEANT]))
    q, k = np.array(found.embeddings, dtype=np.float32)
    model = text_adapter.Adapter(q[:, None], scale * (k - q)[:, None])
    fitted = text_adapter.Fitted(embedding=embedding or found.model.rpartition("-")[0], dimension=len(q), rank=1)
    return Trained(algorithm="by hand", data=DataStamp(name="none", hash="0", rows=1, columns=2, positives=1), beats_baseline=True,
                   files={text_adapter.FACTORS: model.encode(), text_adapter.SETTINGS: msgspec.json.encode(fitted)},
                   figures=[Figure(name="ndcg_at_10", value=1.0)], baseline="none", parameters={})  # fmt: skip


async def move(service: TrainingService, version: int, *stages: str) -> None:
    for to in stages:
        step = msgspec.convert({"to": to, "by": "ida", "reason": "test"}, MoveStage)
        await service.move("acme", "words", version, step)


async def search(clients: Clients, words: str = ASKED) -> SearchAnswer:
    request = SearchRequest(query=SearchQuery(text=words), limit=3, weights={"sparse": 0.0})
    return await clients.retrieval.search("offers", request)


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
    assert (before.hits[0].id, before.adapter) == ("zebra-toy", None)
    version = await registered(service, await turning(clients))
    await move(service, version, "shadow", "canary")
    assert (await search(clients)).adapter is None
    await move(service, version, "live")
    found = await search(clients)
    assert (found.hits[0].id, found.adapter, found.degraded) == ("coffee", f"words@{version}", [])
    with bound(CallContext(tenant="other", request_id="test")):
        assert (await search(clients)).adapter is None
    await move(service, version, "retired")
    after = await search(clients)
    assert (after.hits[0].id, after.adapter) == ("zebra-toy", None)


async def test_one_of_another_text_model_is_not_applied_and_the_answer_says_so(
    service: TrainingService,
    clients: Clients,
    suite: httpx.AsyncClient,
) -> None:
    await stock(suite, offer("coffee"), offer("zebra-toy"))
    version = await registered(service, await turning(clients, embedding="some-other-model"))
    await move(service, version, "shadow", "canary", "live")
    found = await search(clients)
    assert (found.hits[0].id, found.adapter) == ("zebra-toy", None)
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


@pytest.mark.parametrize("factors", [b"", b"\0" * 12, np.full(8, np.nan, dtype="<f4").tobytes()])
async def test_factors_that_do_not_fit_are_refused(service: TrainingService, clients: Clients, factors: bytes) -> None:
    given = QueryAdapter(model_key="words", version=1, embedding="m", dimension=4, rank=1, factors=factors)
    with pytest.raises(RemoteProblemError) as refused:
        await clients.retrieval.put_adapter(given)
    assert refused.value.status == 422
    assert refused.value.errors[0].field == "factors"
