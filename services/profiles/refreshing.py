"""Recomputing facts, 500 people at a time."""

import time
from collections.abc import AsyncIterator, Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from services.profiles import facts as rules
from services.profiles import summary
from services.profiles.online import OnlineProfiles
from services.profiles.repository import ProfileRepository, StoredFacts
from services.profiles.sensitive import exclude_tags
from shared.clients.events import EventsClient
from shared.contracts.events import ActivityRequest
from shared.contracts.profiles import FactsRefreshed, Profile
from shared.db.engine import transaction

_PAGE = 500


class FactService:
    """Computes facts from purchase activity; only what changed is written."""

    def __init__(self, engine: AsyncEngine, events: EventsClient, online: OnlineProfiles) -> None:
        self._engine = engine
        self._events = events
        self._online = online

    async def refresh(self, tenant: str, profile_ids: Sequence[str]) -> FactsRefreshed:
        """Recompute the facts of the named profiles, or of all.

        Raises:
            UnavailableError: the events service does not answer; what was written before stays.
        """
        started = time.perf_counter()
        people = count = 0
        async for page in self._pages(tenant, profile_ids):
            people += len(page)
            count += await self._refresh_page(tenant, page)
        return FactsRefreshed(profiles=people, facts=count, seconds=round(time.perf_counter() - started, 3))

    async def _pages(self, tenant: str, profile_ids: Sequence[str]) -> AsyncIterator[list[Profile]]:
        if profile_ids:
            for start in range(0, len(profile_ids), _PAGE):
                async with transaction(self._engine) as connection:
                    wanted = profile_ids[start : start + _PAGE]
                    page = list((await ProfileRepository(connection).get_many(tenant, wanted)).values())
                if page:
                    yield page
            return
        after = None
        while True:
            async with transaction(self._engine) as connection:
                page = await ProfileRepository(connection).page(tenant, after, _PAGE)
            if page:
                yield page
            if len(page) < _PAGE:
                return
            after = page[-1].profile_id

    async def _refresh_page(self, tenant: str, page: list[Profile]) -> int:
        answer = await self._events.activity(ActivityRequest(profile_ids=[p.profile_id for p in page]))
        activities = {activity.profile_id: activity for activity in answer.activities}
        rows = []
        for profile in page:
            activity = activities.get(profile.profile_id)
            found = rules.compute(activity, profile.attributes, answer.newest)
            text = summary.embedding_text(found)
            bought = [category.category for category in activity.categories] if activity else []
            rows.append(
                StoredFacts(
                    profile_id=profile.profile_id,
                    facts=found,
                    exclude_tags=exclude_tags(bought),
                    summary=text,
                    content_hash=summary.content_hash(text),
                )
            )
        async with transaction(self._engine) as connection:
            repository = ProfileRepository(connection)
            known = await repository.facts(tenant, [row.profile_id for row in rows])
            changed = [row for row in rows if known.get(row.profile_id) != row]
            await self._online.drop(tenant, [row.profile_id for row in changed])
            await repository.save_facts(tenant, changed)
        return sum(len(row.facts) for row in rows)
