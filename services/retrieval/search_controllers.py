"""HTTP in, contract out: searching, indexing, embedding."""

from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from services.retrieval.adapter_service import AdapterService
from services.retrieval.errors import UnknownKindError
from services.retrieval.index_service import IndexService
from services.retrieval.match_service import MatchService
from services.retrieval.search_service import SearchService
from shared.context import tenant
from shared.contracts.base import FieldError
from shared.contracts.retrieval import (
    KINDS,
    Embedded,
    EmbedRequest,
    Indexed,
    IndexStatus,
    Kind,
    Matched,
    MatchRequest,
    PairVectors,
    PairVectorsRequest,
    QueryAdapter,
    ReindexRequest,
    SearchAnswer,
    SearchRequest,
    UserVectors,
)


def known_kind(name: str) -> Kind:
    """The kind of this name.

    Raises:
        UnknownKindError: there is none.
    """
    found = next((kind for kind in KINDS if kind == name), None)
    if found is None:
        allowed = ", ".join(KINDS)
        field = FieldError(field="kind", message="unknown", given=name[:80], allowed=allowed)
        message = f"kind {name[:80]!r} is unknown; there are {allowed}"
        raise UnknownKindError(message, errors=[field])
    return found


class SearchController(Controller):
    """Searching."""

    @post("/search/{kind:str}", status_code=200)
    async def search(
        self, kind: FromPath[str], data: JSONBody[SearchRequest], searching: NamedDependency[SearchService]
    ) -> SearchAnswer:
        """Hybrid search."""
        return await searching.search(tenant(), known_kind(kind), data)

    @post("/embed", status_code=200)
    async def embed(self, data: JSONBody[EmbedRequest], searching: NamedDependency[SearchService]) -> Embedded:
        """Text vectors."""
        return await searching.embed(data)

    @post("/embed/pairs", status_code=200)
    async def pair_vectors(
        self, data: JSONBody[PairVectorsRequest], matching: NamedDependency[MatchService]
    ) -> PairVectors:
        """Vectors of words and pictures."""
        return await matching.pair_vectors(tenant(), data)

    @post("/match", status_code=200)
    async def match(self, data: JSONBody[MatchRequest], matching: NamedDependency[MatchService]) -> Matched:
        """Pictures against words."""
        return await matching.match(tenant(), data)


class AdapterController(Controller):
    """What searched words go through."""

    @put("/adapter", status_code=204)
    async def put_adapter(self, data: JSONBody[QueryAdapter], adapting: NamedDependency[AdapterService]) -> None:
        """Use an adapter."""
        await adapting.put(tenant(), data)

    @delete("/adapter/{model_key:str}")
    async def drop_adapter(self, model_key: FromPath[str], adapting: NamedDependency[AdapterService]) -> None:
        """Use no adapter of a model any more."""
        await adapting.drop(tenant(), model_key)


class IndexController(Controller):
    """The live index."""

    @post("/users", status_code=200)
    async def index_users(self, data: JSONBody[UserVectors], indexing: NamedDependency[IndexService]) -> Indexed:
        """Embed consented summaries."""
        return await indexing.index_users(tenant(), data)

    @delete("/users/{profile_id:str}", status_code=200)
    async def forget_user(self, profile_id: FromPath[str], indexing: NamedDependency[IndexService]) -> Indexed:
        """Remove a person's vector."""
        return await indexing.forget_users(tenant(), [profile_id])

    @get("/index/{kind:str}")
    async def status(self, kind: FromPath[str], indexing: NamedDependency[IndexService]) -> IndexStatus:
        """What stands behind the alias."""
        return await indexing.status(known_kind(kind), tenant())

    @post("/index/{kind:str}/update", status_code=200)
    async def update(self, kind: FromPath[str], indexing: NamedDependency[IndexService]) -> IndexStatus:
        """Embed what changed."""
        return await indexing.update(known_kind(kind), tenant())

    @post("/index/{kind:str}/rebuild", status_code=200)
    async def rebuild(
        self, kind: FromPath[str], data: JSONBody[ReindexRequest], indexing: NamedDependency[IndexService]
    ) -> IndexStatus:
        """Build beside the live index, then swap."""
        return await indexing.rebuild(known_kind(kind), tenant(), full=data.full)
