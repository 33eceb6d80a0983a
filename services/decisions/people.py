"""Who is this about? Resolves the person and reads, at this moment, what may be used; a slow leaf degrades."""

import asyncio
import datetime as dt
from collections.abc import Iterable

import msgspec

from services.decisions.errors import PersonMissingError
from shared.clients.features import FeaturesClient
from shared.clients.profiles import ProfilesClient
from shared.contracts.features import OnlineQuery
from shared.contracts.profiles import Channel, ContextQuery, IdentityMap, ProfileContext
from shared.errors import AtelierError, UnavailableError

ANONYMOUS = "anonymous"
FEATURES = "profile.features."


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


class Met(msgspec.Struct):
    """Who it is, and why less is known than could be. `identified`: counters and rests under this profile id are theirs;
    `local_time`: the time zone is theirs, so it is known which day it is for them.
    """

    profile: ProfileContext
    degraded: list[str] = []
    identified: bool = True
    local_time: bool = True


class People:
    """Reads profile contexts with a deadline.

    Args:
        profiles: the profiles client.
        seconds: how long a service may take.
        features: the features client; None reads none.
    """

    def __init__(self, profiles: ProfilesClient, seconds: float, features: FeaturesClient | None = None) -> None:
        self._profiles = profiles
        self._seconds = seconds
        self._features = features

    async def meet(self, profile_id: str | None, identities: IdentityMap, channel: Channel) -> Met:
        """The person, as far as profiles can say now.

        Raises:
            PersonMissingError: neither an id nor an identity was given.
        """
        if not profile_id and not identities:
            raise PersonMissingError("Give profileId or at least one identity in identityMap.")
        try:
            async with asyncio.timeout(self._seconds):
                query = ContextQuery(profile_id=profile_id, identity_map=identities, channel=channel)
                return Met(await self._profiles.context(query))
        except (UnavailableError, TimeoutError):
            degraded = ["profiles_unavailable: no personal data is used"]
            degraded += [] if profile_id else ["profiles_unavailable: nobody knows who this is"]
            profile = anonymous(profile_id or ANONYMOUS, "profiles unavailable", channel)
            return Met(profile, degraded, identified=bool(profile_id), local_time=False)

    async def measured(
        self, profile: ProfileContext, fields: Iterable[str], at: dt.datetime | None
    ) -> tuple[dict[str, float], list[str]]:
        """The features among `fields` of somebody whose data may be used, and why there are fewer than asked for.

        Nobody else's are asked for; `at`: as of this moment, left out: now.
        """
        wanted = [field for field in fields if field.startswith(FEATURES)]
        if not wanted or self._features is None or not (profile.known and profile.personalize):
            return {}, []
        try:
            async with asyncio.timeout(self._seconds):
                found = await self._features.online(OnlineQuery(ids=[profile.profile_id], at=at))
        except (AtelierError, TimeoutError) as error:
            return {}, [f"features_unavailable: {getattr(error, 'detail', 'no answer in time')[:120]}"]
        if not found.version:
            return {}, ["features_missing: none are computed yet"]
        known = dict(zip(found.names, found.values[0], strict=True))
        missing = sorted(field for field in wanted if field.removeprefix(FEATURES) not in known)
        reasons = [f"features_unknown: {', '.join(missing)[:200]}"] if missing else []
        return {f: known[f.removeprefix(FEATURES)] for f in wanted if f.removeprefix(FEATURES) in known}, reasons
