"""The profiles service."""

from shared.clients.http import ServiceClient, segment
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
    IdentityMap,
    Profile,
    ProfileContext,
    ProfilePage,
    ProfileSummaryPage,
    ProfileUpsert,
)  # fmt: skip


class ProfilesClient(ServiceClient):
    """Who the person is and what may be said of them."""

    async def upsert(self, profile: ProfileUpsert) -> Profile:
        """Create or merge a profile."""
        return await self.call("PUT", f"/profiles/{segment(profile.profile_id)}", Profile, body=profile)

    async def get(self, profile_id: str) -> Profile:
        """One profile."""
        return await self.call("GET", f"/profiles/{segment(profile_id)}", Profile)

    async def page(self, cursor: str | None = None, limit: int = 100) -> ProfilePage:
        """Profiles in the order of their ids."""
        return await self.call("GET", "/profiles", ProfilePage, params={"cursor": cursor, "limit": limit})

    async def resolve(self, identity_map: IdentityMap) -> Profile:
        """The profile that one of the identities belongs to (primary ones first)."""
        return await self.call("POST", "/profiles/resolve", Profile, body=ContextRequest(identity_map=identity_map))

    async def set_consents(self, profile_id: str, consents: Consents) -> Profile:
        """Replace the consents."""
        return await self.call("PUT", f"/profiles/{segment(profile_id)}/consents", Profile, body=consents)

    async def facts(self, profile_id: str) -> list[Fact]:
        """All computed facts, sensitive ones included and marked."""
        return await self.call("GET", f"/profiles/{segment(profile_id)}/facts", list[Fact])

    async def context(self, query: ContextQuery) -> ProfileContext:
        """What may be used about the person right now; unknown persons are answered, not refused."""
        return await self.call("POST", "/context", ProfileContext, body=query, timeout=3.0)

    async def contexts(self, query: ContextsQuery) -> ContextPage:
        """What may be used about a page of an audience."""
        return await self.call("POST", "/contexts", ContextPage, body=query, timeout=30.0)

    async def refresh_facts(self, request: FactsRefresh) -> FactsRefreshed:
        """Recompute facts now."""
        return await self.call("POST", "/facts/refresh", FactsRefreshed, body=request, timeout=600.0)

    async def summaries(self, cursor: str | None = None, limit: int = 500) -> ProfileSummaryPage:
        """Consented summaries for embedding."""
        return await self.call("GET", "/summaries", ProfileSummaryPage, params={"cursor": cursor, "limit": limit})

    async def erase(self, profile_id: str) -> Erasure:
        """Erase the person here and tell the other stores."""
        return await self.call("DELETE", f"/profiles/{segment(profile_id)}", Erasure)
