"""HTTP in, contract out."""

import datetime as dt
from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, Parameter

from services.retrieval.repository import IMAGE_TYPE
from services.retrieval.service import CatalogService
from shared.context import tenant
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
from shared.settings import Settings
from shared.web.body import read_body

Limit = Annotated[int, Parameter(ge=1, le=500)]
_YEAR = "private, max-age=31536000, immutable"
_ASK_AGAIN = "private, no-cache"


class VersionController(Controller):
    """Has anything changed?"""

    @get("/catalog/version")
    async def version(self, catalog: NamedDependency[CatalogService]) -> CatalogVersion:
        """A hash of all offers."""
        return await catalog.offers_version(tenant())


class OfferController(Controller):
    """Offers."""

    path = "/offers"

    @put("/{offer_id:str}", status_code=200)
    async def put_offer(
        self, offer_id: FromPath[str], data: JSONBody[Offer], catalog: NamedDependency[CatalogService]
    ) -> Offer:
        """Create or replace."""
        return await catalog.put_offer(tenant(), offer_id, data)

    @get("/{offer_id:str}")
    async def offer(self, offer_id: FromPath[str], catalog: NamedDependency[CatalogService]) -> Offer:
        """One offer."""
        return await catalog.offer(tenant(), offer_id)

    @get("/")
    async def offers(
        self,
        catalog: NamedDependency[CatalogService],
        cursor: FromQuery[str | None] = None,
        limit: Limit = 100,
        since: FromQuery[dt.datetime | None] = None,
        until: FromQuery[dt.datetime | None] = None,
    ) -> OfferPage:
        """A page; with `since` and `until`, of the offers that are active at some time between."""
        between = (since, until) if since is not None and until is not None else None
        return await catalog.offers(tenant(), cursor, limit, between)

    @post("/query", status_code=200)
    async def query(self, data: JSONBody[OffersQuery], catalog: NamedDependency[CatalogService]) -> OffersAnswer:
        """Several by id."""
        return await catalog.offers_by_id(tenant(), data)

    @delete("/{offer_id:str}")
    async def remove(self, offer_id: FromPath[str], catalog: NamedDependency[CatalogService]) -> None:
        """Remove."""
        await catalog.delete_offer(tenant(), offer_id)


class AssetController(Controller):
    """Assets' records."""

    path = "/assets"

    @put("/{asset_id:str}", status_code=200)
    async def put_asset(
        self, asset_id: FromPath[str], data: JSONBody[Asset], catalog: NamedDependency[CatalogService]
    ) -> StoredAsset:
        """Create or replace."""
        return await catalog.put_asset(tenant(), asset_id, data)

    @get("/{asset_id:str}")
    async def asset(self, asset_id: FromPath[str], catalog: NamedDependency[CatalogService]) -> StoredAsset:
        """One asset."""
        return await catalog.asset(tenant(), asset_id)

    @get("/")
    async def assets(
        self, catalog: NamedDependency[CatalogService], cursor: FromQuery[str | None] = None, limit: Limit = 100
    ) -> AssetPage:
        """A page."""
        return await catalog.assets(tenant(), cursor, limit)

    @delete("/{asset_id:str}")
    async def remove(self, asset_id: FromPath[str], catalog: NamedDependency[CatalogService]) -> None:
        """Remove with its picture."""
        await catalog.delete_asset(tenant(), asset_id)


class ImageController(Controller):
    """Assets' pictures; bodies are bytes, with a limit of their own (see app.py)."""

    path = "/assets"

    @put("/{asset_id:str}/image", status_code=200, request_max_body_size=None)
    async def put_image(
        self,
        asset_id: FromPath[str],
        request: Request[Any, Any, Any],
        catalog: NamedDependency[CatalogService],
        settings: NamedDependency[Settings],
    ) -> StoredAsset:
        """Take a picture in."""
        return await catalog.put_image(tenant(), asset_id, await read_body(request, settings.max_image_bytes))

    @get("/{asset_id:str}/image")
    async def image(
        self,
        asset_id: FromPath[str],
        catalog: NamedDependency[CatalogService],
        v: FromQuery[str | None] = None,
        if_none_match: Annotated[str | None, HeaderParameter(name="if-none-match")] = None,
    ) -> Response[bytes]:
        """The picture. With `?v=HASH` of the picture it may be kept for ever: another picture has another hash."""
        found = await catalog.image(tenant(), asset_id)
        tag = f'"{found.image_hash}"'
        headers = {
            "etag": tag,
            "cache-control": _YEAR if v == found.image_hash else _ASK_AGAIN,
            "x-content-type-options": "nosniff",
            "content-security-policy": "default-src 'none'; sandbox",
        }
        known = {part.strip().removeprefix("W/") for part in (if_none_match or "").split(",")}
        if tag in known or "*" in known:
            return Response(b"", status_code=304, headers=headers, media_type=IMAGE_TYPE)
        return Response(found.data, headers=headers, media_type=IMAGE_TYPE)


class BrandController(Controller):
    """Brands."""

    path = "/brands"

    @put("/{brand_id:str}", status_code=200)
    async def put_brand(
        self, brand_id: FromPath[str], data: JSONBody[Brand], catalog: NamedDependency[CatalogService]
    ) -> Brand:
        """Create or replace."""
        return await catalog.put_brand(tenant(), brand_id, data)

    @get("/{brand_id:str}")
    async def brand(self, brand_id: FromPath[str], catalog: NamedDependency[CatalogService]) -> Brand:
        """One brand."""
        return await catalog.brand(tenant(), brand_id)


CATALOG_CONTROLLERS = (VersionController, OfferController, AssetController, ImageController, BrandController)
