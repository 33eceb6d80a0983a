"""What the search says about the offers for a person, and why it may say less than it could."""

import asyncio
import datetime as dt

import msgspec

from services.decisions.assortment import Assortment
from shared.clients.http import RemoteProblemError
from shared.clients.retrieval import RetrievalClient
from shared.contracts.decisions import DecisionRequest
from shared.contracts.profiles import ProfileContext
from shared.contracts.retrieval import SearchFilter, SearchQuery, SearchRequest
from shared.errors import UnavailableError

_NOT_FOUND = 404
_MAX_HITS = 500


class Found(msgspec.Struct, frozen=True):
    """Offer -> score, the index that was asked, and what was missing."""

    scores: dict[str, float] = {}
    index_version: str = ""
    degraded: list[str] = []


class Relevance:
    """Asks retrieval, with a deadline."""

    def __init__(self, retrieval: RetrievalClient, seconds: float) -> None:
        self._retrieval = retrieval
        self._seconds = seconds

    async def of(self, goods: Assortment, profile: ProfileContext, request: DecisionRequest, at: dt.datetime) -> Found:
        """Scores of the offers for this person; none where the policy wants none or nothing may be used."""
        if not profile.personalize:
            return Found(degraded=[f"not_personalized: {profile.reason or 'unknown person'}"])
        if not goods.policy.relevance or not goods.ids or not profile.contactable:
            return Found()
        wanted = SearchRequest(
            query=SearchQuery(profile_id=profile.profile_id),
            filter=SearchFilter(active_at=at, channel=request.channel, exclude_tags=profile.exclude_tags),
            limit=min(_MAX_HITS, len(goods.ids)),
        )
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._retrieval.search("offers", wanted)
        except RemoteProblemError as error:
            if error.status == _NOT_FOUND:
                return Found(degraded=["no_user_vector: ranked without search"])
            raise
        except (UnavailableError, TimeoutError):
            return Found(degraded=["search_unavailable: ranked without search"])
        return Found({hit.id: hit.score for hit in answer.hits}, answer.index_version, answer.degraded)
