"""The use cases of decisions: decide, assemble material, have copy written."""

import asyncio
import datetime as dt
import time

import msgspec
import uuid_utils
from sqlalchemy.ext.asyncio import AsyncEngine

from services.decisions import ranking
from services.decisions.catalog import Catalog, CatalogReader
from services.decisions.concurrency import both
from services.decisions.eligibility import Situation, removed_by
from services.decisions.errors import UnknownDecisionError
from services.decisions.people import People
from services.decisions.repository import DecisionRepository
from services.decisions.settings import DecisionsSettings
from shared.clients.http import RemoteProblemError
from shared.clients.retrieval import RetrievalClient
from shared.contracts.catalog import Offer
from shared.contracts.decisions import Candidate, DecisionRecord, DecisionRequest, Proposition, PropositionItem
from shared.contracts.profiles import ProfileContext
from shared.contracts.retrieval import SearchFilter, SearchQuery, SearchRequest
from shared.db.engine import transaction
from shared.errors import UnavailableError

_NOT_FOUND = 404


class _Relevance(msgspec.Struct):
    """What the search says about the offers, and why it may say less than it could."""

    scores: dict[str, float] = {}
    reasons: dict[str, list[str]] = {}
    index_version: str = ""
    degraded: list[str] = []


class DecisionService:
    """Picks offers by retrieval score and by what the person's own history says. No language model is on this path."""

    def __init__(
        self,
        engine: AsyncEngine,
        retrieval: RetrievalClient,
        people: People,
        catalog: CatalogReader,
        settings: DecisionsSettings,
    ) -> None:
        self._engine = engine
        self._retrieval = retrieval
        self._people = people
        self._catalog = catalog
        self._settings = settings

    async def decide(self, tenant: str, request: DecisionRequest) -> Proposition:
        """One decision, logged before it is answered.

        Raises:
            PersonMissingError: nobody to decide for.
            UnavailableError: no catalog was ever seen, or the log cannot be written.
        """
        started = time.perf_counter()
        at = request.at or dt.datetime.now(dt.UTC)
        (profile, degraded), (catalog, stale) = await both(
            self._people.context(request.profile_id, request.identity_map, request.channel),
            self._catalog.snapshot(tenant),
        )
        now = Situation(request=request, profile=profile, locale=request.locale or profile.locale, at=at)
        removed = {key: stage for key, offer in catalog.offers.items() if (stage := self._removed(offer, now))}
        eligible = [offer for key, offer in catalog.offers.items() if key not in removed]
        relevance = await self._relevance(profile, now, eligible)
        affinity = ranking.affinities(eligible, profile.facts)
        relevance.reasons = {
            offer.offer_id: [
                *([affinity[offer.offer_id].reason] if offer.offer_id in affinity else []),
                *relevance.reasons.get(offer.offer_id, []),
            ]
            for offer in eligible
        }
        score = ranking.scores(eligible, relevance.scores, affinity)
        picked = ranking.pick(eligible, score, request.limit)
        items = await self._items(catalog, picked, score, relevance)
        proposition = Proposition(
            id=str(uuid_utils.uuid7()),
            scope=request.placement,
            profile_id=profile.profile_id,
            items=items,
            policy_version=ranking.POLICY_VERSION,
            index_version=relevance.index_version,
            degraded=[*degraded, *stale, *relevance.degraded],
            reason=None if items else self._why_empty(profile, catalog),
            took_ms=round((time.perf_counter() - started) * 1000, 2),
        )
        await self._log(tenant, at, request, proposition, ranking.candidates(removed, score, picked))
        return proposition

    def _removed(self, offer: Offer, now: Situation) -> str | None:
        return "consent" if not now.profile.contactable else removed_by(offer, now)

    def _why_empty(self, profile: ProfileContext, catalog: Catalog) -> str:
        if not profile.contactable:
            return f"no consent to be contacted on this channel ({profile.reason or 'not given'})"
        return "no offer of this tenant is eligible" if catalog.offers else "this tenant has no offers"

    async def _relevance(self, profile: ProfileContext, now: Situation, eligible: list[Offer]) -> _Relevance:
        if not eligible:
            return _Relevance()
        if not profile.personalize:
            return _Relevance(degraded=[f"not_personalized: {profile.reason or 'unknown person'}"])
        request = SearchRequest(
            query=SearchQuery(profile_id=profile.profile_id),
            filter=SearchFilter(active_at=now.at, channel=now.request.channel, exclude_tags=profile.exclude_tags),
            limit=min(500, len(eligible)),
        )
        try:
            async with asyncio.timeout(self._settings.decisions_leaf_ms / 1000):
                answer = await self._retrieval.search("offers", request)
        except RemoteProblemError as error:
            if error.status == _NOT_FOUND:
                return _Relevance(degraded=["no_user_vector: ranked by priority"])
            raise
        except (UnavailableError, TimeoutError):
            return _Relevance(degraded=["search_unavailable: ranked by priority"])
        return _Relevance(
            scores={hit.id: hit.score for hit in answer.hits},
            reasons={
                hit.id: [f"{name} rank {rank}" for name, rank in sorted(hit.ranks.items())] for hit in answer.hits
            },
            index_version=answer.index_version,
            degraded=answer.degraded,
        )

    async def _items(
        self, catalog: Catalog, picked: list[Offer], score: dict[str, float], relevance: _Relevance
    ) -> list[PropositionItem]:
        assets = await asyncio.gather(*(self._catalog.asset_id(catalog, offer) for offer in picked))
        return [
            PropositionItem(
                id=offer.offer_id,
                rank=rank,
                score=score[offer.offer_id],
                probability=1.0,
                asset_id=asset,
                reasons=relevance.reasons.get(offer.offer_id) or [f"priority {offer.priority}"],
                name=offer.name,
            )
            for rank, (offer, asset) in enumerate(zip(picked, assets, strict=True), start=1)
        ]

    async def _log(
        self, tenant: str, at: dt.datetime, request: DecisionRequest, answer: Proposition, seen: list[Candidate]
    ) -> None:
        record = DecisionRecord(
            id=answer.id, time=at, request=request, profile_id=answer.profile_id, candidates=seen, proposition=answer
        )
        async with transaction(self._engine) as connection:
            await DecisionRepository(connection).add(tenant, record)

    async def record(self, tenant: str, decision_id: str) -> DecisionRecord:
        """A logged decision.

        Raises:
            UnknownDecisionError: this tenant has none of this id.
        """
        async with transaction(self._engine) as connection:
            found = await DecisionRepository(connection).get(tenant, decision_id)
        if found is None:
            message = f"No decision {decision_id!r}."
            raise UnknownDecisionError(message)
        return found
