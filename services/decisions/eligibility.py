"""Which offers may be shown to this person, here and now: each rule a stage with a name. Pure."""

import datetime as dt
from collections.abc import Callable, Iterable

import msgspec

from shared.contracts.catalog import Offer
from shared.contracts.decisions import DecisionRequest
from shared.contracts.profiles import ProfileContext


class Situation(msgspec.Struct, frozen=True):
    """All that eligibility depends on."""

    request: DecisionRequest
    profile: ProfileContext
    locale: str
    at: dt.datetime


def is_active(offer: Offer, at: dt.datetime) -> bool:
    """Does the half-open interval [start, end) hold `at`? All three are aware times."""
    return offer.start_date <= at < offer.end_date


def locale_matches(allowed: Iterable[str], locale: str) -> bool:
    """Empty allows all; "en" allows "en-US"; "en-GB" does not (RFC 4647 basic filtering: the range is a prefix)."""
    ranges = [entry.replace("_", "-").lower() for entry in allowed]
    wanted = locale.replace("_", "-").lower()
    return not ranges or any(wanted == entry or wanted.startswith(f"{entry}-") for entry in ranges)


def _not_asked_for(offer: Offer, now: Situation) -> bool:
    candidates = now.request.candidate_ids
    return bool(candidates) and offer.offer_id not in candidates


def _segments(now: Situation) -> set[str]:
    value = now.profile.attributes.get("segments", [])
    return set(value) if isinstance(value, list) else {str(value)}


def _wrong_segment(offer: Offer, now: Situation) -> bool:
    segments = _segments(now)
    rule = offer.eligibility
    return bool(rule.segments and not segments & set(rule.segments)) or bool(segments & set(rule.excluded_segments))


def _wrong_attribute(offer: Offer, now: Situation) -> bool:
    return any(
        now.profile.attributes.get(name) not in allowed for name, allowed in offer.eligibility.attributes.items()
    )


def _unsafe(offer: Offer, now: Situation) -> bool:
    """Tagged for brand safety, and the person is excluded from the tag, or nothing of the person may be used."""
    if not now.profile.personalize and offer.safety_tags:
        return True
    return bool(set(offer.safety_tags) & set(now.profile.exclude_tags))


# The order is the funnel: cheap and general first, personal last. The first stage that objects is the one logged.
STAGES: tuple[tuple[str, Callable[[Offer, Situation], bool]], ...] = (
    ("not_a_candidate", _not_asked_for),
    ("excluded", lambda offer, now: offer.offer_id in now.request.exclude_ids),
    ("not_started", lambda offer, now: now.at < offer.start_date),
    ("expired", lambda offer, now: now.at >= offer.end_date),
    ("channel", lambda offer, now: bool(offer.channels) and now.request.channel not in offer.channels),
    ("placement", lambda offer, now: bool(offer.placements) and now.request.placement not in offer.placements),
    ("locale", lambda offer, now: not locale_matches(offer.locales, now.locale)),
    ("segment", _wrong_segment),
    ("attribute", _wrong_attribute),
    ("brand_safety", _unsafe),
)


def removed_by(offer: Offer, now: Situation) -> str | None:
    """The name of the first stage that removes the offer, None when it is eligible."""
    return next((name for name, objects in STAGES if objects(offer, now)), None)
