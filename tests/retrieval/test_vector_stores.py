"""One suite over both engines: Qdrant's own inside the process, and qdrant-client's."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient

from services.retrieval import sparse
from services.retrieval.vectors.edge import EdgeStore
from services.retrieval.vectors.protocol import Point, Sparse, Vector, VectorStore, Where, point_id
from services.retrieval.vectors.server import ServerStore

DIMS = {"text": 8, "image": 4}
WORDS = ["fresh milk", "green tea", "milk chocolate", "black tea", "red apple"]


def vector(seed: int, size: int) -> Vector:
    made = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    return made / np.linalg.norm(made)


def point(number: int, tenant: str = "acme", **payload: object) -> Point:
    base = {"tenant": tenant, "id": f"o{number}", "channels": ["*"], "tags": [f"t{number % 2}"], "safety_tags": [],
            "start": 0.0, "end": 100.0}  # fmt: skip
    dense = {"text": vector(number, 8)} | ({"image": vector(number, 4)} if number % 2 else {})
    return Point(tenant, f"o{number}", dense, sparse.of_document(WORDS[number % 5]), base | payload)


async def find(
    store: VectorStore, queries: Mapping[str, Vector | Sparse], where: Where, limit: int
) -> dict[str, list[tuple[str, float]]]:
    """One question's lists with the records' own ids."""
    (found,) = await store.search("offers-1", [queries], where, limit)
    held = await store.payloads("offers-1", [point for ranked in found.values() for point, _ in ranked])
    return {name: [(held[point]["id"], score) for point, score in ranked] for name, ranked in found.items()}


@pytest.fixture(params=["edge", "server"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[VectorStore]:
    made: VectorStore = EdgeStore(tmp_path) if request.param == "edge" else ServerStore(AsyncQdrantClient(":memory:"))
    await made.create("offers-1", DIMS)
    yield made
    await made.close()


async def test_the_nearest_comes_first_with_its_cosine(store: VectorStore) -> None:
    await store.upsert("offers-1", [point(n) for n in range(20)])
    query = vector(7, 8)
    found = (await find(store, {"text": query}, Where(tenant="acme"), 5))["text"]
    expected = sorted(range(20), key=lambda n: -float(vector(n, 8) @ query))[:5]
    assert [key for key, _ in found] == [f"o{n}" for n in expected]
    assert found[0][1] == pytest.approx(1.0, abs=1e-5)
    assert found[1][1] == pytest.approx(float(vector(expected[1], 8) @ query), abs=1e-5)


async def test_a_point_without_a_picture_is_found_by_text_only(store: VectorStore) -> None:
    await store.upsert("offers-1", [point(n) for n in range(6)])
    queries = {"text": vector(2, 8), "image": vector(3, 4)}
    found = await find(store, queries, Where(tenant="acme"), 10)
    assert len(found["text"]) == 6
    assert {key for key, _ in found["image"]} == {"o1", "o3", "o5"}
    stored = await store.vectors("offers-1", "acme", "o2")
    assert set(stored) == {"text", "sparse"}
    kept, given = stored["sparse"], sparse.of_document(WORDS[2])
    assert isinstance(kept, Sparse)
    assert dict(zip(kept.indices, kept.values, strict=True)) == pytest.approx(
        dict(zip(given.indices, given.values, strict=True)), rel=1e-6
    )
    assert await store.vectors("offers-1", "acme", "nobody") == {}


async def test_several_questions_are_answered_as_each_alone(store: VectorStore) -> None:
    await store.upsert("offers-1", [point(n) for n in range(20)])
    asked = [{"text": vector(n, 8), "sparse": sparse.of_query(WORDS[n])} for n in range(3)] + [{"text": vector(9, 8)}]
    together = await store.search("offers-1", asked, Where(tenant="acme"), 5)
    alone = [(await store.search("offers-1", [queries], Where(tenant="acme"), 5))[0] for queries in asked]
    assert (
        [set(lists) for lists in together] == [set(lists) for lists in alone] == [{"text", "sparse"}] * 3 + [{"text"}]
    )
    for one, other in zip(together, alone, strict=True):
        assert [key for key, _ in one["text"]] == [key for key, _ in other["text"]]
        for name in one:  # equal scores may come in any order
            assert [score for _, score in one[name]] == pytest.approx([score for _, score in other[name]])


async def test_sparse_search_finds_the_rarer_word_first(store: VectorStore) -> None:
    await store.upsert("offers-1", [point(n) for n in range(5)])
    found = (await find(store, {"sparse": sparse.of_query("green tea")}, Where(tenant="acme"), 5))["sparse"]
    assert [key for key, _ in found] == ["o1", "o3"]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Where(tenant="acme", any_of={"tags": ["t1"]}), {"o1", "o3"}),
        (Where(tenant="acme", none_of={"tags": ["t1"]}), {"o0", "o2", "o4"}),
        (Where(tenant="acme", any_of={"id": ["o1", "o2"]}, none_of={"id": ["o2"]}), {"o1"}),
        (Where(tenant="acme", at_most={"start": 50.0}, above={"end": 50.0}), {"o0", "o1", "o2", "o3"}),
        (Where(tenant="acme", above={"end": 100.0}), set()),
        (Where(tenant="globex"), {"o0"}),
        (Where(tenant="nobody"), set()),
    ],
)
async def test_filters(store: VectorStore, where: Where, expected: set[str]) -> None:
    await store.upsert("offers-1", [point(n, **({"end": 20.0} if n == 4 else {})) for n in range(5)])
    await store.upsert("offers-1", [point(0, tenant="globex")])
    assert {key for key, _ in (await find(store, {"text": vector(1, 8)}, where, 10))["text"]} == expected


async def test_tenants_with_the_same_ids_do_not_touch_each_other(store: VectorStore) -> None:
    await store.upsert("offers-1", [point(1), point(1, tenant="globex"), point(2)])
    await store.delete("offers-1", "globex", ["o1", "o2", "o9"])
    assert await store.ids("offers-1", "acme") in (["o1", "o2"], ["o2", "o1"])
    assert await store.count("offers-1", "globex") == 0
    assert await store.count("offers-1") == 2


async def test_writing_again_replaces(store: VectorStore) -> None:
    await store.upsert("offers-1", [point(1)])
    await store.upsert("offers-1", [point(1, tags=["new"])])
    assert await store.count("offers-1", "acme") == 1
    assert (await store.payloads("offers-1", [point_id("acme", key) for key in ("o1", "o2")]))[point_id("acme", "o1")][
        "tags"
    ] == ["new"]


async def test_collections_come_and_go(store: VectorStore) -> None:
    await store.create("offers-2", DIMS)
    await store.create("offers-2", DIMS)
    assert await store.collections() == ["offers-1", "offers-2"]
    await store.drop("offers-1")
    await store.drop("offers-1")
    assert await store.collections() == ["offers-2"]


async def test_the_engine_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    first = EdgeStore(tmp_path)
    await first.create("offers-1", DIMS)
    await first.upsert("offers-1", [point(n) for n in range(3)])
    await first.close()
    second = EdgeStore(tmp_path)
    assert await second.count("offers-1", "acme") == 3
    await second.close()
