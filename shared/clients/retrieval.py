"""The retrieval service: catalog, pictures, search, index. The only way to anything vectorial."""

import datetime as dt

import msgspec

from shared.clients.http import ServiceClient, segment
from shared.contracts.catalog import (
    Asset,
    AssetPage,
    Brand,
    CatalogVersion,
    Offer,
    OfferPage,
    OffersAnswer,
    OffersQuery,
    StoredAsset,
)
from shared.contracts.retrieval import (
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
)  # fmt: skip


class RetrievalClient(ServiceClient):
    """Creative assets, offers and user vectors."""

    async def put_offer(self, offer: Offer) -> Offer:
        """Create or replace an offer; it is searchable when the answer comes."""
        return await self.call("PUT", f"/offers/{segment(offer.offer_id)}", Offer, body=offer, timeout=30.0)

    async def offer(self, offer_id: str) -> Offer:
        """One offer."""
        return await self.call("GET", f"/offers/{segment(offer_id)}", Offer)

    async def offers(
        self, cursor: str | None = None, limit: int = 100, between: tuple[dt.datetime, dt.datetime] | None = None
    ) -> OfferPage:
        """Offers in the order of their ids; only those active at some time `between`, if given."""
        window = {"since": between[0].isoformat(), "until": between[1].isoformat()} if between else {}
        return await self.call("GET", "/offers", OfferPage, params={"cursor": cursor, "limit": limit, **window})

    async def offers_version(self) -> CatalogVersion:
        """What changes with any offer."""
        return await self.call("GET", "/catalog/version", CatalogVersion)

    async def offers_by_id(self, query: OffersQuery) -> OffersAnswer:
        """Several offers at once."""
        return await self.call("POST", "/offers/query", OffersAnswer, body=query)

    async def delete_offer(self, offer_id: str) -> None:
        """Remove an offer and its vectors."""
        await self.call("DELETE", f"/offers/{segment(offer_id)}", type(None))

    async def put_asset(self, asset: Asset) -> StoredAsset:
        """Create or replace an asset's record."""
        return await self.call("PUT", f"/assets/{segment(asset.asset_id)}", StoredAsset, body=asset, timeout=30.0)

    async def asset(self, asset_id: str) -> StoredAsset:
        """One asset's record."""
        return await self.call("GET", f"/assets/{segment(asset_id)}", StoredAsset)

    async def assets(self, cursor: str | None = None, limit: int = 100) -> AssetPage:
        """Assets in the order of their ids."""
        return await self.call("GET", "/assets", AssetPage, params={"cursor": cursor, "limit": limit})

    async def delete_asset(self, asset_id: str) -> None:
        """Remove an asset, its picture and its vectors."""
        await self.call("DELETE", f"/assets/{segment(asset_id)}", type(None))

    async def put_image(self, asset_id: str, image: bytes) -> StoredAsset:
        """Store an asset's picture (PNG, JPEG, WebP, GIF or SVG without scripts)."""
        path = f"/assets/{segment(asset_id)}/image"
        response = await self.send("PUT", path, content=image, content_type="application/octet-stream", timeout=60.0)
        return msgspec.json.decode(response.content, type=StoredAsset)

    async def image(self, asset_id: str) -> tuple[bytes, str]:
        """An asset's picture and its media type."""
        response = await self.send("GET", f"/assets/{segment(asset_id)}/image")
        return response.content, response.headers.get("content-type", "application/octet-stream")

    async def put_brand(self, brand: Brand) -> Brand:
        """Create or replace a brand."""
        return await self.call("PUT", f"/brands/{segment(brand.brand_id)}", Brand, body=brand)

    async def brand(self, brand_id: str) -> Brand:
        """One brand; `default` always exists."""
        return await self.call("GET", f"/brands/{segment(brand_id)}", Brand)

    async def search(self, kind: Kind, request: SearchRequest) -> SearchAnswer:
        """Hybrid search."""
        return await self.call("POST", f"/search/{kind}", SearchAnswer, body=request, timeout=10.0)

    async def index_users(self, users: UserVectors) -> Indexed:
        """Embed summaries as user vectors; drop the withheld."""
        return await self.call("POST", "/users", Indexed, body=users, timeout=300.0)

    async def forget_user(self, profile_id: str) -> Indexed:
        """Remove a person's vector."""
        return await self.call("DELETE", f"/users/{segment(profile_id)}", Indexed)

    async def index_status(self, kind: Kind) -> IndexStatus:
        """What stands behind the alias."""
        return await self.call("GET", f"/index/{kind}", IndexStatus)

    async def update_index(self, kind: Kind) -> IndexStatus:
        """Embed what changed and bring the live index up to date."""
        return await self.call("POST", f"/index/{kind}/update", IndexStatus, timeout=1800.0)

    async def reindex(self, request: ReindexRequest) -> IndexStatus:
        """Build beside the live index, then swap."""
        return await self.call("POST", f"/index/{request.kind}/rebuild", IndexStatus, body=request, timeout=1800.0)

    async def embed(self, request: EmbedRequest) -> Embedded:
        """Text embeddings."""
        return await self.call("POST", "/embed", Embedded, body=request, timeout=60.0)

    async def pair_vectors(self, request: PairVectorsRequest) -> PairVectors:
        """Vectors of words and of the tenant's pictures, for an adapter of picture search."""
        return await self.call("POST", "/embed/pairs", PairVectors, body=request, timeout=120.0)

    async def put_adapter(self, adapter: QueryAdapter) -> None:
        """From now on the tenant's searches by words go through this adapter, in its space."""
        await self.call("PUT", "/adapter", type(None), body=adapter)

    async def drop_adapter(self, model_key: str) -> None:
        """Searches by words go through no adapter of this model any more; nothing happens when they do not."""
        await self.call("DELETE", f"/adapter/{segment(model_key)}", type(None))

    async def match(self, request: MatchRequest) -> Matched:
        """How well pictures show what is said of them."""
        return await self.call("POST", "/match", Matched, body=request, timeout=60.0)
