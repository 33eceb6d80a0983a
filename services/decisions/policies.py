"""Everything a decision depends on, live and as it was: rules, policy, offers, copy and models as one pinned version."""

import asyncio
import contextlib
import time
import zlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.decisions import contact, rollouts, timing
from services.decisions.approved import ApprovedCopy
from services.decisions.assortment import Assortment, Pinned
from services.decisions.catalog import CatalogReader
from services.decisions.concurrency import both
from services.decisions.contact import Kind
from services.decisions.patches import patched
from services.decisions.repository import DecisionRepository, DocumentRepository
from services.decisions.settings import DecisionsSettings
from shared.contracts.catalog import Offer
from shared.contracts.policies import Policy, Rollout, Rule, ScorerModel, ScorerTiming
from shared.db.engine import transaction
from shared.errors import InvalidInputError

_KEPT = 128
_TERMS = 512
DocumentT = TypeVar("DocumentT", Rule, Policy, ScorerModel, Rollout)

log = structlog.get_logger()


class Snapshot(msgspec.Struct):
    """What is live for a tenant right now."""

    pinned: Pinned
    loaded_at: float
    degraded: list[str]


class Terms(msgspec.Struct):
    """Under which policy a decision was made, and what was offered, by id: what its outcomes count by."""

    policy: Policy
    offers: dict[str, Offer]


class PolicyService:
    """Reads what decides; remembers it for seconds, pins every version that is used."""

    def __init__(
        self, engine: AsyncEngine, catalog: CatalogReader, approved: ApprovedCopy, settings: DecisionsSettings
    ) -> None:
        self._engine = engine
        self._catalog = catalog
        self._approved = approved
        self._settings = settings
        self._live: dict[str, Snapshot] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._built: OrderedDict[tuple[str, str], Assortment] = OrderedDict()
        self._pinned: set[tuple[str, str]] = set()
        self._terms: OrderedDict[tuple[str, str], Terms] = OrderedDict()

    async def snapshot(self, tenant: str) -> Snapshot:
        """What is live, at most some seconds old; older, with a reason, when a store does not answer."""
        known = self._live.get(tenant)
        if known and time.monotonic() - known.loaded_at < self._settings.decisions_catalog_seconds:
            return known
        lock = self._locks.setdefault(tenant, asyncio.Lock())
        if known and lock.locked():
            return known  # somebody fetches the news; the old ones are good for another moment
        async with lock:
            known = self._live.get(tenant)
            if known and time.monotonic() - known.loaded_at < self._settings.decisions_catalog_seconds:
                return known
            self._live[tenant] = fresh = await self._load(tenant, known)
            return fresh

    async def _load(self, tenant: str, known: Snapshot | None) -> Snapshot:
        (catalog, stale), (copies, unseen) = await both(self._catalog.snapshot(tenant), self._approved.of(tenant))
        degraded = [*stale, *unseen]
        try:
            async with transaction(self._engine) as connection:
                found = await DocumentRepository(connection).live(tenant)
        except Exception as error:
            if known is None:
                raise
            log.warning("decisions.policies_unavailable", kind=type(error).__name__)
            pinned = msgspec.structs.replace(known.pinned, offers=list(catalog.offers.values()), variants=copies)
            degraded = [*degraded, "database_unavailable: rules as last seen"]
            return Snapshot(pinned, time.monotonic(), degraded)
        policies = [
            msgspec.structs.replace(msgspec.convert(body, Policy), version=version)
            for version, body in found.get("policy", [])
        ]

        def all_of(kind: str, contract: type[DocumentT]) -> list[DocumentT]:
            return [msgspec.convert(body, contract) for _, body in found.get(kind, [])]

        models, damaged = _sound(found.get("model", []), ScorerModel)
        running, broken = _sound(found.get("rollout", []), Rollout)
        pinned = Pinned(
            offers=list(catalog.offers.values()),
            rules=all_of("rule", Rule),
            policy=next((p for p in policies if p.policy_id == "default"), Policy()),
            variants=copies,
            models=models,
            rollouts=running,
        )
        if damaged or broken:
            log.error("decisions.documents_damaged", tenant=tenant, scorers=damaged, rollouts=broken)
        if known and known.pinned == pinned:
            pinned = known.pinned  # the same object: what was built from it stays
        return Snapshot(pinned, time.monotonic(), degraded)

    def forget(self, tenant: str) -> None:
        """The next decision reads everything anew."""
        self._live.pop(tenant, None)
        self._catalog.forget(tenant)

    async def assortment(self, tenant: str, pinned: Pinned, patch: dict[str, Any], unit: str = "") -> Assortment:
        """The live goods under the live policy (changed by experiment arms), laid out and pinned; for a person (`unit`, a
        known one's id) in a challenger's share of traffic under the challenger.
        """
        rollout = (
            rollouts.named(patch.get("scorer", pinned.policy.scorer), pinned.rollouts) if pinned.rollouts else None
        )
        challenged = rollout is not None and bool(unit) and rollouts.is_challenged(tenant, rollout, unit)
        arm = rollouts.CANARY if challenged else ""
        key = (tenant, f"{id(pinned)}:{arm}{msgspec.json.encode(patch).decode() if patch else ''}")
        found = self._built.get(key)
        # An id can be taken again by another object once the first is gone.
        if found is None or found.pinned.offers is not pinned.offers:
            own = _own(pinned, patched(pinned.policy, patch), rollout, challenged=challenged)
            found = await asyncio.to_thread(Assortment, own)
            self._keep(key, found)
            self._keep((tenant, f"@{found.versions['all']}:"), found)
        await self._pin(tenant, found)
        return found

    def _keep(self, key: tuple[str, str], goods: Assortment) -> None:
        self._built[key] = goods
        while len(self._built) > _KEPT:
            self._built.popitem(last=False)

    async def _pin(self, tenant: str, goods: Assortment) -> None:
        version = goods.versions["all"]
        if (tenant, version) in self._pinned:
            return
        body = await asyncio.to_thread(lambda: zlib.compress(msgspec.msgpack.encode(goods.pinned), 1))
        async with transaction(self._engine) as connection:
            await DecisionRepository(connection).pin(tenant, version, body)
        self._pinned.add((tenant, version))

    async def as_pinned(self, tenant: str, version: str, patch: dict[str, Any] | None = None) -> Assortment | None:
        """The goods that a version names (under a changed policy); None when the version was never pinned here.

        A changed policy may name a scorer that did not decide then: it would have decided as it is now.
        """
        named, models, running = await self._scorer(tenant, (patch or {}).get("scorer"))
        key = (tenant, f"@{version}:{msgspec.json.encode(patch).decode() if patch else ''}{named}")
        if key not in self._built:
            pinned = await self._read(tenant, version)
            if pinned is None:
                return None
            pinned = msgspec.structs.replace(
                pinned, policy=patched(pinned.policy, patch or {}), models=[*pinned.models, *models],
                rollouts=running or pinned.rollouts,
            )  # fmt: skip
            self._keep(key, await asyncio.to_thread(Assortment, pinned))
        return self._built[key]

    async def _scorer(self, tenant: str, name: object) -> tuple[str, list[ScorerModel], list[Rollout]]:
        """What a live scorer's name, or that of a model, stands for, beside a key for it.

        Whoever lays goods out of the models keeps them, so no other one can take a model's id while they are remembered.
        """
        if name is None:
            return "", [], []
        live = (await self.snapshot(tenant)).pinned
        rollout = rollouts.named(str(name), live.rollouts)
        running = [rollouts.fixed(rollout, challenged=False)] if rollout else []
        names = {key for key, _ in rollouts.order(str(name), running)}
        models = [model for model in live.models if model.model_id in names]
        return "".join(f":{id(model)}" for model in models), models, running

    async def timed(self, tenant: str, scorer: str) -> ScorerTiming:
        """How long a stored scorer takes for all live offers.

        Raises:
            BadModelError: it is not stored, or cannot be used.
        """
        pinned = (await self.snapshot(tenant)).pinned
        own = _own(pinned, msgspec.structs.replace(pinned.policy, scorer=scorer), None, challenged=False)
        return await asyncio.to_thread(timing.timed, own)

    async def _read(self, tenant: str, version: str) -> Pinned | None:
        async with transaction(self._engine) as connection:
            body = await DecisionRepository(connection).pinned(tenant, version)
        return None if body is None else msgspec.msgpack.decode(zlib.decompress(body), type=Pinned)

    async def terms(self, tenant: str, version: str) -> Terms:
        """The terms that a version names; the live ones for a version that is not kept here any more."""
        key = (tenant, version)
        if key not in self._terms:
            pinned = await self._read(tenant, version) or (await self.snapshot(tenant)).pinned
            self._terms[key] = Terms(pinned.policy, {offer.offer_id: offer for offer in pinned.offers})
            while len(self._terms) > _TERMS:
                self._terms.popitem(last=False)
        return self._terms[key]

    async def policy(self, tenant: str) -> Policy:
        """The live policy."""
        return (await self.snapshot(tenant)).pinned.policy

    async def kinds(self, tenant: str, patches: Iterable[dict[str, Any]]) -> tuple[frozenset[Kind], dict[str, Offer]]:
        """What must be counted: all that the live policy caps, or would with one of these changes; and the offers by id."""
        pinned = (await self.snapshot(tenant)).pinned
        found: frozenset[Kind] = frozenset()
        for patch in [{}, *patches]:
            try:
                found |= contact.kinds(pinned.offers, patched(pinned.policy, patch).contact)
            except InvalidInputError:  # an arm that is no policy decides nothing
                continue
        return found, {offer.offer_id: offer for offer in pinned.offers}


def _own(pinned: Pinned, policy: Policy, rollout: Rollout | None, *, challenged: bool) -> Pinned:
    """Only what decides: a tenant may have hundreds of versions of models, of a megabyte each."""
    running = [rollouts.fixed(rollout, challenged=challenged)] if rollout else []
    names = {name for name, _ in rollouts.order(policy.scorer, running)}
    models = [model for model in pinned.models if model.model_id in names]
    return msgspec.structs.replace(pinned, policy=policy, models=models, rollouts=running)


def _sound(found: list[tuple[int, Any]], contract: type[DocumentT]) -> tuple[list[DocumentT], int]:
    """The documents that can be read, and how many cannot: what names one of those does without it and says so."""
    sound: list[DocumentT] = []
    for _, body in found:
        with contextlib.suppress(msgspec.ValidationError):
            sound.append(msgspec.convert(body, contract))
    return sound, len(found) - len(sound)
