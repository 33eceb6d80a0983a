"""The use cases of the catalog. A write is answered after the index has it."""

import asyncio
import base64
import binascii
import datetime as dt
from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.retrieval.catalog import (
    DEFAULT_BRAND,
    CatalogKind,
    asset_content_hash,
    offer_content_hash,
    record_hash,
)
from services.retrieval.errors import (
    BadCursorError,
    IdMismatchError,
    InvalidRecordError,
    MissingImageError,
    UnknownAssetError,
    UnknownBrandError,
    UnknownOfferError,
)
from services.retrieval.pictures import Pictures
from services.retrieval.repository import AssetRow, BrandRow, CatalogRepository, OfferRow
from services.retrieval.validation import check, is_plain_text
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
from shared.db.engine import transaction
from shared.errors import AtelierError

RecordT = TypeVar("RecordT", Offer, Asset, Brand)
_MAX_ID = 200

log = structlog.get_logger()


class CatalogListener(Protocol):
    """Who must know of a change before it is answered: the index."""

    async def catalog_changed(self, tenant: str, kind: CatalogKind, ids: Sequence[str]) -> None:
        """These rows are new or may have changed; repeating it costs nothing."""
        ...

    async def catalog_deleted(self, tenant: str, kind: CatalogKind, ids: Sequence[str]) -> None:
        """These rows are gone."""
        ...


class StoredImage(msgspec.Struct, frozen=True):
    """A picture as it is served."""

    data: bytes
    image_hash: str


def encode_cursor(last_id: str) -> str:
    """The position after the given id."""
    return base64.urlsafe_b64encode(last_id.encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> str:
    """The id that a cursor stands behind, "" for the beginning.

    Raises:
        BadCursorError: it is not one of ours.
    """
    if cursor is None:
        return ""
    try:
        last_id = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        message = f"cursor {cursor[:80]!r} was not given out by this endpoint"
        raise BadCursorError(message) from error
    if not is_plain_text(last_id):
        message = f"cursor {cursor[:80]!r} was not given out by this endpoint"
        raise BadCursorError(message)
    return last_id


class CatalogService:
    """Offers, assets, brands and pictures of one installation; each call names the tenant."""

    def __init__(self, engine: AsyncEngine, pictures: Pictures, index: CatalogListener) -> None:
        self._engine = engine
        self._pictures = pictures
        self._index = index

    async def put_offer(self, tenant: str, offer_id: str, offer: Offer) -> Offer:
        """Create or replace an offer; it is searchable when this returns.

        Raises:
            IdMismatchError: the body has another id than the path.
            InvalidRecordError: see `validation`.
            UnavailableError: stored, but the index does not answer; the same call again completes it.
        """
        document = _checked(offer, offer_id, offer.offer_id)
        row = OfferRow(offer, document, record_hash(offer), offer_content_hash(offer))
        async with transaction(self._engine) as connection:
            repository = CatalogRepository(connection)
            await repository.put_offers(tenant, [row])
            known = await repository.existing_assets(tenant, offer.asset_ids) if offer.asset_ids else set()
        if unknown := sorted(set(offer.asset_ids) - known):
            log.warning("catalog.unknown_assets", offer_id=offer_id, asset_ids=unknown)
        await self._index.catalog_changed(tenant, "offers", [offer_id])
        return offer

    async def offer(self, tenant: str, offer_id: str) -> Offer:
        """One offer, whatever its dates."""
        async with transaction(self._engine) as connection:
            found = await CatalogRepository(connection).offer(tenant, _known_id(offer_id, UnknownOfferError))
        return _found(found, offer_id, UnknownOfferError)

    async def offers(
        self, tenant: str, cursor: str | None, limit: int, between: tuple[dt.datetime, dt.datetime] | None = None
    ) -> OfferPage:
        """A page of offers in the order of their ids; only those that are active at some time `between`, if given."""
        after = decode_cursor(cursor)
        async with transaction(self._engine) as connection:
            offers = await CatalogRepository(connection).offers_after(tenant, after, limit + 1, between)
        more = encode_cursor(offers[limit - 1].offer_id) if len(offers) > limit else None
        return OfferPage(offers=offers[:limit], cursor=more)

    async def offers_version(self, tenant: str) -> CatalogVersion:
        """A hash of all offers; computed by the database, so that nobody loads them to see that nothing changed."""
        async with transaction(self._engine) as connection:
            return CatalogVersion(version=await CatalogRepository(connection).offers_version(tenant))

    async def offers_by_id(self, tenant: str, query: OffersQuery) -> OffersAnswer:
        """Offers in the order asked for, each once; unknown ids are left out."""
        wanted = [key for key in dict.fromkeys(query.offer_ids) if is_plain_text(key)]
        async with transaction(self._engine) as connection:
            found = await CatalogRepository(connection).offers(tenant, wanted)
        return OffersAnswer(offers=[found[key] for key in wanted if key in found])

    async def delete_offer(self, tenant: str, offer_id: str) -> None:
        """Remove an offer and its vectors. Its vectors go even when the record is gone already."""
        _known_id(offer_id, UnknownOfferError)
        async with transaction(self._engine) as connection:
            existed = await CatalogRepository(connection).delete_offer(tenant, offer_id)
        await self._index.catalog_deleted(tenant, "offers", [offer_id])
        _found(existed or None, offer_id, UnknownOfferError)

    async def put_asset(self, tenant: str, asset_id: str, asset: Asset) -> StoredAsset:
        """Create or replace an asset's record; its picture stays.

        Raises:
            IdMismatchError: the body has another id than the path.
            InvalidRecordError: see `validation`.
        """
        document = _checked(asset, asset_id, asset.asset_id)
        async with transaction(self._engine) as connection:
            repository = CatalogRepository(connection)
            known = (await repository.known_assets(tenant, [asset_id], lock=True)).get(asset_id)
            image = known.image if known else None
            content = asset_content_hash(asset, image.image_hash if image else None)
            await repository.put_assets(tenant, [AssetRow(asset, document, record_hash(asset), content, image)])
            stored = await repository.asset(tenant, asset_id)
        await self._index.catalog_changed(tenant, "assets", [asset_id])
        return _found(stored, asset_id, UnknownAssetError)

    async def asset(self, tenant: str, asset_id: str) -> StoredAsset:
        """One asset, whatever its rights."""
        async with transaction(self._engine) as connection:
            found = await CatalogRepository(connection).asset(tenant, _known_id(asset_id, UnknownAssetError))
        return _found(found, asset_id, UnknownAssetError)

    async def assets(self, tenant: str, cursor: str | None, limit: int) -> AssetPage:
        """A page of assets in the order of their ids."""
        after = decode_cursor(cursor)
        async with transaction(self._engine) as connection:
            assets = await CatalogRepository(connection).assets_after(tenant, after, limit + 1)
        more = encode_cursor(assets[limit - 1].asset_id) if len(assets) > limit else None
        return AssetPage(assets=assets[:limit], cursor=more)

    async def delete_asset(self, tenant: str, asset_id: str) -> None:
        """Remove an asset, its vectors and, if no other asset shows it, its picture."""
        _known_id(asset_id, UnknownAssetError)
        async with transaction(self._engine) as connection:
            existed, image_hash = await CatalogRepository(connection).delete_asset(tenant, asset_id)
        await self._pictures.drop_unused(tenant, [image_hash])
        await self._index.catalog_deleted(tenant, "assets", [asset_id])
        _found(existed or None, asset_id, UnknownAssetError)

    async def put_image(self, tenant: str, asset_id: str, source: bytes) -> StoredAsset:
        """Give an asset a picture.

        Raises:
            UnknownAssetError: make the record first.
            AtelierError: the picture is refused, see `images.normalise`.
        """
        await self.asset(tenant, asset_id)
        facts, picture = await self._pictures.take_in(tenant, source)
        async with transaction(self._engine) as connection:
            repository = CatalogRepository(connection)
            await repository.share_pictures(tenant)
            await asyncio.to_thread(self._pictures.store.write, tenant, facts.image_hash, picture.data)
            before = (await repository.known_assets(tenant, [asset_id], lock=True)).get(asset_id)
            record = _found(await repository.asset(tenant, asset_id), asset_id, UnknownAssetError)
            await repository.set_image(tenant, asset_id, facts, asset_content_hash(record, facts.image_hash))
            stored = await repository.asset(tenant, asset_id)
        if before and before.image and before.image.image_hash != facts.image_hash:
            await self._pictures.drop_unused(tenant, [before.image.image_hash])
        await self._index.catalog_changed(tenant, "assets", [asset_id])
        return _found(stored, asset_id, UnknownAssetError)

    async def image(self, tenant: str, asset_id: str) -> StoredImage:
        """An asset's picture.

        Raises:
            UnknownAssetError: no such asset.
            MissingImageError: the asset has no picture.
        """
        record = await self.asset(tenant, asset_id)
        if record.content_hash:
            data = await asyncio.to_thread(self._pictures.store.read, tenant, record.content_hash)
            if data is not None:
                return StoredImage(data, record.content_hash)
            log.error("catalog.picture_lost", asset_id=asset_id, image_hash=record.content_hash)
        message = f"The asset {asset_id!r} has no picture."
        raise MissingImageError(message)

    async def put_brand(self, tenant: str, brand_id: str, brand: Brand) -> Brand:
        """Create or replace a brand."""
        document = _checked(brand, brand_id, brand.brand_id)
        async with transaction(self._engine) as connection:
            await CatalogRepository(connection).put_brands(tenant, [BrandRow(brand, document, record_hash(brand))])
        return brand

    async def brand(self, tenant: str, brand_id: str) -> Brand:
        """One brand; `default` always exists."""
        async with transaction(self._engine) as connection:
            found = await CatalogRepository(connection).brand(tenant, _known_id(brand_id, UnknownBrandError))
        return _found(found or (DEFAULT_BRAND if brand_id == DEFAULT_BRAND.brand_id else None), brand_id,
                      UnknownBrandError)  # fmt: skip


FoundT = TypeVar("FoundT")


def _found(value: FoundT | None, given: str, error: type[AtelierError]) -> FoundT:
    if value is None:
        raise _unknown(given, error)
    return value


def _unknown(given: str, error: type[AtelierError]) -> AtelierError:
    what = error.__name__.removeprefix("Unknown").removesuffix("Error").lower()
    return error(f"No {what} with the id {given[:_MAX_ID]!r}.")


def _known_id(given: str, error: type[AtelierError]) -> str:
    """An id that could be stored at all: nothing else may reach the database, which refuses NUL and surrogates."""
    if len(given) > _MAX_ID or not is_plain_text(given):
        raise _unknown(given, error)
    return given


def _checked(record: Offer | Asset | Brand, path_id: str, body_id: str) -> dict[str, object]:
    if path_id != body_id:
        message = f"The path names {path_id[:_MAX_ID]!r}, the body {body_id!r}; they must be the same."
        raise IdMismatchError(message)
    document, errors = check(record)
    if errors:
        raise InvalidRecordError("; ".join(f"{e.field}: {e.message}" for e in errors[:5]), errors=errors)
    return document
