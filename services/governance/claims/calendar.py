"""Dates in copy against the days on which the offer is valid, in its own time zone. Pure."""

import calendar as months
import datetime as dt
import re
from decimal import Decimal
from zoneinfo import ZoneInfo

from services.governance.claims.dates import END
from services.governance.claims.figures import Figure
from services.governance.claims.language import language
from services.governance.claims.record import Record
from services.governance.claims.verdict import UNSUPPORTED, Verdict

_DAY = dt.timedelta(days=1)
_WEEK = 7
_SATURDAY = 5
_LAST_MONTH = 12
_MIDNIGHT = 1440
_NEARLY = 0.95
_BOUNDS = {"start", "end", "before"}
_CLOCK = {"am", "pm"}
_ENDING = {"end", "ending", "expire", "expiring", "close", "over", "stop"}
_HOURS = {
    "second": 1 / 3600,
    "minute": 1 / 60,
    "hour": 1.0,
    "day": 24.0,
    "week": 168.0,
    "fortnight": 336.0,
    "month": 730.0,
    "year": 8760.0,
}
Days = tuple[dt.date, dt.date]


def verdict(found: Figure, known: Record, now: dt.datetime | None) -> Verdict:
    """Does the offer end, begin, or hold on the days that are said?

    "until" and its like must name the last valid day, "from" the first; "by" and "before" may name the day after the last;
    a range must be that of the offer. A date without such a word must touch the days of validity, and its sentence must
    speak of the offer. A relative date needs the moment at which it is read.
    """
    texts = _in_texts(found, known)
    if texts is not None:
        return texts
    days = _days(found, known, now)
    if days is None:
        reason = "no such day" if found.day else "the record has no such day"
        return (
            UNSUPPORTED
            if now is not None or found.day
            else Verdict("unsupported", None, None, f"{reason}, and no moment is given")
        )
    if found.until is not None:
        return _range(days, _days(found.until, known, now), known)
    if found.weekday and days[0].weekday() != language(known.locale).words.weekdays[found.weekday]:
        return Verdict("contradicted", None, f"{days[0]:%A}", f"{days[0]} is no {found.weekday}")
    return _by_role(found, days, known, now)


def _by_role(found: Figure, days: Days, known: Record, now: dt.datetime | None) -> Verdict:
    first, last = days
    if "start" in found.roles and "end" not in found.roles:
        started = not found.day and now is not None and known.first_day <= _today(known, now) == first
        return _verdict(first <= known.first_day <= last or started, "offer.startDate", known.first_day)
    if "end" in found.roles:
        return _verdict(first <= known.last_day <= last, "offer.endDate", known.last_day)
    if "before" in found.roles:
        return _verdict(
            first <= known.last_day <= last or first == known.last_day + _DAY, "offer.endDate", known.last_day
        )
    if _elsewhere(found, known):
        return UNSUPPORTED
    # "All December" must hold on every day of it.
    if found.day and not found.day[2]:
        return _verdict(known.first_day <= first and last <= known.last_day, "offer.endDate", known.last_day)
    return _verdict(first <= known.last_day and last >= known.first_day, "offer.endDate", known.last_day)


def _elsewhere(found: Figure, known: Record) -> bool:
    """Is it a date of something else than the offer: a delivery, a tasting, a harvest?"""
    if not known.covered:
        return False
    said = " ".join(found.near)
    own = language(known.locale)
    feast = any(re.fullmatch(name, found.words) for name in own.words.moments)
    return bool(own.events.search(said)) or ((found.day is not None or feast) and not found.gain)


def idle(found: Figure, known: Record, now: dt.datetime | None) -> bool:
    """Is it a day that is only thought of ("coffee for a lazy Sunday"): nothing happens on it, and nobody says when it is read?"""
    own = language(known.locale)
    named = (
        found.kind == "date"
        and not found.day
        and found.words.rpartition(" ")[2] in {*own.words.weekdays, "weekend", *own.words.days}
    )
    return named and now is None and not found.roles and not found.gain and not own.events.search(" ".join(found.near))


def _range(first: Days, last: Days | None, known: Record) -> Verdict:
    if last is None:
        return UNSUPPORTED
    if first[0] != known.first_day:
        return _verdict(False, "offer.startDate", known.first_day)
    return _verdict(last[1] == known.last_day, "offer.endDate", known.last_day)


def _verdict(holds: object, field: str, day: dt.date) -> Verdict:
    if holds:
        return Verdict("supported", field)
    return Verdict("contradicted", field, day.isoformat(), f"the record has {day.isoformat()}")


def _in_texts(found: Figure, known: Record) -> Verdict | None:
    """The same day, or the same words, in a text of the record."""
    for stated, field in known.figures:
        if stated.kind != "date" or (stated.until is None) != (found.until is None):
            continue
        roles = set(found.roles) & _BOUNDS
        fits = not roles or bool(roles & set(stated.roles))
        if (
            fits
            and found.day
            and stated.day
            and found.day[1:] == stated.day[1:]
            and 0 in {found.day[0], stated.day[0], found.day[0] - stated.day[0]}
            and (found.near & stated.near or not found.near)
        ):
            return Verdict("supported", field)
        if fits and found.words and found.words == stated.words:
            return Verdict("supported", field)
    return None


def _days(found: Figure, known: Record, now: dt.datetime | None) -> Days | None:
    if not found.day:
        return _relative(found, known, now)
    days = _absolute(found.day, known)
    return (days[1], days[1]) if days and found.words == END else days


def _absolute(said: tuple[int, int, int], known: Record) -> Days | None:
    """A day, or a whole month where none is told; without a year or a month the one that is closest to the end is meant."""
    year, month, day = said
    made = []
    for one in [year] if year else [known.last_day.year + n for n in (0, -1, 1)]:
        for each in [month] if month else range(1, _LAST_MONTH + 1):
            try:
                made.append(dt.date(one, each, day or 1))
            except ValueError:
                continue
    best = min(made, key=lambda date: abs(date - known.last_day), default=None)
    if best is None:
        return None
    return (best, best) if day else (best, _end_of_month(best.year, best.month))


def _end_of_month(year: int, month: int) -> dt.date:
    return dt.date(year, month, months.monthrange(year, month)[1])


def _today(known: Record, now: dt.datetime) -> dt.date:
    return now.astimezone(ZoneInfo(known.offer.time_zone)).date()


def _relative(found: Figure, known: Record, now: dt.datetime | None) -> Days | None:
    words = language(known.locale).words
    feast = next((day for name, day in words.moments.items() if day and re.fullmatch(name, found.words)), None)
    if feast:
        return _absolute((0, int(feast[:2]), int(feast[3:])), known)
    if now is None or found.unit == "vague":
        return None
    today = _today(known, now)
    if found.words in words.days:
        day = today + words.days[found.words] * _DAY
        return day, day
    if found.words in words.spans:
        days = _span(words.spans[found.words], today)
        # An end of a week or a month is its last day.
        return days and ((days[1], days[1]) if "end" in found.words and "weekend" not in found.words else days)
    name = found.words.rpartition(" ")[2]
    if name not in words.weekdays:
        return None
    ahead = (words.weekdays[name] - today.weekday()) % _WEEK
    if found.words.startswith("next "):
        ahead = ahead or _WEEK
    day = today + ahead * _DAY
    return day, day


def _span(name: str, today: dt.date) -> Days | None:
    following = name.startswith("next_")
    name = name.removeprefix("next_")
    if name in {"week", "weekend"}:
        monday = today - today.weekday() * _DAY + (_WEEK * _DAY if following else 0 * _DAY)
        return (monday + _SATURDAY * _DAY if name == "weekend" else monday), monday + 6 * _DAY
    if name == "month":
        year, month = (today.year, today.month + 1) if following else (today.year, today.month)
        year, month = (year + 1, 1) if month > _LAST_MONTH else (year, month)
        return dt.date(year, month, 1), _end_of_month(year, month)
    year = today.year + following
    return dt.date(year, 1, 1), dt.date(year, _LAST_MONTH, 31)


def remaining(found: Figure, known: Record, now: dt.datetime) -> Verdict | None:
    """Of "3 days left": the whole units to the end, or the days between today and the last one. Rounded up
    only where hardly anything is missing.
    """
    if found.value is None:
        return None
    hours = (known.ends - now).total_seconds() / 3600
    days = (known.last_day - _today(known, now)).days
    count = hours / _HOURS[found.unit]
    fits = found.value == int(count) or (_NEARLY * float(found.value) <= count <= found.value)
    fits = fits or (found.unit == "day" and found.value == days)
    return _verdict(hours > 0 and fits, "offer.endDate", known.last_day)


def lasts(found: Figure, known: Record) -> bool:
    """Is it the whole time of the offer, from its first day to its last ("three days of 20% off")?"""
    days = (known.last_day - known.first_day).days + 1
    return (
        found.value is not None and found.unit in {"day", "week"} and found.value * int(_HOURS[found.unit] / 24) == days
    )


def clock(found: Figure, known: Record) -> Verdict:
    """A time of day: that of the offer's end, or one that a text of the record has."""
    for stated, field in known.figures:
        if (
            stated.kind == "time"
            and stated.value == found.value
            and (stated.near & found.near) - known.product - _CLOCK
        ):
            return Verdict("supported", field)
    ends = known.ends.astimezone(ZoneInfo(known.offer.time_zone))
    right = Decimal(ends.hour * 60 + ends.minute) or Decimal(_MIDNIGHT)
    if {"end", "before"} & set(found.roles) or found.gain or found.near & _ENDING:
        said = found.value or Decimal(_MIDNIGHT)
        if said == right:
            return Verdict("supported", "offer.endDate")
        return Verdict("contradicted", "offer.endDate", f"{ends:%H:%M}", f"the record has {ends:%H:%M}")
    return UNSUPPORTED


def running(known: Record, now: dt.datetime) -> bool:
    """Is the offer valid at a moment?"""
    return known.offer.start_date <= now < known.ends


def ends_today(known: Record, now: dt.datetime) -> bool:
    """Is today, where the offer is valid, its last day?"""
    return running(known, now) and _today(known, now) == known.last_day
