"""Off the decision path: material for the writer, and copy for named or ranked offers."""

import asyncio
import datetime as dt
import time

import msgspec

from services.decisions.catalog import CatalogReader
from services.decisions.concurrency import both
from services.decisions.errors import OfferNotActiveError, UnknownOfferError
from services.decisions.kept import generated, with_ids
from services.decisions.people import People
from services.decisions.service import DecisionService
from shared.clients.generation import GenerationClient
from shared.clients.governance import GovernanceClient
from shared.contracts.approval import GeneratedCopies
from shared.contracts.base import FieldError
from shared.contracts.catalog import Offer
from shared.contracts.decisions import DecisionRequest, MaterialAnswer, MaterialRequest
from shared.contracts.generation import (
    Copy,
    GenerateAnswer,
    GenerateRequest,
    Material,
    RankedRequest,
    WriteRequest,
)
from shared.contracts.profiles import ProfileContext
from shared.errors import UnavailableError

_MIN_DEADLINE_MS = 100


class CopyService:
    """Assembles what the writer may use, and has it written."""

    def __init__(
        self, decisions: DecisionService, people: People, catalog: CatalogReader, generation: GenerationClient,
        governance: GovernanceClient,
    ) -> None:  # fmt: skip
        self._governance = governance
        self._decisions = decisions
        self._people = people
        self._catalog = catalog
        self._generation = generation

    async def material(self, tenant: str, request: MaterialRequest) -> MaterialAnswer:
        """One material per offer, in the order asked for.

        Raises:
            UnknownOfferError: an id is not in the catalog.
            OfferNotActiveError: an offer has not started or is over.
        """
        at = request.at or dt.datetime.now(dt.UTC)
        met, offers = await both(
            self._people.meet(request.profile_id, request.identity_map, request.channel),
            self._offers(tenant, request.offer_ids),
        )
        profile, degraded = met.profile, met.degraded
        self._check_active(offers, at)
        catalog, stale = await self._catalog.snapshot(tenant)

        async def one(offer: Offer) -> Material:
            asset_id = await self._catalog.asset_id(catalog, offer)
            asset, brand = await asyncio.gather(self._catalog.asset(asset_id), self._catalog.brand(offer.brand_id))
            return Material(profile=_for_writer(profile), offer=offer, brand=brand, asset=asset)

        materials = await asyncio.gather(*map(one, offers))
        return MaterialAnswer(
            materials=list(materials), degraded=[*degraded, *stale], index_version=catalog.index_version
        )

    async def _offers(self, tenant: str, offer_ids: list[str]) -> list[Offer]:
        try:
            found = await self._catalog.named(offer_ids)
        except UnavailableError:
            found = (await self._catalog.snapshot(tenant))[0].offers
        missing = [key for key in offer_ids if key not in found]
        if missing:
            errors = [FieldError(field="offerIds", message="no such offer", given=key) for key in missing]
            message = f"No offer {', '.join(map(repr, missing))} in the catalog."
            raise UnknownOfferError(message, errors=errors)
        return [found[key] for key in offer_ids]

    @staticmethod
    def _check_active(offers: list[Offer], at: dt.datetime) -> None:
        errors = [
            FieldError(
                field="offerIds",
                message="not yet started" if at < offer.start_date else "expired",
                given=offer.offer_id,
                allowed=f"valid from {offer.start_date.isoformat()} until {offer.end_date.isoformat()}",
            )
            for offer in offers
            if not offer.start_date <= at < offer.end_date
        ]
        if errors:
            detail = "; ".join(f"offer {e.given!r} is {e.message} ({e.allowed})" for e in errors)
            raise OfferNotActiveError(detail, errors=errors)

    async def generate(self, tenant: str, request: GenerateRequest) -> GenerateAnswer:
        """Copy for the named offers, within the deadline. A person who may not be contacted gets none, and why."""
        started = time.perf_counter()
        answer = await self.material(
            tenant,
            MaterialRequest(
                profile_id=request.profile_id,
                identity_map=request.identity_map,
                offer_ids=request.offer_ids,
                channel=request.channel,
                locale=request.locale,
            ),
        )
        profile = answer.materials[0].profile
        if not profile.contactable:
            degraded = [*answer.degraded, f"contact_refused: {profile.reason or 'no consent'}"]
            return GenerateAnswer(profile_id=profile.profile_id, personalized=False, copies=[], degraded=degraded)
        spent_ms = int((time.perf_counter() - started) * 1000)
        deadline_ms = max(request.deadline_ms - spent_ms, _MIN_DEADLINE_MS)
        copies = list(
            await asyncio.gather(
                *(self._write(material, request, profile, deadline_ms) for material in answer.materials)
            )
        )
        copies, unkept = await self._keep(answer, copies, request) if request.keep else (copies, [])
        return GenerateAnswer(
            profile_id=profile.profile_id,
            personalized=profile.personalize,
            copies=copies,
            degraded=[*answer.degraded, *unkept],
        )

    async def _keep(
        self, answer: MaterialAnswer, copies: list[Copy], request: GenerateRequest
    ) -> tuple[list[Copy], list[str]]:
        """Store what was written for approval: the copies with the ids they are kept under, else why they are not."""
        locale = request.locale or answer.materials[0].profile.locale
        made = [
            generated(variant, material, request.channel, locale, answer.index_version)
            for material, copy in zip(answer.materials, copies, strict=True) for variant in copy.variants
        ]  # fmt: skip
        if not made:
            return copies, []
        try:
            page = await self._governance.keep(GeneratedCopies(copies=made))
        except UnavailableError as error:
            return copies, [f"copy_not_kept: {error.detail}"]
        return with_ids(copies, [one.copy_id for one in page.copies]), []

    async def _write(
        self, material: Material, request: GenerateRequest, profile: ProfileContext, deadline_ms: int
    ) -> Copy:
        return await self._generation.write(
            WriteRequest(
                material=material,
                placement=request.placement,
                channel=request.channel,
                locale=request.locale or profile.locale,
                max_variants=request.max_variants,
                seed=request.seed,
                deadline_ms=deadline_ms,
            )
        )

    async def generate_ranked(self, tenant: str, request: RankedRequest) -> GenerateAnswer:
        """Decide, then write for each picked offer; the decision is logged whether or not the writing succeeds."""
        started = time.perf_counter()
        decision = await self._decisions.decide(
            tenant,
            DecisionRequest(
                profile_id=request.profile_id,
                identity_map=request.identity_map,
                scopes=[request.placement],
                channel=request.channel,
                locale=request.locale,
                limit=request.limit,
                explore=False,
            ),
        )
        if not decision.items:
            reason = decision.reason or "no eligible offer"
            return GenerateAnswer(
                profile_id=decision.profile_id,
                personalized=False,
                copies=[],
                degraded=[*decision.degraded, f"nothing_to_offer: {reason}"],
                decision_id=decision.id,
            )
        spent_ms = int((time.perf_counter() - started) * 1000)
        answer = await self.generate(
            tenant,
            GenerateRequest(
                profile_id=request.profile_id,
                identity_map=request.identity_map,
                offer_ids=[item.id for item in decision.items],
                placement=request.placement,
                channel=request.channel,
                locale=request.locale,
                max_variants=request.max_variants,
                seed=request.seed,
                deadline_ms=max(request.deadline_ms - spent_ms, _MIN_DEADLINE_MS),
                keep=request.keep,
            ),
        )
        degraded = list(dict.fromkeys([*decision.degraded, *answer.degraded]))
        return msgspec.structs.replace(answer, decision_id=decision.id, degraded=degraded)


def _for_writer(profile: ProfileContext) -> ProfileContext:
    """The context without what only eligibility may see."""
    return msgspec.structs.replace(profile, attributes={}, exclude_tags=[])
