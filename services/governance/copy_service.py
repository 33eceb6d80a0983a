"""The use cases of approval: keep, write, edit, move, check again, erase. Only what is live here is served by a decision."""

import asyncio
import datetime as dt

import msgspec
import structlog
import uuid_utils
from sqlalchemy.ext.asyncio import AsyncEngine

from services.governance import approval, checking, keeping, refusing
from services.governance.errors import CopyExistsError, UnknownOfferError, WrongStateError
from services.governance.repository import CopyRepository
from shared.clients.evaluation import EvaluationClient
from shared.clients.retrieval import RetrievalClient
from shared.context import CallContext, bound, current
from shared.contracts.approval import (
    CopyPage,
    CopyQuery,
    CopyState,
    EditCopy,
    GeneratedCopies,
    LiveCopies,
    MoveCopy,
    RecheckCopy,
    Rechecked,
    Step,
    StoredCopy,
    WrittenCopy,
)
from shared.contracts.base import FieldError
from shared.contracts.catalog import Brand, Offer, OffersQuery, statement_version
from shared.contracts.evaluation import ForgetResults
from shared.db.engine import transaction
from shared.errors import InvalidInputError, UnavailableError

_BATCH = 200

log = structlog.get_logger()


class CopyService:
    """Keeps copy and its way to being seen."""

    def __init__(self, engine: AsyncEngine, retrieval: RetrievalClient, evaluation: EvaluationClient) -> None:
        self._engine = engine
        self._retrieval = retrieval
        self._evaluation = evaluation

    async def keep(self, tenant: str, made: GeneratedCopies) -> CopyPage:
        """Store what generation wrote, with its checks done again here; the same text twice is stored once."""
        kept = await asyncio.to_thread(keeping.of_generated, made.copies, _now())
        async with transaction(self._engine) as connection:
            repository = CopyRepository(connection)
            steps = []
            for one, profile_id in kept:
                if await repository.add(tenant, one, profile_id):
                    steps.append((one.copy_id, _step("created", approval.MODEL_ACTOR, None, one, "")))
            await repository.add_steps(tenant, steps)
        return CopyPage(copies=[msgspec.structs.replace(one, material=None) for one, _ in kept])

    async def write(self, tenant: str, written: WrittenCopy) -> StoredCopy:
        """Store what a person wrote, checked.

        Raises:
            UnknownOfferError: there is no such offer.
            CopyExistsError: the id is taken.
        """
        refusing.no_nul(written)
        offer, brand = await self._record(written.offer_id)
        material = keeping.impersonal(offer, brand, written.locale)
        report = checking.of_one(material, written.sections, written.channel, written.locale)
        one = keeping.of_written(written, material, report, written.copy_id or str(uuid_utils.uuid7()), _now())
        async with transaction(self._engine) as connection:
            repository = CopyRepository(connection)
            if not await repository.add(tenant, one, None):
                message = f"copyId {one.copy_id!r} is taken; leave it out to have one made"
                raise CopyExistsError(
                    message, errors=[FieldError(field="copyId", message="is taken", given=one.copy_id)]
                )
            await repository.add_steps(tenant, [(one.copy_id, _step("created", written.by, None, one, written.reason))])
        return await self.get(tenant, one.copy_id)

    async def get(self, tenant: str, copy_id: str) -> StoredCopy:
        """A piece of copy with its material and history.

        Raises:
            UnknownCopyError: this tenant has none of this id.
        """
        async with transaction(self._engine) as connection:
            repository = CopyRepository(connection)
            one = refusing.known(await repository.one(tenant, copy_id), copy_id)
            steps = await repository.steps(tenant, [copy_id])
        return msgspec.structs.replace(one, history=steps.get(copy_id, []))

    async def page(self, tenant: str, query: CopyQuery) -> CopyPage:
        """Copy that meets every condition."""
        async with transaction(self._engine) as connection:
            repository = CopyRepository(connection)
            copies = await repository.page(tenant, query)
            steps = await repository.steps(tenant, [one.copy_id for one in copies]) if query.details else {}
        found = [msgspec.structs.replace(one, history=steps.get(one.copy_id, [])) for one in copies]
        return CopyPage(copies=found, cursor=copies[-1].copy_id if len(copies) == query.limit else None)

    async def edit(self, tenant: str, copy_id: str, edit: EditCopy) -> StoredCopy:
        """Change a text; it is checked against what the offer says now, and approved no more.

        Raises:
            UnknownCopyError, WrongRevisionError: nothing to change, or somebody else was faster.
            WrongStateError: live copy is not changed under its readers; retire it, or write another.
        """
        refusing.no_nul(edit)
        offer, brand = await self._record((await self.get(tenant, copy_id)).offer_id)
        async with transaction(self._engine) as connection:
            repository = CopyRepository(connection)
            one = refusing.known(await repository.one(tenant, copy_id, lock=True), copy_id)
            refusing.same_revision(one, edit.revision)
            if one.state not in approval.EDITABLE:
                message = f"copy that is {one.state} is not edited; write another, or retire it"
                raise WrongStateError(message)
            changed = keeping.edited(one, edit, offer, brand, _now())
            await repository.save(tenant, changed)
            await repository.add_steps(tenant, [(copy_id, _step("edited", edit.by, one.state, changed, edit.reason))])
        return await self.get(tenant, copy_id)

    async def move(self, tenant: str, copy_id: str, move: MoveCopy) -> StoredCopy:
        """Approve, reject, publish or retire.

        Raises:
            UnknownCopyError, WrongRevisionError, WrongStateError: it cannot be moved from where it stands.
            FailedChecksError: it is not what its offer says now.
            FourEyesError: the brand wants somebody else to approve it.
            InvalidInputError: a rejection says no reason.
        """
        refusing.no_nul(move)
        if move.to == "rejected" and not move.reason.strip():
            raise InvalidInputError(
                "reason: a rejection says why", errors=[FieldError(field="reason", message="is empty")]
            )
        offer_id = (await self.get(tenant, copy_id)).offer_id
        record = await self._record(offer_id) if move.to in {"approved", "live"} else None
        async with transaction(self._engine) as connection:
            repository = CopyRepository(connection)
            one = refusing.known(await repository.one(tenant, copy_id, lock=True), copy_id)
            refusing.same_revision(one, move.revision)
            if problem := approval.objection(one.state, move.to):
                raise WrongStateError(problem)
            if move.to == "approved" and record and record[1].copy_rules.four_eyes:
                refusing.other_eyes(one, move.by)
            checked = keeping.rechecked(one, *record) if record else one
            if record and not approval.passes(checked.report):
                raise refusing.failed(checked.report)
            moved = msgspec.structs.replace(checked, state=move.to, updated_at=_now())
            await repository.save(tenant, moved)
            await repository.add_steps(tenant, [(copy_id, _step("moved", move.by, one.state, moved, move.reason))])
            if "live" in {one.state, move.to}:
                await repository.live_changed(tenant)
        return await self.get(tenant, copy_id)

    async def recheck(self, tenant: str, wanted: RecheckCopy, *, changed_only: bool = False) -> Rechecked:
        """Check what stands against what its offers say now; what no longer passes goes back to `draft`."""
        async with transaction(self._engine) as connection:
            standing = await CopyRepository(connection).standing(tenant, wanted.offer_ids)
        records = await self._records({offer_id for _, offer_id, _ in standing})
        now = {
            offer_id: (statement_version(offer), keeping.checker_version()) for offer_id, (offer, _) in records.items()
        }
        todo = [(copy_id, offer_id) for copy_id, offer_id, checked in standing
                if not changed_only or now.get(offer_id) != checked]  # fmt: skip
        withdrawn = []
        for copy_id, offer_id in todo:
            if await self._recheck_one(tenant, copy_id, records.get(offer_id)):
                withdrawn.append(copy_id)
        return Rechecked(checked=len(todo), withdrawn=withdrawn)

    async def _recheck_one(self, tenant: str, copy_id: str, record: tuple[Offer, Brand] | None) -> bool:
        """Was it taken back? Copy whose offer is gone is taken back too."""
        async with transaction(self._engine) as connection:
            repository = CopyRepository(connection)
            one = await repository.one(tenant, copy_id, lock=True)
            if one is None or one.state not in approval.STANDING:
                return False
            fresh = keeping.rechecked(one, *record) if record else one
            passes = record is not None and approval.passes(fresh.report)
            state: CopyState = one.state if passes else "draft"
            moved = msgspec.structs.replace(fresh, state=state, updated_at=_now())
            await repository.save(tenant, moved)
            if one.state == "live":
                await repository.live_changed(tenant)
            if not passes:
                reason = refusing.why(fresh.report) if record else "the offer is gone"
                step = _step("rechecked", "atelier", one.state, moved, reason)
                await repository.add_steps(tenant, [(copy_id, step)])
                log.warning("governance.copy_withdrawn", copy_id=copy_id, was=one.state)
        return not passes

    async def recheck_all(self) -> None:
        """Of every tenant: check what stands and whose offer says something else now, or that an older checker checked."""
        async with transaction(self._engine) as connection:
            tenants = await CopyRepository(connection).tenants()
        for tenant in tenants:
            with bound(CallContext(tenant=tenant, request_id=str(uuid_utils.uuid7()), service="governance")):
                await self.recheck(tenant, RecheckCopy(), changed_only=True)

    async def live(self, tenant: str, version: str) -> LiveCopies:
        """All that is live, when the caller's version is not the present one."""
        async with transaction(self._engine) as connection:
            repository = CopyRepository(connection)
            # The number first: what changes meanwhile is seen the next time.
            now = str(await repository.live_version(tenant))
            copies = None if now == version else await repository.live(tenant)
        return LiveCopies(version=now, copies=None if copies is None else [keeping.served(one) for one in copies])

    async def erase(self, tenant: str, profile_id: str) -> int:
        """Delete what was written for a person; how many pieces. What evaluations found out about them goes too."""
        async with transaction(self._engine) as connection:
            gone = await CopyRepository(connection).erase(tenant, profile_id)
        try:
            for start in range(0, len(gone), _BATCH):
                await self._evaluation.forget(ForgetResults(copy_ids=gone[start : start + _BATCH]))
        except UnavailableError:
            log.warning("governance.evaluation_not_told", copies=len(gone))  # its sweep finds out by itself
        return len(gone)

    async def _record(self, offer_id: str) -> tuple[Offer, Brand]:
        found = await self._records({offer_id})
        if offer_id not in found:
            message = f"No offer {offer_id[:200]!r} in the catalog."
            error = FieldError(field="offerId", message="no such offer", given=offer_id)
            raise UnknownOfferError(message, errors=[error])
        return found[offer_id]

    async def _records(self, offer_ids: set[str]) -> dict[str, tuple[Offer, Brand]]:
        """What offers and their brands say now; offers that are gone are left out."""
        wanted = sorted(offer_ids)
        offers: list[Offer] = []
        for start in range(0, len(wanted), _BATCH):
            query = OffersQuery(offer_ids=wanted[start : start + _BATCH])
            offers += (await self._retrieval.offers_by_id(query)).offers
        brands = {key: await self._retrieval.brand(key) for key in sorted({offer.brand_id for offer in offers})}
        return {offer.offer_id: (offer, brands[offer.brand_id]) for offer in offers}


def _step(action: str, by: str, before: CopyState | None, one: StoredCopy, reason: str) -> Step:
    context = current()
    return msgspec.convert(
        {"number": 0, "time": _now(), "actor": by, "keyId": context.key_id if context else "", "action": action,
         "before": before, "after": one.state, "reason": reason, "textHash": approval.text_hash(one.sections)}, Step
    )  # fmt: skip


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
