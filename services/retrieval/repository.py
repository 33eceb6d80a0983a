"""Every query of the catalog."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Numeric, Table, Text, cast, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retrieval.catalog import (
    CatalogKind,
    Indexable,
    asset_payload,
    asset_text,
    offer_payload,
    offer_text,
)
from services.retrieval.models import asset, brand, offer
from shared.contracts.catalog import Asset, Brand, Offer, StoredAsset

RecordT = TypeVar("RecordT", Offer, Asset, Brand)
IMAGE_TYPE = "image/webp"


class OfferRow(msgspec.Struct):
    """An offer ready to be stored."""

    record: Offer
    document: dict[str, Any]
    record_hash: str
    content_hash: str


class BrandRow(msgspec.Struct):
    """A brand ready to be stored."""

    record: Brand
    document: dict[str, Any]
    record_hash: str


class ImageFacts(msgspec.Struct, frozen=True):
    """What is known of an asset's stored picture; `source_hash` is that of the bytes as they came in."""

    image_hash: str
    source_hash: str
    width: int
    height: int


class AssetRow(msgspec.Struct):
    """An asset ready to be stored, with its picture if it has one."""

    record: Asset
    document: dict[str, Any]
    record_hash: str
    content_hash: str
    image: ImageFacts | None


class KnownAsset(msgspec.Struct, frozen=True):
    """What a stored asset is compared by."""

    record_hash: str
    uri: str
    image: ImageFacts | None


class Fingerprint(msgspec.Struct, frozen=True):
    """One row's hashes, to find out what an index lacks without reading the catalog."""

    id: str
    content_hash: str
    record_hash: str


Between = tuple[dt.datetime, dt.datetime]


class CatalogRepository:
    """The catalog of one transaction. Every method is told the tenant."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def offer(self, tenant: str, offer_id: str) -> Offer | None:
        """One offer."""
        found = await self.offers(tenant, [offer_id])
        return found.get(offer_id)

    async def offers(self, tenant: str, offer_ids: Sequence[str]) -> dict[str, Offer]:
        """Offers by id; unknown ids are left out."""
        query = select(offer.c.offer_id, cast(offer.c.document, Text)).where(
            offer.c.tenant == tenant, offer.c.offer_id.in_(offer_ids)
        )
        rows = await self._connection.execute(query)
        return {key: msgspec.json.decode(document, type=Offer) for key, document in rows}

    async def offers_after(self, tenant: str, after: str, limit: int, between: Between | None = None) -> list[Offer]:
        """Up to `limit` offers with ids above `after`, in the order of their ids; those active at some time `between`."""
        query = select(cast(offer.c.document, Text)).where(offer.c.tenant == tenant, offer.c.offer_id > after)
        if between is not None:
            query = query.where(offer.c.end_at > between[0], offer.c.start_at <= between[1])
        rows = (await self._connection.execute(query.order_by(offer.c.offer_id).limit(limit))).scalars()
        return [msgspec.json.decode(document, type=Offer) for document in rows]

    async def offers_version(self, tenant: str) -> str:
        """A sum of hashes over all offers, whatever the order their changes were committed in."""
        record = func.hashtextextended(offer.c.offer_id + offer.c.record_hash, 0)
        query = select(func.count(), func.sum(cast(record, Numeric))).where(offer.c.tenant == tenant)
        count, total = (await self._connection.execute(query)).one()
        return f"{count}:{total or 0}"

    async def put_offers(self, tenant: str, rows: Sequence[OfferRow]) -> None:
        """Create or replace offers; no id twice."""
        values = [
            {"tenant": tenant, "offer_id": row.record.offer_id, "start_at": row.record.start_date,
             "end_at": row.record.end_date, "document": row.document, "record_hash": row.record_hash,
             "content_hash": row.content_hash}
            for row in rows
        ]  # fmt: skip
        await self._upsert(offer, values)

    async def put_assets(self, tenant: str, rows: Sequence[AssetRow]) -> None:
        """Create or replace assets and what is known of their pictures; no id twice."""
        values = [
            {"tenant": tenant, "asset_id": row.record.asset_id, "document": row.document,
             "record_hash": row.record_hash, "content_hash": row.content_hash, **_image_columns(row.image)}
            for row in rows
        ]  # fmt: skip
        await self._upsert(asset, values)

    async def put_brands(self, tenant: str, rows: Sequence[BrandRow]) -> None:
        """Create or replace brands; no id twice."""
        values = [
            {"tenant": tenant, "brand_id": row.record.brand_id, "document": row.document,
             "record_hash": row.record_hash}
            for row in rows
        ]  # fmt: skip
        await self._upsert(brand, values)

    async def _upsert(self, table: Table, values: list[dict[str, Any]]) -> None:
        if not values:
            return
        statement = insert(table)
        keys = {column.name for column in table.primary_key}
        changes: dict[str, Any] = {name: statement.excluded[name] for name in values[0] if name not in keys}
        statement = statement.on_conflict_do_update(
            index_elements=list(table.primary_key), set_=changes | {"updated_at": func.now()}
        )
        await self._connection.execute(statement, values)

    async def record_hashes(self, table: Table, tenant: str, ids: Sequence[str]) -> dict[str, str]:
        """The record hash of each of these offers or brands that is stored."""
        key = _key(table)
        query = select(key, table.c.record_hash).where(table.c.tenant == tenant, key.in_(ids))
        rows = (await self._connection.execute(query)).all()
        return {row[0]: row[1] for row in rows}

    async def known_assets(self, tenant: str, ids: Sequence[str], *, lock: bool = False) -> dict[str, KnownAsset]:
        """What these assets are compared by; with `lock` nobody else changes them before this transaction ends."""
        columns = (asset.c.asset_id, asset.c.record_hash, asset.c.document["uri"].astext.label("uri"), *_IMAGE)
        query = select(*columns).where(asset.c.tenant == tenant, asset.c.asset_id.in_(ids)).order_by(asset.c.asset_id)
        rows = (await self._connection.execute(query.with_for_update() if lock else query)).mappings()
        return {
            row["asset_id"]: KnownAsset(record_hash=row["record_hash"], uri=row["uri"] or "", image=_image_of(row))
            for row in rows
        }

    async def asset(self, tenant: str, asset_id: str) -> StoredAsset | None:
        """One asset."""
        query = _ASSETS.where(asset.c.tenant == tenant, asset.c.asset_id == asset_id)
        row = (await self._connection.execute(query)).mappings().one_or_none()
        return None if row is None else _stored(row)

    async def assets_after(self, tenant: str, after: str, limit: int) -> list[StoredAsset]:
        """Up to `limit` assets with ids above `after`, in the order of their ids."""
        query = _ASSETS.where(asset.c.tenant == tenant, asset.c.asset_id > after)
        rows = (await self._connection.execute(query.order_by(asset.c.asset_id).limit(limit))).mappings()
        return [_stored(row) for row in rows]

    async def existing_assets(self, tenant: str, ids: Sequence[str]) -> set[str]:
        """Those of the ids that are assets."""
        query = select(asset.c.asset_id).where(asset.c.tenant == tenant, asset.c.asset_id.in_(ids))
        return set((await self._connection.execute(query)).scalars())

    async def set_image(self, tenant: str, asset_id: str, image: ImageFacts, content_hash: str) -> None:
        """Give an asset a picture."""
        values = {**_image_columns(image), "content_hash": content_hash, "updated_at": func.now()}
        where = (asset.c.tenant == tenant, asset.c.asset_id == asset_id)
        await self._connection.execute(update(asset).where(*where).values(values))

    async def brand(self, tenant: str, brand_id: str) -> Brand | None:
        """One brand."""
        query = select(cast(brand.c.document, Text)).where(brand.c.tenant == tenant, brand.c.brand_id == brand_id)
        document = (await self._connection.execute(query)).scalar_one_or_none()
        return None if document is None else msgspec.json.decode(document, type=Brand)

    async def delete_offer(self, tenant: str, offer_id: str) -> bool:
        """Remove an offer; was it there?"""
        query = delete(offer).where(offer.c.tenant == tenant, offer.c.offer_id == offer_id)
        return (await self._connection.execute(query)).rowcount > 0

    async def delete_asset(self, tenant: str, asset_id: str) -> tuple[bool, str | None]:
        """Remove an asset; was it there, and which picture did it show?"""
        query = delete(asset).where(asset.c.tenant == tenant, asset.c.asset_id == asset_id)
        row = (await self._connection.execute(query.returning(asset.c.image_hash))).one_or_none()
        return row is not None, row[0] if row else None

    async def used_images(self, tenant: str, hashes: Sequence[str]) -> set[str]:
        """Those of the pictures that some asset shows."""
        query = select(asset.c.image_hash).where(asset.c.tenant == tenant, asset.c.image_hash.in_(hashes)).distinct()
        return set((await self._connection.execute(query)).scalars())

    async def share_pictures(self, tenant: str) -> None:
        """Until this transaction ends, no picture of the tenant is removed from disk. Writers do not wait for each other."""
        await self._connection.execute(_SHARE, {"name": f"atelier:pictures:{tenant}"})

    async def own_pictures(self, tenant: str) -> None:
        """Until this transaction ends, nobody refers to a picture of the tenant anew."""
        await self._connection.execute(_OWN, {"name": f"atelier:pictures:{tenant}"})

    async def fingerprints(self, tenant: str, kind: CatalogKind, after: str, limit: int) -> list[Fingerprint]:
        """Hashes of up to `limit` rows with ids above `after`, in the order of their ids."""
        table = TABLES[kind]
        key = _key(table)
        query = select(key, table.c.content_hash, table.c.record_hash).where(table.c.tenant == tenant, key > after)
        rows = await self._connection.execute(query.order_by(key).limit(limit))
        return [Fingerprint(*row) for row in rows]

    async def indexables(self, tenant: str, kind: CatalogKind, ids: Sequence[str]) -> list[Indexable]:
        """These rows as the index needs them, in the order of their ids; ids that are gone are left out."""
        table = TABLES[kind]
        key = _key(table)
        image = asset.c.image_hash if table is asset else text("NULL")
        query = select(cast(table.c.document, Text), table.c.content_hash, table.c.record_hash, image).where(
            table.c.tenant == tenant, key.in_(ids)
        )
        rows = await self._connection.execute(query.order_by(key))
        return [_indexable(tenant, kind, *row) for row in rows]

    async def count(self, tenant: str, kind: CatalogKind) -> int:
        """How many there are."""
        table = TABLES[kind]
        query = select(func.count()).select_from(table).where(table.c.tenant == tenant)
        return (await self._connection.execute(query)).scalar_one()


TABLES: dict[CatalogKind, Table] = {"offers": offer, "assets": asset}
_IMAGE = (asset.c.image_hash, asset.c.source_hash, asset.c.width, asset.c.height)
_ASSETS = select(cast(asset.c.document, Text).label("record"), *_IMAGE)
_SHARE = text("SELECT pg_advisory_xact_lock_shared(hashtextextended(:name, 0))")
_OWN = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")


def _key(table: Table) -> Any:
    return next(column for column in table.primary_key if column.name != "tenant")


def _image_columns(image: ImageFacts | None) -> dict[str, Any]:
    return msgspec.structs.asdict(image) if image else dict.fromkeys(ImageFacts.__struct_fields__)


def _image_of(row: Any) -> ImageFacts | None:
    return ImageFacts(**{name: row[name] for name in ImageFacts.__struct_fields__}) if row["image_hash"] else None


def _stored(row: Any) -> StoredAsset:
    record, image = msgspec.json.decode(row["record"], type=Asset), _image_of(row)
    return StoredAsset(
        **msgspec.structs.asdict(record),
        mime_type=IMAGE_TYPE if image else None,
        width=image.width if image else None,
        height=image.height if image else None,
        content_hash=image.image_hash if image else None,
        image_status="ok" if image else "missing",
    )


def _indexable(
    tenant: str, kind: CatalogKind, document: str, content_hash: str, record_hash: str, image_hash: str | None
) -> Indexable:
    if kind == "offers":
        made = msgspec.json.decode(document, type=Offer)
        key, words, payload = made.offer_id, offer_text(made), offer_payload(tenant, made)
    else:
        shown = msgspec.json.decode(document, type=Asset)
        key, words, payload = shown.asset_id, asset_text(shown), asset_payload(tenant, shown)
    return Indexable(
        id=key, text=words, content_hash=content_hash, record_hash=record_hash, payload=payload, image_hash=image_hash
    )
