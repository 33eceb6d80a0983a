"""May this be done with this person's data, now? Pure. Only an explicit yes is a yes.

Channel consents follow the XDM "Consents and Preferences" data type: a channel's own value overrides `marketing.any`,
except that a no to `any` that is newer than the channel's yes wins (a person who says "stop everything" means it).
`VI` (vital interest) never allows marketing.
"""

from typing import NamedTuple

from shared.contracts.profiles import Channel, Consent, Consents


class Verdict(NamedTuple):
    """Allowed or not, and why not."""

    allowed: bool
    reason: str | None


YES = Verdict(allowed=True, reason=None)
_WORDS = {"n": "refused", "u": "not given", "VI": "given for vital interest only"}


def _no(what: str, consent: Consent) -> Verdict:
    return Verdict(allowed=False, reason=f"{what} is {_WORDS.get(consent.val, 'not given')}")


def may_personalize(consents: Consents) -> Verdict:
    """May content be personalised? `personalize.content` must be yes."""
    consent = consents.personalize.content
    return YES if consent.val == "y" else _no("consent to personalised content", consent)


def may_contact(consents: Consents, channel: Channel) -> Verdict:
    """May the person be written to on this channel? A web page is asked for by its reader and needs no consent."""
    if channel == "web":
        return YES
    general = consents.marketing.any
    own: Consent | None = getattr(consents.marketing, channel)
    if own is None or own.val == "u":
        return YES if general.val == "y" else _no("consent to marketing", general)
    if own.val != "y":
        return _no(f"consent to {channel}", own)
    if general.val == "n" and general.time is not None and (own.time is None or general.time > own.time):
        return _no("consent to marketing", general)
    return YES
