"""The tenant's catalog as decisions sees it: remembered for seconds, kept when retrieval is down."""

import asyncio
import time

import msgspec

from services.decisions.settings import DecisionsSettings
from shared.clients.http import RemoteProblemError
from shared.clients.retrieval import RetrievalClient
from shared.contracts.catalog import Brand, Offer, OffersQuery, StoredAsset
from shared.contracts.retrieval import SearchFilter, SearchQuery, SearchRequest
from shared.errors import UnavailableError

_PAGE = 500


class Catalog(msgspec.Struct):
    """A snapshot: all offers by id, and the pictures already looked up for them."""

    offers: dict[str, Offer]
    loaded_at: float
    assets: dict[str, str | None] = msgspec.field(default_factory=dict)


class CatalogReader:
    """Reads the catalog through retrieval. One snapshot per tenant; a load in progress is shared."""

    def __init__(self, retrieval: RetrievalClient, settings: DecisionsSettings) -> None:
        self._retrieval = retrieval
        self._settings = settings
        self._snapshots: dict[str, Catalog] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def snapshot(self, tenant: str) -> tuple[Catalog, list[str]]:
        """All offers of the tenant, at most some seconds old; older, with a reason, when retrieval does not answer."""
        lock = self._locks.setdefault(tenant, asyncio.Lock())
        async with lock:
            known = self._snapshots.get(tenant)
            if known and time.monotonic() - known.loaded_at < self._settings.decisions_catalog_seconds:
                return known, []
            try:
                self._snapshots[tenant] = fresh = await self._load()
            except UnavailableError:
                if known is None:
                    raise
                return known, ["retrieval_unavailable: offers as last seen"]
            return fresh, []

    async def _load(self) -> Catalog:
        offers: dict[str, Offer] = {}
        cursor: str | None = None
        while len(offers) < self._settings.decisions_max_offers:
            page = await self._retrieval.offers(cursor, min(_PAGE, self._settings.decisions_max_offers - len(offers)))
            offers |= {offer.offer_id: offer for offer in page.offers}
            cursor = page.cursor
            if cursor is None:
                break
        return Catalog(offers=offers, loaded_at=time.monotonic())

    async def named(self, offer_ids: list[str]) -> dict[str, Offer]:
        """Offers by id, read now; ids that do not exist are left out."""
        answer = await self._retrieval.offers_by_id(OffersQuery(offer_ids=offer_ids))
        return {offer.offer_id: offer for offer in answer.offers}

    async def asset_id(self, catalog: Catalog, offer: Offer) -> str | None:
        """The picture for an offer: its own first one, else the best match by words; None when there is none."""
        if offer.asset_ids:
            return offer.asset_ids[0]
        if offer.offer_id not in catalog.assets:
            catalog.assets[offer.offer_id] = await self._find_asset(offer)
        return catalog.assets[offer.offer_id]

    async def _find_asset(self, offer: Offer) -> str | None:
        words = " ".join(filter(None, [offer.product_name or offer.name, offer.category]))
        request = SearchRequest(query=SearchQuery(text=words), filter=SearchFilter(brand_id=offer.brand_id), limit=1)
        try:
            hits = (await self._retrieval.search("assets", request)).hits
        except (UnavailableError, RemoteProblemError):
            return None
        return hits[0].id if hits else None

    async def asset(self, asset_id: str | None) -> StoredAsset | None:
        """An asset's record; None when it is gone or cannot be read (copy works without a picture)."""
        if asset_id is None:
            return None
        try:
            return await self._retrieval.asset(asset_id)
        except (UnavailableError, RemoteProblemError):
            return None

    async def brand(self, brand_id: str) -> Brand:
        """How the brand speaks; a plain voice when the record cannot be read."""
        try:
            return await self._retrieval.brand(brand_id)
        except (UnavailableError, RemoteProblemError):
            return Brand(brand_id=brand_id, name="")
