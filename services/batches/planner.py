"""Planning a batch: the audience page by page, a decision a person and channel, the texts that would fit, the chunks.

A page is stored in one transaction with how far the audience has been read, so a plan that was cut off goes on there.
"""

import asyncio
import datetime as dt

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.batches import planning
from services.batches.planning import ItemPlan
from services.batches.repository import BatchRepository, Cursor, StoredBatch
from services.batches.settings import BatchesSettings
from shared.clients.bundle import Clients
from shared.contracts.catalog import Offer, OffersQuery
from shared.contracts.decisions import Decision, DecisionRequest
from shared.contracts.generation import RelevanceRequest
from shared.contracts.profiles import AudienceQuery, Channel, ContextPage, ContextsQuery, Fact, ProfileContext
from shared.db.engine import transaction

_AT_ONCE = 16
_MOST_SLOTS = 30
_LEASE = dt.timedelta(seconds=30)
_FACTS_A_CALL = 1000

log = structlog.get_logger()


class Planner:
    """Plans one batch."""

    def __init__(self, engine: AsyncEngine, clients: Clients, own: BatchesSettings) -> None:
        self._engine = engine
        self._clients = clients
        self._own = own
        self._offers: dict[str, Offer] = {}
        self._weights: dict[str, dict[str, float]] = {}
        self._budget = 0
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def plan(self, tenant: str, batch_id: str) -> None:
        """Plan until the audience is through, or the batch is no longer to be planned."""
        while True:
            async with transaction(self._engine) as connection:
                stored = await BatchRepository(connection).lease_plan(tenant, batch_id, _now() + _LEASE)
            if stored is None:
                return
            if stored.cursor.done:
                await self._finish(tenant, stored)
                return
            await self._page(tenant, stored)

    async def _page(self, tenant: str, stored: StoredBatch) -> None:
        request = stored.request
        items: list[ItemPlan] = []
        people, after, more = 0, stored.cursor, False
        for channel in request.channels:
            page, after, more = await self._people(tenant, stored, channel)
            people = len(page.contexts)
            found = await asyncio.gather(*(self._person(stored, context, channel) for context in page.contexts))
            items += [item for part in found for item in part]
        after = msgspec.structs.replace(after, done=not more)
        async with transaction(self._engine) as connection:
            await BatchRepository(connection).add_page(tenant, stored, items, people, after)

    async def _people(self, tenant: str, stored: StoredBatch, channel: Channel) -> tuple[ContextPage, Cursor, bool]:
        """A page of the audience, where the next one begins, and whether there is one."""
        limit, cursor, audience = self._own.batches_plan_people, stored.cursor, stored.request.audience
        if stored.request.from_file or audience.profile_ids:
            async with transaction(self._engine) as connection:
                listed = await BatchRepository(connection).members(tenant, stored.batch_id, cursor.member, limit)
            after = msgspec.structs.replace(cursor, member=cursor.member + len(listed))
            if not listed:
                return ContextPage(contexts=[]), after, False
            query = ContextsQuery(audience=AudienceQuery(profile_ids=listed), channel=channel, limit=limit)
            return await self._clients.profiles.contexts(query), after, len(listed) == limit
        query = ContextsQuery(audience=audience, channel=channel, cursor=cursor.profile, limit=limit)
        page = await self._clients.profiles.contexts(query)
        last = page.contexts[-1].profile_id if page.contexts else cursor.profile
        return page, msgspec.structs.replace(cursor, profile=last), page.cursor is not None

    async def _person(self, stored: StoredBatch, context: ProfileContext, channel: Channel) -> list[ItemPlan]:
        request = stored.request
        wanted: list[str | None] = list(request.offer_ids) if request.best is None else [None]
        nothing = planning.withheld(context, channel)
        if nothing:
            return [ItemPlan(context.profile_id, channel, offer_id, nothing) for offer_id in wanted]
        async with self._gate:
            decision = await self._decide(stored, context, channel)
        picked = {item.id: item for item in decision.items}
        locale = request.locale or context.locale
        items = [
            planning.item_of(context, channel, item, decision.id, await self._texts(stored, context, channel, locale, item.id))
            for item in picked.values()
        ]  # fmt: skip
        reason = f"not eligible: {decision.reason or 'see the decision'}"
        left = [key for key in wanted if key not in picked] if request.best is None else ([] if items else [None])
        return items + [ItemPlan(context.profile_id, channel, key, reason, decision_id=decision.id) for key in left]

    async def _decide(self, stored: StoredBatch, context: ProfileContext, channel: Channel) -> Decision:
        request = stored.request
        return await self._clients.decisions.decide(
            DecisionRequest(
                profile_id=context.profile_id, scopes=[request.placement], channel=channel, locale=request.locale,
                limit=request.best or min(len(request.offer_ids), _MOST_SLOTS), candidate_ids=request.offer_ids, explore=False,
            )
        )  # fmt: skip

    async def _texts(
        self, stored: StoredBatch, context: ProfileContext, channel: Channel, locale: str, offer_id: str
    ) -> tuple[planning.TextPlan, ...]:
        facts = context.facts if context.personalize else []
        if stored.request.share:
            facts = [said for fact in facts if (said := planning.generalised(fact))]
        weights = await self._relevance(offer_id, facts)
        most = planning.SHARED_FACTS if stored.request.share else len(facts)
        matter = planning.chosen(facts, weights, self._budget, most=most)
        if stored.request.share:
            return planning.shared_texts(offer_id, channel, locale, matter)
        return planning.own_text(offer_id, channel, locale, matter, context.profile_id)

    async def _relevance(self, offer_id: str, facts: list[Fact]) -> dict[str, float]:
        """Fact's text -> weight for an offer; asked once for each text."""
        known = self._weights.setdefault(offer_id, {})
        unseen = list({fact.text: fact for fact in facts if fact.text not in known}.values())
        offer = await self._offer(offer_id) if unseen else None
        if offer is None:
            return known
        for start in range(0, len(unseen), _FACTS_A_CALL):
            part = unseen[start : start + _FACTS_A_CALL]
            answer = await self._clients.generation.relevance(RelevanceRequest(offer=offer, facts=part))
            known |= {fact.text: weight for fact, weight in zip(part, answer.weights, strict=True)}
            self._budget = answer.budget_tokens
        return known

    async def _offer(self, offer_id: str) -> Offer | None:
        """The offer; None for one that was removed since it was decided for: nothing personal is said about it."""
        if offer_id not in self._offers:
            found = await self._clients.retrieval.offers_by_id(OffersQuery(offer_ids=[offer_id]))
            self._offers |= {offer.offer_id: offer for offer in found.offers}
        return self._offers.get(offer_id)

    async def _finish(self, tenant: str, stored: StoredBatch) -> None:
        """Choose every item's text by how many share it, cut the texts into chunks, and begin."""
        request, own = stored.request, self._own
        async with transaction(self._engine) as connection:
            repository = BatchRepository(connection)
            await repository.choose_texts(tenant, stored.batch_id, request.minimum_group if request.share else 1)
            texts = await repository.chosen_texts(tenant, stored.batch_id)
            chunks = planning.chunked(texts, tokens=own.batches_chunk_tokens, most=own.batches_chunk_texts)
            await repository.begin(tenant, stored.batch_id, chunks)
        log.info("batches.planned", batch_id=stored.batch_id, texts=len(texts), chunks=len(chunks))


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
