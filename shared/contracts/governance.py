"""Checks of copy before anyone sees it."""

from typing import Annotated, Literal

import msgspec

from shared.contracts.base import Contract, Locale, Timestamp
from shared.contracts.claims import Claim
from shared.contracts.generation import ChannelFit, Material, Sections
from shared.contracts.profiles import Channel

Severity = Literal["block", "warn"]


class CheckRequest(Contract, kw_only=True):
    """Check drafts about one offer for one person (service-internal). Only the facts in the material count as consented.

    `now`: when the copy is read; without it relative dates and urgency must stand in the record itself, since copy may be
    read at any time.
    """

    material: Material
    drafts: Annotated[list[Sections], msgspec.Meta(min_length=1, max_length=64)]
    channel: Channel = "email"
    locale: Locale = "en-US"
    now: Timestamp | None = None


class RuleResult(Contract, kw_only=True):
    """One rule on one draft; where it is broken, the first place (characters of a section) and why."""

    rule: str
    severity: Severity
    passed: bool
    section: str | None = None
    start: int | None = None
    end: int | None = None
    text: str | None = None
    reason: str | None = None


class CheckReport(Contract, kw_only=True):
    """What was found in one draft. `servable`: every claim is supported, no rule that blocks is broken, and it fits its
    channel; `passed` of `tested` counts claims and rules and the fit. `note` says what could not be looked at. `needs_person`:
    nothing was found, but the language has no word lists here: only a person's approval makes it fit to be served.
    """

    claims: list[Claim]
    rules: list[RuleResult]
    channel_fit: ChannelFit
    passed: int
    tested: int
    servable: bool
    note: str | None = None
    needs_person: bool = False


class CheckAnswer(Contract, kw_only=True):
    """One report a draft, in their order."""

    reports: list[CheckReport]
