"""Writing the texts of a chunk: material from the record as it stands now, the writer, what became of each text."""

import asyncio
from collections.abc import Sequence

import msgspec

from services.batches.errors import ModelDownError
from services.batches.leases import Chunk, Outcome, Work
from services.batches.settings import BatchesSettings
from shared.clients.bundle import Clients
from shared.contracts.approval import GeneratedCopies, GeneratedCopy, RequiredFact, provenance_of
from shared.contracts.batches import BatchRequest
from shared.contracts.catalog import Brand, Offer, OffersQuery
from shared.contracts.generation import SECTIONS, Copy, Material, Sections, Usage, WriteRequest
from shared.contracts.profiles import ProfileContext

_MODEL_DOWN = "llm_unavailable"
_SOMEBODY = "somebody"
_SEEDS = 2**31 - 1


class Written(msgspec.Struct):
    """What a chunk's texts came to: outcomes in their order, and what they cost."""

    outcomes: list[Outcome]
    usage: Usage


class Writer:
    """Writes chunks through generation; nothing is stored here."""

    def __init__(self, clients: Clients, own: BatchesSettings) -> None:
        self._clients = clients
        self._own = own
        self._gate = asyncio.Semaphore(own.batches_concurrency)

    async def write(self, chunk: Chunk) -> Written:
        """All texts of a chunk.

        Raises:
            ModelDownError: the model server does not answer and the batch is to wait for it.
            UnavailableError: a service does not answer.
        """
        offers, brands = await self._records(sorted({work.offer_id for work in chunk.works}))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one(chunk.request, work, offers, brands)) for work in chunk.works]
        made = [task.result() for task in tasks]
        if chunk.request.keep:
            await self._keep([kept for _, _, kept in made if kept])
        total = Usage()
        for _, usage, _ in made:
            total = Usage(calls=total.calls + usage.calls, prompt_tokens=total.prompt_tokens + usage.prompt_tokens,
                          completion_tokens=total.completion_tokens + usage.completion_tokens)  # fmt: skip
        return Written([outcome for outcome, _, _ in made], total)

    async def _records(self, offer_ids: list[str]) -> tuple[dict[str, Offer], dict[str, Brand]]:
        found = await self._clients.retrieval.offers_by_id(OffersQuery(offer_ids=offer_ids))
        offers = {offer.offer_id: offer for offer in found.offers}
        brands = {
            key: await self._clients.retrieval.brand(key) for key in sorted({o.brand_id for o in offers.values()})
        }
        return offers, brands

    async def _one(
        self, request: BatchRequest, work: Work, offers: dict[str, Offer], brands: dict[str, Brand]
    ) -> tuple[Outcome, Usage, GeneratedCopy | None]:
        offer = offers.get(work.offer_id)
        if offer is None:
            return Outcome(work.text_key, "failed", "the offer is gone", None, None), Usage(), None
        material = Material(profile=_reader(work), offer=offer, brand=brands[offer.brand_id])
        async with self._gate:
            copy = await self._clients.generation.write(
                WriteRequest(
                    material=material, placement=request.placement, channel=work.channel, locale=work.locale,
                    seed=(request.seed + int(work.text_key[:8], 16)) % _SEEDS, deadline_ms=self._own.batches_deadline_ms,
                    candidates=self._own.batches_candidates, attempts=self._own.batches_attempts,
                )
            )  # fmt: skip
        if request.when_model_down == "wait" and any(reason.startswith(_MODEL_DOWN) for reason in copy.degraded):
            raise ModelDownError(next(reason for reason in copy.degraded if reason.startswith(_MODEL_DOWN)))
        return _outcome(work, material, copy)

    async def _keep(self, copies: Sequence[GeneratedCopy]) -> None:
        if copies:
            await self._clients.governance.keep(GeneratedCopies(copies=list(copies)))


def _reader(work: Work) -> ProfileContext:
    """Whom a text is written to: somebody of whom these facts hold, and nothing else is known."""
    return ProfileContext(
        profile_id=work.profile_id or _SOMEBODY, known=True, personalize=bool(work.facts), contactable=True, reason=None,
        locale=work.locale, time_zone="UTC", facts=work.facts,
    )  # fmt: skip


def _outcome(work: Work, material: Material, copy: Copy) -> tuple[Outcome, Usage, GeneratedCopy | None]:
    if not copy.variants:
        reason = copy.degraded[0] if copy.degraded else "nothing passed its checks"
        return Outcome(work.text_key, "failed", reason[:300], None, None), Usage(), None
    best = copy.variants[0]
    from_template = best.source == "template"
    provenance = provenance_of(best)
    outcome = Outcome(
        work.text_key, "template" if from_template else "written", copy.degraded[0][:300] if copy.degraded else None,
        _storable(best.sections), provenance,
    )  # fmt: skip
    facts = [RequiredFact(name=fact.name, text=fact.text) for fact in work.facts]
    kept = GeneratedCopy(material=material, channel=work.channel, locale=work.locale, sections=best.sections, source=best.source,
                         provenance=provenance, usage=best.usage, facts=facts, personal=work.profile_id is not None)  # fmt: skip
    return outcome, best.usage, kept


def _storable(sections: Sections) -> Sections:
    """Without the one character that no text in Postgres can hold."""
    return Sections(**{name: getattr(sections, name).replace("\0", "") for name in SECTIONS})
