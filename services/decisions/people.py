"""Who is this about? Resolves the person and reads, at this moment, what may be used; a slow leaf degrades."""

import asyncio

from services.decisions.errors import PersonMissingError
from shared.clients.http import RemoteProblemError
from shared.clients.profiles import ProfilesClient
from shared.contracts.profiles import Channel, ContextRequest, IdentityMap, ProfileContext
from shared.errors import UnavailableError

ANONYMOUS = "anonymous"
_NOT_FOUND = 404


def anonymous(profile_id: str, reason: str, channel: Channel) -> ProfileContext:
    """A person of whom nothing is known or may be used. A web page may still be filled; nobody is written to."""
    return ProfileContext(
        profile_id=profile_id,
        known=False,
        personalize=False,
        contactable=channel == "web",
        reason=reason,
        locale="en-US",
        time_zone="UTC",
    )


class People:
    """Reads profile contexts with a deadline.

    Args:
        profiles: the profiles client.
        seconds: how long the profiles service may take.
    """

    def __init__(self, profiles: ProfilesClient, seconds: float) -> None:
        self._profiles = profiles
        self._seconds = seconds

    async def context(
        self, profile_id: str | None, identities: IdentityMap, channel: Channel
    ) -> tuple[ProfileContext, list[str]]:
        """The context and the reasons for which it is less than it could be.

        Raises:
            PersonMissingError: neither an id nor an identity was given.
        """
        if not profile_id and not identities:
            raise PersonMissingError("Give profileId or at least one identity in identityMap.")
        try:
            async with asyncio.timeout(self._seconds):
                found = profile_id or await self._resolve(identities)
                if found is None:
                    return anonymous(ANONYMOUS, "no profile has this identity", channel), []
                return await self._profiles.context(found, ContextRequest(channel=channel)), []
        except (UnavailableError, TimeoutError):
            reason = "profiles_unavailable: no personal data is used"
            return anonymous(profile_id or ANONYMOUS, "profiles unavailable", channel), [reason]

    async def _resolve(self, identities: IdentityMap) -> str | None:
        try:
            return (await self._profiles.resolve(identities)).profile_id
        except RemoteProblemError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
