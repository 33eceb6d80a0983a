"""Frequency caps, quiet hours, suppression: what the counters of a person forbid now, and which ones a pick moves. Pure.

A counter's name is `PERIOD|SCOPE|NAME`: period d20260601, w202623 or l; scope o(ffer), c(ollection) or h (channel).
`s|o|NAME` and `s|g|CATEGORY` hold the time (epoch seconds) until which an offer or category rests.

What a policy caps (`Limits`) and what is counted for a tenant (a set of `Kind`) are two things: arms of an experiment may
cap other things than the plain policy, and whoever decides must count what any of them caps.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping

import msgspec

from services.decisions.features import clock
from shared.contracts.catalog import Offer
from shared.contracts.policies import ContactPolicy, QuietHours, Window
from shared.contracts.profiles import CHANNELS, Channel

WINDOWS: tuple[Window, ...] = ("day", "week", "lifetime")
Counts = Mapping[str, int]
Kind = tuple[str, str, str]  # (window, scope letter, name), or the name ANY for every one of the scope
ANY = "*"
RESTS: Kind = ("", "s", ANY)  # not a counter: that rests after outcomes must be known
UNLIMITED = 2**53
_SCOPES = {"offer": "o", "collection": "c", "channel": "h"}
_KEPT_DAYS = 15  # how long after its end a day's or week's counter is kept: decisions may be asked for another time


class Limits(msgspec.Struct, frozen=True):
    """The smallest limit for each (window, scope letter, name); what cannot be capped has no entry.

    `never`: (scope, name) with a limit of 0; `collections`: the limits of collections alone; `kinds`: what must be
    counted so that these limits can be held.
    """

    by_name: dict[Kind, int]
    never: frozenset[tuple[str, str]] = frozenset()
    kinds: frozenset[Kind] = frozenset()
    collections: dict[tuple[str, str], int] = {}

    def __bool__(self) -> bool:
        return bool(self.by_name)


def limits(offers: Iterable[Offer], contact: ContactPolicy) -> Limits:
    """Every cap that holds for these offers, resolved to names."""
    found: dict[Kind, int] = {}

    def add(window: str, scope: str, name: str, limit: int) -> None:
        key = (window, scope, name)
        found[key] = min(limit, found.get(key, limit))

    listed = list(offers)
    for offer in listed:
        for cap in offer.capping:
            add(cap.window, "o", offer.offer_id, cap.limit)
    collections = {name for offer in listed for name in offer.collections}
    everybody: dict[str, Iterable[str]] = {"o": [o.offer_id for o in listed], "c": collections, "h": CHANNELS}
    for cap in contact.caps:
        scope = _SCOPES[cap.scope]
        for name in everybody[scope] if cap.name is None else [cap.name]:
            add(cap.window, scope, name, cap.limit)
    return Limits(
        by_name=found,
        never=frozenset((scope, name) for (_, scope, name), most in found.items() if most == 0),
        kinds=kinds(listed, contact),
        collections={(window, name): n for (window, scope, name), n in found.items() if scope == "c"},
    )


def kinds(offers: Iterable[Offer], contact: ContactPolicy) -> frozenset[Kind]:
    """What must be counted under this policy; `RESTS` where outcomes let offers rest."""
    found = {(cap.window, _SCOPES[cap.scope], cap.name or ANY) for cap in contact.caps}
    found |= {(cap.window, "o", offer.offer_id) for offer in offers for cap in offer.capping}
    found = {kind for kind in found if kind[2] == ANY or (kind[0], kind[1], ANY) not in found}
    return frozenset(found | ({RESTS} if contact.suppressions else set()))


def covered(wanted: Iterable[Kind], counted: Collection[Kind]) -> bool:
    """Is all that is wanted among what is counted?"""
    return all(kind in counted or (kind[0], kind[1], ANY) in counted for kind in wanted)


def periods(at: dt.datetime, time_zone: str) -> dict[str, str]:
    """Counter prefix -> window, for the periods that are now on the person's clock."""
    _, day, week = clock(at, time_zone)
    return {f"d{day}": "day", f"w{week}": "week", "l": "lifetime"}


def exhausted(limit: Limits, counts: Counts, now: Mapping[str, str]) -> set[tuple[str, str]]:
    """(scope, name) whose counters stand at a limit; a limit of 0 needs no counter."""
    found = set(limit.never)
    for field, count in counts.items():
        period, _, tail = field.partition("|")
        scope, _, name = tail.partition("|")
        window = now.get(period)
        if window and count >= limit.by_name.get((window, scope, name), count + 1):
            found.add((scope, name))
    return found


def resting(counts: Counts, at: float) -> set[tuple[str, str]]:
    """("o", offer) and ("g", category) that rest at this time."""
    found = set()
    for field, until in counts.items():
        if field.startswith("s|") and until > at:
            _, scope, name = field.split("|", 2)
            found.add((scope, name))
    return found


def moved(
    counted: Collection[Kind], limit: Limits, offers: Iterable[Offer], channel: Channel, now: Mapping[str, str]
) -> dict[str, tuple[int, int]]:
    """Counter -> (limit, increment) for serving these offers: one for each item, one contact for the channel.

    Everything that is counted moves, also what this policy does not limit.
    """
    found: dict[str, tuple[int, int]] = {}

    def add(scope: str, name: str) -> None:
        for period, window in now.items():
            if (window, scope, name) in counted or (window, scope, ANY) in counted:
                field = f"{period}|{scope}|{name}"
                most = limit.by_name.get((window, scope, name), UNLIMITED)
                found[field] = (most, found.get(field, (most, 0))[1] + 1)

    listed = list(offers)
    if not counted or not listed:
        return found
    add("h", channel)
    for offer in listed:
        add("o", offer.offer_id)
        for collection in dict.fromkeys(offer.collections):
            add("c", collection)
    return found


def stale(fields: Iterable[str], at: dt.datetime) -> list[str]:
    """Counters of days and weeks that ended long before a time: nobody asks for them again."""
    oldest = at - dt.timedelta(days=_KEPT_DAYS)
    year, week, _ = oldest.isocalendar()
    ends = {"d": f"d{oldest:%Y%m%d}|", "w": f"w{year:04d}{week:02d}|"}
    return [field for field in fields if field[0] in ends and field < ends[field[0]]]


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def is_quiet(hours: Iterable[QuietHours], channel: Channel, local: dt.datetime) -> bool:
    """Is this a quiet hour of the channel on the person's clock? [start, end), past midnight when start > end."""
    now = local.hour * 60 + local.minute
    for quiet in hours:
        start, end = _minutes(quiet.start), _minutes(quiet.end)
        inside = start <= now < end if start <= end else now >= start or now < end
        if channel in quiet.channels and inside:
            return True
    return False
