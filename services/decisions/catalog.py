"""The tenant's catalog as decisions sees it: remembered for seconds, kept when retrieval is down."""

import asyncio
import datetime as dt
import time

import msgspec

from services.decisions.settings import DecisionsSettings
from shared.clients.http import RemoteProblemError
from shared.clients.retrieval import RetrievalClient
from shared.contracts.catalog import Brand, Offer, OffersQuery, StoredAsset
from shared.contracts.retrieval import SearchFilter, SearchQuery, SearchRequest
from shared.errors import UnavailableError

_PAGE = 500
_AHEAD = dt.timedelta(minutes=2)
_AGAIN_SECONDS = 60.0  # offers that were left out may start meanwhile


class Catalog(msgspec.Struct):
    """A snapshot: the offers by id, and the pictures already looked up for them. `good_until`: when it must be read again
    though nothing changed, because offers were left out.
    """

    offers: dict[str, Offer]
    version: str
    loaded_at: float
    good_until: float
    notes: list[str] = []
    assets: dict[str, str | None] = msgspec.field(default_factory=dict)
    index_version: str = ""


class CatalogReader:
    """Reads the catalog through retrieval. One snapshot per tenant; a load in progress is shared."""

    def __init__(self, retrieval: RetrievalClient, settings: DecisionsSettings) -> None:
        self._retrieval = retrieval
        self._settings = settings
        self._snapshots: dict[str, Catalog] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def snapshot(self, tenant: str) -> tuple[Catalog, list[str]]:
        """The tenant's offers, at most some seconds old; older, with a reason, when retrieval does not answer."""
        lock = self._locks.setdefault(tenant, asyncio.Lock())
        async with lock:
            known = self._snapshots.get(tenant)
            if known and time.monotonic() - known.loaded_at < self._settings.decisions_catalog_seconds:
                return known, known.notes
            try:
                version = (await self._retrieval.offers_version()).version
                if known and known.version == version and time.monotonic() < known.good_until:
                    known.loaded_at = time.monotonic()
                    return known, known.notes
                # Of the version before the load: what changes meanwhile is seen the next time.
                self._snapshots[tenant] = fresh = await self._load(version)
            except UnavailableError:
                if known is None:
                    raise
                return known, ["retrieval_unavailable: offers as last seen"]
            return fresh, fresh.notes

    def forget(self, tenant: str) -> None:
        """The next snapshot is read anew."""
        if tenant in self._snapshots:
            self._snapshots[tenant].loaded_at = -self._settings.decisions_catalog_seconds
            self._snapshots[tenant].version = ""

    async def _load(self, version: str) -> Catalog:
        """Everything, where it is not too much; else what is active now or soon, filled up with what is not."""
        most, now, started = self._settings.decisions_max_offers, dt.datetime.now(dt.UTC), time.monotonic()
        everything, more = await self._pages(most, None)
        if not more:
            return Catalog(offers=everything, version=version, loaded_at=started, good_until=float("inf"))
        offers, more = await self._pages(most, (now, now + _AHEAD))
        for key, offer in everything.items():
            if len(offers) < most:
                offers.setdefault(key, offer)
        notes = [f"too_many_offers: only the first {most} active ones by id are considered"] if more else []
        return Catalog(
            offers=offers, version=version, loaded_at=started, good_until=started + _AGAIN_SECONDS, notes=notes
        )

    async def _pages(self, most: int, between: tuple[dt.datetime, dt.datetime] | None) -> tuple[dict[str, Offer], bool]:
        """Up to `most` offers by id, and whether there are more."""
        offers: dict[str, Offer] = {}
        cursor: str | None = None
        while True:
            page = await self._retrieval.offers(cursor, min(_PAGE, most - len(offers)), between)
            offers |= {offer.offer_id: offer for offer in page.offers}
            cursor = page.cursor
            if cursor is None or len(offers) >= most:
                return offers, cursor is not None

    async def named(self, offer_ids: list[str]) -> dict[str, Offer]:
        """Offers by id, read now; ids that do not exist are left out."""
        answer = await self._retrieval.offers_by_id(OffersQuery(offer_ids=offer_ids))
        return {offer.offer_id: offer for offer in answer.offers}

    async def asset_id(self, catalog: Catalog, offer: Offer) -> str | None:
        """The picture for an offer: its own first one, else the best match by words; None when there is none."""
        if offer.asset_ids:
            return offer.asset_ids[0]
        if offer.offer_id not in catalog.assets:
            catalog.assets[offer.offer_id] = await self._find_asset(catalog, offer)
        return catalog.assets[offer.offer_id]

    async def _find_asset(self, catalog: Catalog, offer: Offer) -> str | None:
        words = " ".join(filter(None, [offer.product_name or offer.name, offer.category]))
        request = SearchRequest(query=SearchQuery(text=words), filter=SearchFilter(brand_id=offer.brand_id), limit=1)
        try:
            answer = await self._retrieval.search("assets", request)
        except (UnavailableError, RemoteProblemError):
            return None
        catalog.index_version = answer.index_version
        return answer.hits[0].id if answer.hits else None

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
