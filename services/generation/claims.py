"""Taking copy apart into claims. Pure, no model: regular expressions over normalised text, built once."""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import msgspec

from shared.contracts.generation import ClaimKind

_UNITS = r"(days?|weeks?|months?|years?|hours?|minutes?)"
_CURRENCY = r"(?:USD|EUR|GBP|CHF|CAD|AUD|JPY|dollars?|euros?|pounds?|cents?|bucks?)"
_NUMBER = r"\d+(?:[.,]\d+)*"
_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
# Most specific first: what one pattern has taken, no later one looks at.
_PATTERNS: tuple[tuple[ClaimKind, re.Pattern[str]], ...] = (
    ("percent", re.compile(rf"{_NUMBER}\s?(?:%|percent|per cent)", re.IGNORECASE)),
    ("price", re.compile(rf"[$€£¥]\s?{_NUMBER}|{_NUMBER}\s?(?:[$€£¥¢]|{_CURRENCY}\b)", re.IGNORECASE)),
    ("date", re.compile(rf"\b(?:{_MONTHS})\s+\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s+\d{{4}})?\b|"
                        rf"\b\d{{1,2}}\s+(?:{_MONTHS})(?:\s+\d{{4}})?\b|\b\d{{4}}-\d\d-\d\d\b|\b\d{{1,2}}/\d{{1,2}}(?:/\d{{2,4}})?\b",
                        re.IGNORECASE)),
    ("duration", re.compile(rf"\b{_NUMBER}[\s-]{_UNITS}\b", re.IGNORECASE)),
    ("number", re.compile(_NUMBER)),
)  # fmt: skip
_GREETING = re.compile(r"\b(?:hi|hello|dear|hey)[, ]+([A-Z][\w'\-]+)")
_CAPITAL = re.compile(r"(?<![.!?:]\s)(?<!^)(?<![\w'])([A-Z][a-z'\-]{2,}|[A-Z]{2,})\b")


class Found(NamedTuple):
    """One claim: its kind and the words that make it."""

    kind: ClaimKind
    text: str


@cache
def lexicon() -> tuple[tuple[ClaimKind, re.Pattern[str]], ...]:
    """The word lists as one pattern a kind."""
    raw = files("services.generation").joinpath("lexicon.yaml").read_bytes()
    table = msgspec.yaml.decode(raw, type=dict[str, list[str]])
    return tuple(
        (kind, re.compile(r"(?<![a-z])(?:" + "|".join(words) + r")(?![a-z])"))  # type: ignore[misc]
        for kind, words in table.items()
    )


def normalise(text: str) -> str:
    """One spelling of digits, percent signs, quotes and spaces."""
    plain = "".join(
        str(unicodedata.digit(c)) if c.isdigit() and not c.isascii() and unicodedata.digit(c, None) is not None else c
        for c in unicodedata.normalize("NFKC", text)
    )
    return " ".join(plain.replace("\u2019", "'").replace("\u2013", "-").replace("\u2014", " - ").split())


def extract(text: str, banned: Iterable[str] = ()) -> list[Found]:
    """Every claim in a text, in no particular order."""
    plain = normalise(text)
    found: list[Found] = []
    rest = plain
    for kind, pattern in _PATTERNS:
        found += [Found(kind, match.group(0).strip(" .,")) for match in pattern.finditer(rest)]
        rest = pattern.sub(lambda m: " " * len(m.group(0)), rest)
    lower = plain.lower()
    for kind, pattern in lexicon():
        found += [Found(kind, match.group(0)) for match in pattern.finditer(lower)]
    found += [Found("name", match.group(1)) for match in _GREETING.finditer(plain)]
    greeted = {match.start(1) for match in _GREETING.finditer(plain)}
    found += [Found("product", m.group(1)) for m in _CAPITAL.finditer(rest) if m.start(1) not in greeted]
    for word in banned:
        if word and re.search(rf"(?<!\w){re.escape(word.lower())}(?!\w)", lower):
            found.append(Found("banned_word", word))
    return found
