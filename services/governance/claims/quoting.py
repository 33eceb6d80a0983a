"""The record's own words in a text: quoted whole, or said with the same sense (a "no" before them turns it). Pure."""

import itertools
import re
from collections.abc import Mapping
from typing import NamedTuple

from services.governance.claims.language import Language
from shared.folding import Folded

_TOKEN = re.compile(r"[^\W_]+|[%$€£+]")
_SIGNS = "%$€£+"
_AFTER = 40


class Quote(NamedTuple):
    """A text of the record as it is found again; `cased`: only in its own case, since the same words are ordinary ones."""

    field: str
    pattern: re.Pattern[str]
    cased: bool


class Quoted(NamedTuple):
    """Where the record's own text stands in the copy."""

    start: int
    end: int
    field: str


def quote(field: str, said: Folded, *, cased: bool) -> Quote | None:
    """The words of a text in their order, whatever stands between them of blanks, markup and punctuation."""
    tokens = _TOKEN.findall(said.cased if cased else said.text)
    if not tokens:
        return None
    parts = [re.escape(tokens[0])]
    for before, token in itertools.pairwise(tokens):
        least = 0 if before in _SIGNS or token in _SIGNS else 1
        parts.append(rf"[^\w{_SIGNS}]{{{least},5}}{re.escape(token)}")
    return Quote(field, re.compile(rf"(?<![^\W_]){''.join(parts)}(?![^\W_])"), cased)


def quoted(said: Folded, quotes: list[Quote]) -> list[Quoted]:
    """Every place where a text of the record stands whole."""
    return [
        Quoted(*match.span(), one.field)
        for one in quotes
        for match in one.pattern.finditer(said.cased if one.cased else said.text)
    ]


def inside(start: int, end: int, places: list[Quoted]) -> str | None:
    """The field that is quoted around a span."""
    return next((place.field for place in places if place.start <= start and end <= place.end), None)


def negated(text: str, start: int, end: int, own: Language) -> bool:
    """Does a "no", "not" or "without" before the words, or "not included" behind them, turn what they say?"""
    first = max((text.rfind(mark, 0, start) for mark in (". ", "! ", "? ", ";", ": ", " but ", "\n")), default=-1) + 1
    before = text[first:start]
    last: re.Match[str] | None = None
    for match in own.negator.finditer(before):
        # "No more than" and "not only" turn nothing.
        if not before[match.end() :].startswith(
            (" only", " just", " more than", " less than", " fewer than", " later than")
        ):
            last = match
    after = text[end : end + _AFTER]
    if last is not None:
        between = before[last.end() :]
        # A comma ends it, unless a list goes on ("no delivery, points or gifts").
        if "," not in between or re.search(r"^[^.!?;]*\b(?:or|nor)\b", between + text[start : end + _AFTER * 2]):
            return True
    return own.negated_after.match(after) is not None


def says(words: str, texts: Mapping[str, str], own: Language, *, turned: bool) -> tuple[str, bool] | None:
    """The field whose text has these words, and whether in the same sense; None if none has them."""
    against = None
    for field, text in texts.items():
        at = text.find(words)
        while at >= 0:
            around = text[at - 1 : at] + text[at + len(words) : at + len(words) + 1]
            if not any(c.isalnum() for c in around):
                if negated(text, at, at + len(words), own) == turned:
                    return field, True
                against = against or field
            at = text.find(words, at + 1)
    return (against, False) if against else None


def variants(words: str, own: Language) -> list[str]:
    """The words with hyphens for blanks and the other way about, and with words that say the same."""
    found = [words, words.replace(" ", "-"), words.replace("-", " "), *sorted(own.alike.get(words, ()))]
    for word in words.split():
        found += [words.replace(word, other) for other in own.same.get(word, ())]
    return list(dict.fromkeys(found))
