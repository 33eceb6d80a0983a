"""The use cases of profiles."""

import datetime as dt
import hashlib
from collections.abc import Iterable

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profiles import merging, usable
from services.profiles.consent import may_personalize
from services.profiles.errors import IdentityTakenError, UnknownProfileError
from services.profiles.online import OnlineProfiles
from services.profiles.reading import PeopleReader
from services.profiles.repository import ProfileRepository
from shared.clients.bundle import Clients
from shared.clients.tasks import TaskSender
from shared.context import tenant
from shared.contracts.base import FieldError
from shared.contracts.profiles import (
    Consents,
    ContextPage,
    ContextQuery,
    ContextsQuery,
    Erasure,
    Fact,
    Identity,
    IdentityMap,
    Profile,
    ProfileContext,
    ProfilePage,
    ProfileSummary,
    ProfileSummaryPage,
    ProfileUpsert,
)
from shared.contracts.tasks import (
    ForgetBatchItems,
    ForgetCopy,
    ForgetDecisions,
    ForgetEvents,
    ForgetFeatures,
    ForgetUser,
)
from shared.db.engine import transaction
from shared.errors import InvalidInputError, UnavailableError

log = structlog.get_logger()


class ProfileService:
    """Who the person is, and what may be said of them."""

    def __init__(self, engine: AsyncEngine, clients: Clients, tasks: TaskSender, online: OnlineProfiles) -> None:
        self._engine = engine
        self._events = clients.events
        self._retrieval = clients.retrieval
        self._clients = clients
        self._online = online
        self._reader = PeopleReader(engine, online)
        self._tasks = tasks

    async def upsert(self, tenant: str, new: ProfileUpsert) -> Profile:
        """Create or merge a profile.

        Raises:
            IdentityTakenError: an identity belongs to another profile.
            UnknownTimeZoneError: the time zone does not exist.
            InvalidInputError: a text contains a NUL character.
        """
        if merging.contains_nul(new):
            raise InvalidInputError("a text contains a NUL character, which cannot be stored")
        async with transaction(self._engine) as connection:
            repository = ProfileRepository(connection)
            known = (await repository.get_many(tenant, [new.profile_id], lock=True)).get(new.profile_id)
            merged = merging.merge(known, new, dt.datetime.now(dt.UTC))
            keys = {(space, e.id): (new.profile_id, e) for space, entries in new.identity_map.items() for e in entries}
            await self._check_owners(repository, tenant, new.profile_id, list(keys))
            await self._online.drop(tenant, [merged.profile_id])
            await repository.save(tenant, [merged])
            await repository.save_identities(tenant, keys)
        await self._forget_if_withdrawn(tenant, known, merged)
        return merged

    @staticmethod
    async def _check_owners(
        repository: ProfileRepository, tenant: str, profile_id: str, keys: list[tuple[str, str]]
    ) -> None:
        owners = await repository.owners(tenant, keys)
        taken = [key for key, owner in owners.items() if owner != profile_id]
        if taken:
            errors = [
                FieldError(
                    field=f"identityMap.{space}", message=f"belongs to profile {owners[space, key]!r}", given=key
                )
                for space, key in taken
            ]
            names = ", ".join(f"{space} {key!r}" for space, key in taken)
            message = f"{names} belong to another profile; identities are merged by the caller, never guessed"
            raise IdentityTakenError(message, errors=errors)

    async def get(self, tenant: str, profile_id: str) -> Profile:
        """One profile.

        Raises:
            UnknownProfileError: this tenant has none of this id.
        """
        async with transaction(self._engine) as connection:
            found = await ProfileRepository(connection).get_many(tenant, [profile_id])
        if profile_id not in found:
            message = f"No profile {profile_id[:200]!r}."
            raise UnknownProfileError(message)
        return found[profile_id]

    async def page(self, tenant: str, cursor: str | None, limit: int) -> ProfilePage:
        """Profiles in the order of their ids; the cursor is the last id seen."""
        async with transaction(self._engine) as connection:
            profiles = await ProfileRepository(connection).page(tenant, cursor, limit)
        return ProfilePage(profiles=profiles, cursor=profiles[-1].profile_id if len(profiles) == limit else None)

    async def resolve(self, tenant: str, identities: IdentityMap) -> Profile:
        """The profile an identity belongs to; a primary identity decides before the others.

        Raises:
            UnknownProfileError: nobody has any of them.
        """
        ranked = sorted(
            ((not entry.primary, space, entry.id) for space, entries in identities.items() for entry in entries)
        )
        async with transaction(self._engine) as connection:
            owners = await ProfileRepository(connection).owners(tenant, [(space, key) for _, space, key in ranked])
        for _, space, key in ranked:
            if (space, key) in owners:
                return await self.get(tenant, owners[space, key])
        message = f"No profile has any of the {len(ranked)} given identities."
        raise UnknownProfileError(message)

    async def set_consents(self, tenant: str, profile_id: str, consents: Consents) -> Profile:
        """Replace the consents; they hold from the next call on."""
        await self.get(tenant, profile_id)
        return await self.upsert(tenant, ProfileUpsert(profile_id=profile_id, consents=consents))

    async def _forget_if_withdrawn(self, tenant: str, before: Profile | None, after: Profile) -> None:
        """A vector and copy written for the person are personal data: they go when the consent goes."""
        if before is None or not may_personalize(before.consents).allowed or may_personalize(after.consents).allowed:
            return
        await self._forget_vector(tenant, after.profile_id)
        await self._forget_copy(tenant, after.profile_id)

    async def _forget_copy(self, tenant: str, profile_id: str) -> int | None:
        """How many pieces of copy went; None: it is queued."""
        try:
            return (await self._clients.governance.erase(profile_id)).rows
        except UnavailableError:
            self._tasks.send(ForgetCopy(tenant=tenant, profile_id=profile_id))
            return None

    async def _forget_vector(self, tenant: str, profile_id: str) -> str:
        try:
            await self._retrieval.forget_user(profile_id)
        except UnavailableError:
            self._tasks.send(ForgetUser(tenant=tenant, profile_id=profile_id))
            return "queued"
        return "deleted"

    async def facts(self, tenant: str, profile_id: str) -> list[Fact]:
        """All facts of a profile, sensitive ones included and marked."""
        await self.get(tenant, profile_id)
        async with transaction(self._engine) as connection:
            found = await ProfileRepository(connection).facts(tenant, [profile_id])
        return found[profile_id].facts if profile_id in found else []

    async def asked(self, query: ContextQuery) -> ProfileContext:
        """The context for the tenant whose request is running; see `context`."""
        return await self.context(tenant(), query)

    async def context(self, tenant: str, query: ContextQuery) -> ProfileContext:
        """What may be used about a person right now. Somebody unknown is an answer, not an error."""
        profile_id = query.profile_id
        if profile_id is None:
            try:
                profile_id = (await self.resolve(tenant, query.identity_map)).profile_id
            except UnknownProfileError:
                return usable.unknown(usable.ANONYMOUS, "no profile has this identity", query.channel)
        found = await self._online.get(tenant, profile_id) or await self._reader.read(tenant, profile_id)
        if found is None:
            return usable.unknown(profile_id, "unknown person", query.channel)
        facts, tags = (found.facts.facts, found.facts.exclude_tags) if found.facts else ([], [])
        return usable.known(found.profile, facts, tags, query.channel)

    async def contexts(self, tenant: str, query: ContextsQuery) -> ContextPage:
        """What may be used about everybody of a page of an audience, by the consents of this moment."""
        listed = query.audience.profile_ids
        async with transaction(self._engine) as connection:
            repository = ProfileRepository(connection)
            ids = listed or await repository.audience(tenant, query.audience, query.cursor, query.limit)
            profiles = await repository.get_many(tenant, ids)
            stored = await repository.facts(tenant, list(profiles))
        found = []
        for profile_id in ids:
            facts = stored.get(profile_id)
            found.append(
                usable.known(
                    profiles[profile_id],
                    facts.facts if facts else [],
                    facts.exclude_tags if facts else [],
                    query.channel,
                )
                if profile_id in profiles
                else usable.unknown(profile_id, "unknown person", query.channel)
            )
        more = ids[-1] if not listed and len(ids) == query.limit else None
        return ContextPage(contexts=found, cursor=more)

    async def summaries(self, tenant: str, cursor: str | None, limit: int) -> ProfileSummaryPage:
        """Consented texts for embedding, and who has none, in the order of the ids."""
        async with transaction(self._engine) as connection:
            repository = ProfileRepository(connection)
            profiles = await repository.page(tenant, cursor, limit)
            stored = await repository.facts(tenant, [p.profile_id for p in profiles])
        found, withheld = [], []
        for profile in profiles:
            facts = stored.get(profile.profile_id)
            if facts is None or not facts.summary or not may_personalize(profile.consents).allowed:
                withheld.append(profile.profile_id)
                continue
            found.append(
                ProfileSummary(
                    profile_id=profile.profile_id,
                    text=facts.summary,
                    content_hash=facts.content_hash,
                    exclude_tags=facts.exclude_tags,
                )
            )
        more = profiles[-1].profile_id if len(profiles) == limit else None
        return ProfileSummaryPage(summaries=found, withheld=withheld, cursor=more)

    async def erase(self, tenant: str, profile_id: str) -> Erasure:
        """Erase a person here, then wherever else; what cannot be reached now is queued. Safe to repeat."""
        async with transaction(self._engine) as connection:
            await self._online.drop(tenant, [profile_id])
            rows = await ProfileRepository(connection).erase(tenant, profile_id)
        vectors = await self._forget_vector(tenant, profile_id)
        try:
            rows["event"] = (await self._events.erase(profile_id)).rows
        except UnavailableError:
            self._tasks.send(ForgetEvents(tenant=tenant, profile_id=profile_id))
            vectors += "; events queued"
        try:
            rows["decision"] = (await self._clients.decisions.erase(profile_id)).rows
            rows["observation"] = await self._clients.experiments.erase(profile_id)
        except UnavailableError:
            self._tasks.send(ForgetDecisions(tenant=tenant, profile_id=profile_id))
            vectors += "; decisions queued"
        try:
            rows["item"] = (await self._clients.batches.erase(profile_id)).rows
        except UnavailableError:
            self._tasks.send(ForgetBatchItems(tenant=tenant, profile_id=profile_id))
            vectors += "; batches queued"
        copy = await self._forget_copy(tenant, profile_id)
        if copy is None:
            vectors += "; copy queued"
        else:
            rows["copy"] = copy
        # After the events: what is computed meanwhile does not see them any more.
        try:
            rows["feature"] = (await self._clients.features.erase(profile_id)).keys
        except UnavailableError:
            self._tasks.send(ForgetFeatures(tenant=tenant, profile_id=profile_id))
            vectors += "; features queued"
        now = dt.datetime.now(dt.UTC)
        digest = hashlib.sha256(f"{tenant}:{profile_id}".encode()).hexdigest()
        async with transaction(self._engine) as connection:
            await ProfileRepository(connection).add_erasure(tenant, digest, now, rows, vectors)
        log.info("profiles.erased", rows=sum(rows.values()))
        return Erasure(profile_id=profile_id, rows=rows, vectors=vectors, time=now)

    async def write_batch(self, tenant: str, batch: list[ProfileUpsert]) -> tuple[int, int, list[tuple[int, str, str]]]:
        """Merge many profiles in one transaction: (changed, unchanged, refused as (index, field, reason))."""
        refused: list[tuple[int, str, str]] = []
        now = dt.datetime.now(dt.UTC)
        async with transaction(self._engine) as connection:
            repository = ProfileRepository(connection)
            known = await repository.get_many(tenant, [row.profile_id for row in batch], lock=True)
            keys = [(space, e.id) for row in batch for space, entries in row.identity_map.items() for e in entries]
            owners = await repository.owners(tenant, keys)
            merged = dict(known)
            identities: dict[tuple[str, str], tuple[str, Identity]] = {}
            for index, row in enumerate(batch):
                mine = {(space, e.id): (row.profile_id, e) for space, es in row.identity_map.items() for e in es}
                problem = _refusal(row, mine.keys(), owners)
                if problem is not None:
                    refused.append((index, *problem))
                    continue
                merged[row.profile_id] = merging.merge(merged.get(row.profile_id), row, now)
                owners |= dict.fromkeys(mine, row.profile_id)
                identities |= mine
            changed = [p for key, p in merged.items() if not merging.same(known.get(key), p)]
            await self._online.drop(tenant, [p.profile_id for p in changed])
            for start in range(0, len(changed), 1000):
                await repository.save(tenant, changed[start : start + 1000])
            rows = list(identities.items())
            for start in range(0, len(rows), 1000):
                await repository.save_identities(tenant, dict(rows[start : start + 1000]))
        withdrawn = [p for p in changed if p.profile_id in known]
        for profile in withdrawn:
            await self._forget_if_withdrawn(tenant, known[profile.profile_id], profile)
        return len(changed), len(batch) - len(refused) - len(changed), refused


def _refusal(
    row: ProfileUpsert, keys: Iterable[tuple[str, str]], owners: dict[tuple[str, str], str]
) -> tuple[str, str] | None:
    """Why a row cannot be merged: (field, reason), None when it can."""
    if merging.contains_nul(row):
        return "", "contains a NUL character"
    if not isinstance(row.time_zone, msgspec.UnsetType):
        try:
            merging.check_time_zone(row.time_zone)
        except InvalidInputError as error:
            return "timeZone", error.detail
    taken = next((key for key in keys if owners.get(key, row.profile_id) != row.profile_id), None)
    return (f"identityMap.{taken[0]}", f"{taken[1]!r} belongs to profile {owners[taken]!r}") if taken else None
