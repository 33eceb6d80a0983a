"""Dates and times of day in a text: where they stand and what they name. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from services.governance.claims.patterns import Patterns

if TYPE_CHECKING:
    from services.governance.claims.figures import Figure

Place = tuple[int, int, dict[str, Any]]
_HOUR, _NOON = 60, 12
_CENTURY, _SHORT_YEAR = 2000, 100
END = "end"  # of a month: its last day
_JOIN = 12  # characters between two dates of one range


def minutes(match: re.Match[str], times: Mapping[str, int]) -> Decimal:
    """A time of day as minutes since midnight."""
    if match["w"]:
        return Decimal(times[match["w"]])
    hour = int(match["h"] or match["h2"] or match["h3"])
    if match["half"]:
        hour = hour % _NOON + (_NOON if match["half"] == "p" else 0)
    return Decimal(hour * _HOUR + int(match["min"] or match["min2"] or 0))


def days(text: str, own: Patterns, *, american: bool) -> Iterator[Place]:
    """Days with a month or in digits, ranges of days within a month, days of the month that is meant, whole months."""
    taken: list[tuple[int, int]] = []
    months = own.own.words.months
    for match in own.days.finditer(text):
        month = months[match["m"] or match["m2"]]
        first, last = int(match["a"] or match["a2"]), int(match["b"] or match["b2"])
        taken.append(match.span())
        yield *match.span(), {"day": (0, month, first), "words": f"to:{last}"}
    for match in own.date.finditer(text):
        day = _day(match, months, american=american)
        if day is not None and not any(start < match.end() and match.start() < end for start, end in taken):
            taken.append(match.span())
            yield *match.span(), {"day": day, "weekday": match["wd"] or ""}
    for match in own.nth.finditer(text):
        if not any(start < match.end() and match.start() < end for start, end in taken):
            yield *match.span(), {"day": (0, 0, int(match["d"]))}
    for match in own.month.finditer(text):
        start, end = match.span("m" if match["m"] else "m2")
        if not any(first < end and start < last for first, last in taken):
            last = text[:start].endswith(("end of ", "last day of ", "ending of "))
            yield start, end, {"day": (0, months[text[start:end]], 0), "words": END if last else ""}


def _day(match: re.Match[str], months: Mapping[str, int], *, american: bool) -> tuple[int, int, int] | None:
    month = match["m"] or match["m2"]
    if month:
        return int(match["y"] or match["y2"] or 0), months[month], int(match["d"] or match["d2"])
    if match["y3"]:
        return int(match["y3"]), int(match["m3"]), int(match["d3"])
    first, second, year = int(match["p"]), int(match["q"]), int(match["y4"] or 0)
    dotted = "." in match.group(0)
    if dotted and not year:
        return None  # "4.5" is a number
    year += _CENTURY if 0 < year < _SHORT_YEAR else 0
    # With dots the day stands first everywhere; a month past December is a day.
    month_first = american and not dotted and first <= _NOON
    return (year, first, second) if month_first else (year, second, first)


def ranges(found: Sequence["Figure"], text: str, own: Patterns) -> list["Figure"]:
    """Two dates that "to" or a dash joins, as one range; "27-29 November" likewise."""
    made: list[Figure] = []
    for figure in found:
        before = made[-1] if made else None
        if figure.words.startswith("to:") and figure.day:
            last = figure._replace(day=(0, figure.day[1], int(figure.words[3:])), words="")
            made.append(figure._replace(words="", until=last))
        elif before and _joined(before, figure, text, own):
            made[-1] = before._replace(end=figure.end, until=figure, gain=before.gain or figure.gain)
        else:
            made.append(figure)
    return made


def _joined(before: "Figure", figure: "Figure", text: str, own: Patterns) -> bool:
    """Do both name a day, with nothing but a dash or "to" between them?"""
    same = before.kind == figure.kind == "date" and before.until is None and figure.until is None
    between = text[before.end : figure.start]
    whole = all(one.day and one.day[1] and one.day[2] for one in (before, figure))
    named = all(one.words in own.own.words.weekdays for one in (before, figure))
    return (
        same
        and (whole or named)
        and len(between) <= _JOIN
        and bool(own.joins.match(between))
        and " and " not in between
    )
