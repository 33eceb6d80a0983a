"""The public API: every handler passes a contract on to the service that owns it."""

from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, Parameter
from litestar.response import Stream

from services.gateway.paths import same
from services.gateway.streaming import begun
from shared.clients.bundle import Clients
from shared.contracts.catalog import Asset, AssetPage, Brand, Offer, OfferPage, StoredAsset
from shared.contracts.decisions import MaterialRequest
from shared.contracts.events import EventPage, EventsIngested
from shared.contracts.generation import GenerateAnswer, GenerateRequest, RankedRequest, WriteRequest
from shared.contracts.profiles import (
    Consents,
    ContextQuery,
    ContextRequest,
    Erasure,
    Fact,
    FactsRefresh,
    FactsRefreshed,
    Profile,
    ProfileContext,
    ProfilePage,
    ProfileUpsert,
)
from shared.contracts.retrieval import (
    KINDS,
    Embedded,
    EmbedRequest,
    IndexStatus,
    ReindexRequest,
    SearchAnswer,
    SearchRequest,
)
from shared.errors import InvalidInputError, NotFoundError
from shared.settings import Settings
from shared.web.body import read_body

Limit = Annotated[int, Parameter(ge=1, le=500)]


def _kind(name: str) -> Any:
    if name not in KINDS:
        message = f"kind {name[:80]!r} is unknown; there are {', '.join(KINDS)}"
        raise NotFoundError(message)
    return name


class ProfileRoutes(Controller):
    """People: identities, consents, facts, erasure."""

    path = "/v1/profiles"
    tags = ["profiles"]
    opt = {"scope": "profiles"}

    @put("/{profile_id:str}")
    async def upsert(
        self, profile_id: FromPath[str], data: JSONBody[ProfileUpsert], clients: NamedDependency[Clients]
    ) -> Profile:
        """Create or merge a profile."""
        if data.profile_id != profile_id:
            message = f"profileId {data.profile_id!r} in the body is not {profile_id!r} in the path"
            raise InvalidInputError(message)
        return await clients.profiles.upsert(data)

    @get("/{profile_id:str}")
    async def one(self, profile_id: FromPath[str], clients: NamedDependency[Clients]) -> Profile:
        """One profile."""
        return await clients.profiles.get(profile_id)

    @get("/")
    async def page(
        self, clients: NamedDependency[Clients], cursor: FromQuery[str | None] = None, limit: Limit = 100
    ) -> ProfilePage:
        """Profiles in the order of their ids."""
        return await clients.profiles.page(cursor, limit)

    @post("/resolve", status_code=200)
    async def resolve(self, data: JSONBody[ContextRequest], clients: NamedDependency[Clients]) -> Profile:
        """The profile an identity belongs to."""
        return await clients.profiles.resolve(data.identity_map)

    @put("/{profile_id:str}/consents")
    async def consents(
        self, profile_id: FromPath[str], data: JSONBody[Consents], clients: NamedDependency[Clients]
    ) -> Profile:
        """Replace the consents; they hold from the next call on."""
        return await clients.profiles.set_consents(profile_id, data)

    @get("/{profile_id:str}/facts")
    async def facts(self, profile_id: FromPath[str], clients: NamedDependency[Clients]) -> list[Fact]:
        """All computed facts with their explanation."""
        return await clients.profiles.facts(profile_id)

    @post("/{profile_id:str}/context", status_code=200)
    async def context(
        self, profile_id: FromPath[str], data: JSONBody[ContextRequest], clients: NamedDependency[Clients]
    ) -> ProfileContext:
        """What may be used about a person right now."""
        return await clients.profiles.context(ContextQuery(profile_id=profile_id, channel=data.channel))

    @post("/facts/refresh", status_code=200)
    async def refresh(self, data: JSONBody[FactsRefresh], clients: NamedDependency[Clients]) -> FactsRefreshed:
        """Recompute facts."""
        return await clients.profiles.refresh_facts(data)

    @get("/{profile_id:str}/events")
    async def events(
        self,
        profile_id: FromPath[str],
        clients: NamedDependency[Clients],
        cursor: FromQuery[str | None] = None,
        limit: Limit = 50,
    ) -> EventPage:
        """A person's events, newest first."""
        return await clients.events.history(profile_id, cursor, limit)

    @delete("/{profile_id:str}", status_code=200)
    async def erase(self, profile_id: FromPath[str], clients: NamedDependency[Clients]) -> Erasure:
        """Erase a person everywhere; the receipt says what went and what is queued."""
        return await clients.profiles.erase(profile_id)


class EventRoutes(Controller):
    """What happened."""

    path = "/v1/events"
    tags = ["events"]
    opt = {"scope": "events"}

    @post("/", status_code=200)
    async def ingest(self, data: JSONBody[Any], clients: NamedDependency[Clients]) -> EventsIngested:
        """CloudEvents 1.0, XDM experience events or native events: one or a list of up to 1,000."""
        return await clients.events.ingest(data)


class CatalogRoutes(Controller):
    """Offers, creative assets, brands."""

    path = "/v1"
    tags = ["catalog"]
    opt = {"scope": "catalog"}

    @put("/offers/{key:str}")
    async def put_offer(self, key: FromPath[str], data: JSONBody[Offer], clients: NamedDependency[Clients]) -> Offer:
        """Create or replace an offer; it is searchable when the answer comes."""
        same(key, data.offer_id)
        return await clients.retrieval.put_offer(data)

    @get("/offers/{key:str}")
    async def offer(self, key: FromPath[str], clients: NamedDependency[Clients]) -> Offer:
        """One offer."""
        return await clients.retrieval.offer(key)

    @get("/offers")
    async def offers(
        self, clients: NamedDependency[Clients], cursor: FromQuery[str | None] = None, limit: Limit = 100
    ) -> OfferPage:
        """Offers in the order of their ids."""
        return await clients.retrieval.offers(cursor, limit)

    @delete("/offers/{key:str}")
    async def delete_offer(self, key: FromPath[str], clients: NamedDependency[Clients]) -> None:
        """Remove an offer."""
        await clients.retrieval.delete_offer(key)

    @put("/assets/{key:str}")
    async def put_asset(
        self, key: FromPath[str], data: JSONBody[Asset], clients: NamedDependency[Clients]
    ) -> StoredAsset:
        """Create or replace an asset's record."""
        same(key, data.asset_id)
        return await clients.retrieval.put_asset(data)

    @get("/assets/{key:str}")
    async def asset(self, key: FromPath[str], clients: NamedDependency[Clients]) -> StoredAsset:
        """One asset."""
        return await clients.retrieval.asset(key)

    @get("/assets")
    async def assets(
        self, clients: NamedDependency[Clients], cursor: FromQuery[str | None] = None, limit: Limit = 100
    ) -> AssetPage:
        """Assets in the order of their ids."""
        return await clients.retrieval.assets(cursor, limit)

    @delete("/assets/{key:str}")
    async def delete_asset(self, key: FromPath[str], clients: NamedDependency[Clients]) -> None:
        """Remove an asset and its picture."""
        await clients.retrieval.delete_asset(key)

    @put("/assets/{key:str}/image", request_max_body_size=None, opt={"scope": "catalog", "streams": True})
    async def put_image(
        self,
        key: FromPath[str],
        request: Request[Any, Any, Any],
        clients: NamedDependency[Clients],
        settings: NamedDependency[Settings],
    ) -> StoredAsset:
        """Store a picture: PNG, JPEG, WebP, GIF or SVG, as the raw body."""
        return await clients.retrieval.put_image(key, await read_body(request, settings.max_image_bytes))

    @get("/assets/{key:str}/image")
    async def image(self, key: FromPath[str], clients: NamedDependency[Clients]) -> Response[bytes]:
        """A picture."""
        content, media_type = await clients.retrieval.image(key)
        return Response(content, media_type=media_type)

    @put("/brands/{key:str}")
    async def put_brand(self, key: FromPath[str], data: JSONBody[Brand], clients: NamedDependency[Clients]) -> Brand:
        """Create or replace a brand."""
        same(key, data.brand_id)
        return await clients.retrieval.put_brand(data)

    @get("/brands/{key:str}")
    async def brand(self, key: FromPath[str], clients: NamedDependency[Clients]) -> Brand:
        """One brand."""
        return await clients.retrieval.brand(key)


class SearchRoutes(Controller):
    """Search and its index."""

    path = "/v1"
    tags = ["search"]
    opt = {"scope": "search"}

    @post("/search/{kind:str}", status_code=200)
    async def search(
        self, kind: FromPath[str], data: JSONBody[SearchRequest], clients: NamedDependency[Clients]
    ) -> SearchAnswer:
        """Hybrid search by text, picture, person or example."""
        return await clients.retrieval.search(_kind(kind), data)

    @get("/index/{kind:str}")
    async def index(self, kind: FromPath[str], clients: NamedDependency[Clients]) -> IndexStatus:
        """What stands behind the index."""
        return await clients.retrieval.index_status(_kind(kind))

    @post("/index/{kind:str}/rebuild", status_code=200)
    async def rebuild(
        self, kind: FromPath[str], data: JSONBody[ReindexRequest], clients: NamedDependency[Clients]
    ) -> IndexStatus:
        """Build a new index beside the live one, then swap."""
        same(kind, data.kind)
        return await clients.retrieval.reindex(data)

    @post("/embeddings", status_code=200)
    async def embed(self, data: JSONBody[EmbedRequest], clients: NamedDependency[Clients]) -> Embedded:
        """Text embeddings."""
        return await clients.retrieval.embed(data)


class GenerateRoutes(Controller):
    """Words."""

    path = "/v1/generate"
    tags = ["generation"]
    opt = {"scope": "generate"}

    @post("/", status_code=200)
    async def generate(self, data: JSONBody[GenerateRequest], clients: NamedDependency[Clients]) -> GenerateAnswer:
        """Checked copy for named offers."""
        return await clients.decisions.generate(data)

    @post("/ranked", status_code=200)
    async def ranked(self, data: JSONBody[RankedRequest], clients: NamedDependency[Clients]) -> GenerateAnswer:
        """Pick the best offers for a person, then checked copy for each."""
        return await clients.decisions.generate_ranked(data)

    @post("/stream", status_code=200, opt={"scope": "generate", "streams": True})
    async def stream(self, data: JSONBody[GenerateRequest], clients: NamedDependency[Clients]) -> Stream:
        """Server-sent events for the first named offer: `token` (unchecked draft), then `copy` (checked)."""
        answer = await clients.decisions.material(
            MaterialRequest(
                profile_id=data.profile_id,
                identity_map=data.identity_map,
                offer_ids=data.offer_ids[:1],
                channel=data.channel,
                locale=data.locale,
            )
        )
        material = answer.materials[0]
        if not material.profile.contactable:
            message = f"This person may not be contacted by {data.channel}: {material.profile.reason}"
            raise InvalidInputError(message)
        request = WriteRequest(
            material=material,
            placement=data.placement,
            channel=data.channel,
            locale=data.locale or material.profile.locale,
            max_variants=data.max_variants,
            seed=data.seed,
            deadline_ms=data.deadline_ms,
        )
        return Stream(await begun(clients.generation.stream(request)), media_type="text/event-stream")
