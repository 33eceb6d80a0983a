"""What a profile becomes when something new comes in about it. Pure."""

import datetime as dt
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from services.profiles.errors import UnknownTimeZoneError
from shared.contracts.base import FieldError
from shared.contracts.profiles import Consents, Profile, ProfileUpsert

T = TypeVar("T")
DEFAULT_LOCALE = "en-US"
DEFAULT_TIME_ZONE = "UTC"


def check_time_zone(name: str) -> str:
    """The name, when the tz database knows it.

    Raises:
        UnknownTimeZoneError: it does not.
    """
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        field = FieldError(
            field="timeZone", message="unknown", given=name[:80], allowed="a tz name such as Europe/Paris"
        )
        message = f"timeZone {name[:80]!r} is unknown; give a tz database name such as Europe/Paris"
        raise UnknownTimeZoneError(message, errors=[field]) from error
    return name


def contains_nul(upsert: ProfileUpsert) -> bool:
    """Postgres stores no NUL characters, in no text and no JSON."""
    return b"\\u0000" in msgspec.json.encode(upsert)


def merge(known: Profile | None, new: ProfileUpsert, now: dt.datetime) -> Profile:
    """Attributes merge key by key, older observations never overwrite newer ones; unset fields stay as they were."""
    attributes = dict(known.attributes) if known else {}
    for name, attribute in new.attributes.items():
        old = attributes.get(name)
        if old and old.observed_at and attribute.observed_at and attribute.observed_at < old.observed_at:
            continue
        attributes[name] = attribute
    identities = {key: list(entries) for key, entries in (known.identity_map if known else {}).items()}
    for namespace, entries in new.identity_map.items():
        kept = {entry.id: entry for entry in identities.get(namespace, [])} | {entry.id: entry for entry in entries}
        identities[namespace] = [kept[key] for key in sorted(kept)]
    return Profile(
        profile_id=new.profile_id,
        identity_map=dict(sorted(identities.items())),
        attributes=attributes,
        consents=_either(new.consents, known.consents if known else Consents()),
        locale=_either(new.locale, known.locale if known else DEFAULT_LOCALE),
        time_zone=check_time_zone(_either(new.time_zone, known.time_zone if known else DEFAULT_TIME_ZONE)),
        created_at=known.created_at if known else now,
        updated_at=now,
    )


def _either(new: T | msgspec.UnsetType, old: T) -> T:
    return old if isinstance(new, msgspec.UnsetType) else new


def same(one: Profile | None, other: Profile) -> bool:
    """Do two versions differ in nothing but the time they were written?"""
    return one is not None and msgspec.structs.replace(other, updated_at=one.updated_at) == one
