"""HTTP in, contract out."""

from typing import Annotated

from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, Parameter

from services.profiles.refreshing import FactService
from services.profiles.service import ProfileService
from shared.context import tenant
from shared.contracts.profiles import (
    Consents,
    ContextPage,
    ContextQuery,
    ContextRequest,
    ContextsQuery,
    Erasure,
    Fact,
    FactsRefresh,
    FactsRefreshed,
    Profile,
    ProfileContext,
    ProfilePage,
    ProfileSummaryPage,
    ProfileUpsert,
)
from shared.errors import InvalidInputError


class ProfileController(Controller):
    """Profiles, consents, contexts."""

    path = "/profiles"

    @put("/{profile_id:str}")
    async def upsert(
        self, profile_id: FromPath[str], data: JSONBody[ProfileUpsert], profiles: NamedDependency[ProfileService]
    ) -> Profile:
        """Create or merge a profile."""
        if data.profile_id != profile_id:
            message = f"profileId {data.profile_id!r} in the body is not {profile_id!r} in the path"
            raise InvalidInputError(message)
        return await profiles.upsert(tenant(), data)

    @get("/{profile_id:str}")
    async def get_one(self, profile_id: FromPath[str], profiles: NamedDependency[ProfileService]) -> Profile:
        """One profile."""
        return await profiles.get(tenant(), profile_id)

    @get("/")
    async def page(
        self,
        profiles: NamedDependency[ProfileService],
        cursor: FromQuery[str | None] = None,
        limit: Annotated[int, Parameter(ge=1, le=1000)] = 100,
    ) -> ProfilePage:
        """Profiles in the order of their ids."""
        return await profiles.page(tenant(), cursor, limit)

    @post("/resolve", status_code=200)
    async def resolve(self, data: JSONBody[ContextRequest], profiles: NamedDependency[ProfileService]) -> Profile:
        """The profile an identity belongs to."""
        return await profiles.resolve(tenant(), data.identity_map)

    @put("/{profile_id:str}/consents")
    async def set_consents(
        self, profile_id: FromPath[str], data: JSONBody[Consents], profiles: NamedDependency[ProfileService]
    ) -> Profile:
        """Replace the consents."""
        return await profiles.set_consents(tenant(), profile_id, data)

    @get("/{profile_id:str}/facts")
    async def facts(self, profile_id: FromPath[str], profiles: NamedDependency[ProfileService]) -> list[Fact]:
        """All facts."""
        return await profiles.facts(tenant(), profile_id)

    @delete("/{profile_id:str}", status_code=200)
    async def erase(self, profile_id: FromPath[str], profiles: NamedDependency[ProfileService]) -> Erasure:
        """Erase a person."""
        return await profiles.erase(tenant(), profile_id)


class ContextController(Controller):
    """What may be used of a person."""

    @post("/context", status_code=200)
    async def context(self, data: JSONBody[ContextQuery], profiles: NamedDependency[ProfileService]) -> ProfileContext:
        """What may be used now."""
        return await profiles.asked(data)

    @post("/contexts", status_code=200)
    async def contexts(self, data: JSONBody[ContextsQuery], profiles: NamedDependency[ProfileService]) -> ContextPage:
        """What may be used now of everybody of a page of an audience."""
        return await profiles.contexts(tenant(), data)


class FactController(Controller):
    """Facts and summaries."""

    @post("/facts/refresh", status_code=200)
    async def refresh(self, data: JSONBody[FactsRefresh], facts: NamedDependency[FactService]) -> FactsRefreshed:
        """Recompute facts."""
        return await facts.refresh(tenant(), data.profile_ids)

    @get("/summaries")
    async def summaries(
        self,
        profiles: NamedDependency[ProfileService],
        cursor: FromQuery[str | None] = None,
        limit: Annotated[int, Parameter(ge=1, le=500)] = 500,
    ) -> ProfileSummaryPage:
        """Consented texts for embedding."""
        return await profiles.summaries(tenant(), cursor, limit)
