"""What may be used about a person for one call, by their consents. Pure."""

from collections.abc import Sequence

from services.profiles import clean, merging, summary
from services.profiles.consent import may_contact, may_personalize
from services.profiles.sensitive import unsent_tags
from shared.contracts.profiles import Channel, Fact, Profile, ProfileContext

ANONYMOUS = "anonymous"


def unknown(profile_id: str, reason: str, channel: Channel | None) -> ProfileContext:
    """Of somebody nobody has heard of: a web page may be filled, nobody is written to."""
    return ProfileContext(
        profile_id=profile_id,
        known=False,
        personalize=False,
        contactable=channel in {None, "web"},
        reason=reason,
        locale=merging.DEFAULT_LOCALE,
        time_zone=merging.DEFAULT_TIME_ZONE,
    )


def known(profile: Profile, facts: Sequence[Fact], exclude_tags: list[str], channel: Channel | None) -> ProfileContext:
    """What may be used about a known person, by the consents as they are at this moment."""
    personalize = may_personalize(profile.consents)
    contact = may_contact(profile.consents, channel) if channel else None
    allowed = personalize.allowed
    spoken = summary.speakable(facts) if allowed else []
    first = profile.attributes.get("firstName")
    # Brand safety protects people who gave no consent too, and says nothing about them.
    unwanted = exclude_tags if channel in {None, "web"} else [*exclude_tags, *unsent_tags()]
    reasons = [v.reason for v in (personalize, contact) if v is not None and v.reason]
    return ProfileContext(
        profile_id=profile.profile_id,
        known=True,
        personalize=allowed,
        contactable=contact.allowed if contact else True,
        reason="; ".join(reasons) or None,
        locale=profile.locale,
        time_zone=profile.time_zone,
        first_name=clean.first_name(first.value) if allowed and first else None,
        facts=spoken,
        summary=summary.summarize(spoken),
        exclude_tags=list(dict.fromkeys(unwanted)),
        attributes={name: a.value for name, a in profile.attributes.items()} if allowed else {},
    )
