"""One language's words as patterns, read from its file once. Pure.

A language without a file is read with the English patterns: figures, currencies and dates in digits are found in any
language, words are not, and the report says so (`covers`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

import msgspec

_HERE = "services.governance.claims.languages"
DEFAULT = "en"
_PLURAL = 4


class Words(msgspec.Struct, forbid_unknown_fields=True):
    """A language's file."""

    numbers: dict[str, int]
    weak_numbers: list[str]
    shares: dict[str, float]
    percent: list[str]
    currencies: dict[str, str]
    cents: dict[str, str]
    months: dict[str, int]
    month_before: str
    weekdays: dict[str, int]
    units: dict[str, str]
    measures: dict[str, str]
    days: dict[str, int]
    spans: dict[str, str]
    moments: dict[str, str]
    vague: list[str]
    times: dict[str, int]
    present: list[str]
    events: list[str]
    validity: list[str]
    promises: list[str]
    roles: dict[str, dict[str, list[str]]]
    bounds: dict[str, list[str]]
    bounds_after: dict[str, list[str]]
    multi_buy: dict[str, str]
    greeting: str
    greeted: list[str]
    capitals: list[str]
    also_words: list[str]
    gain: list[str]
    free: dict[str, str]
    scope: dict[str, str | list[str]]
    personal: dict[str, list[str]]
    filler: list[str]
    negators: list[str]
    negated_after: list[str]
    waived: str
    alike: list[list[str]]
    same: list[list[str]]
    lexicon: dict[str, list[str]]
    attributes: list[str]


def either(phrases: Iterable[str]) -> str:
    """An alternation, the longest first, so that "up to 5" is not read as "to 5"."""
    return "(?:" + "|".join(sorted(phrases, key=len, reverse=True)) + ")"


def whole(phrases: Iterable[str]) -> re.Pattern[str]:
    """Whole words only."""
    return re.compile(rf"(?<![a-z0-9]){either(phrases)}(?![a-z0-9])")


def stem(word: str) -> str:
    """A word without the mark of a plural."""
    if len(word) < _PLURAL or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("shes", "ches", "xes", "sses", "zes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") else word


class Found(NamedTuple):
    """A phrase of a list, where it stands."""

    kind: str
    start: int
    end: int


_START = re.compile(r"(?<![a-z0-9])(?=([a-z0-9].{0,2}))", re.DOTALL)
_LITERAL = re.compile(r"[a-z][a-z ]{0,2}(?![?*{])")


def _parts(group: str) -> list[str]:
    """The alternatives of a group, those of inner groups left together."""
    parts, depth, start = [], 0, 0
    for n, char in enumerate(group):
        depth += (char == "(") - (char == ")")
        if char == "|" and not depth:
            parts.append(group[start:n])
            start = n + 1
    return [*parts, group[start:]]


def _closes(phrase: str) -> int:
    """Where the group that a phrase begins with ends."""
    depth = 0
    for n, char in enumerate(phrase):
        depth += (char == "(") - (char == ")")
        if not depth:
            return n
    return len(phrase)


def expanded(phrase: str) -> list[str]:
    """A phrase that begins with a choice, as one phrase a choice, so that each begins with letters."""
    if not phrase.startswith("(?:"):
        return [phrase]
    close = _closes(phrase)
    tail = phrase[close + 1 :]
    if tail[:1] in {"*", "+", "{"}:
        return [phrase]
    optional = tail.startswith("?")
    tail = tail[1:] if optional else tail
    found = [one for part in _parts(phrase[3:close]) for one in expanded(part + tail)]
    return found + (expanded(tail) if optional else [])


class Lexicon:
    """Lists of phrases, looked up by the first three letters of each word: most alternatives are never tried."""

    def __init__(self, lists: Mapping[str, Iterable[str]]) -> None:
        table: dict[str, dict[str, list[str]]] = {}
        self._rest: dict[str, re.Pattern[str]] = {}
        for kind, phrases in lists.items():
            other = []
            for phrase in (one for written in phrases for one in expanded(written)):
                first = _LITERAL.match(phrase)
                if first and len(_parts(phrase)) == 1:
                    table.setdefault(first.group(0), {}).setdefault(kind, []).append(phrase)
                else:
                    other.append(phrase)
            if other:
                self._rest[kind] = whole(other)
        compiled = {
            start: [(kind, re.compile(rf"{either(found)}(?![a-z0-9])").match) for kind, found in kinds.items()]
            for start, kinds in table.items()
        }
        # With what begins with fewer letters, which has to be tried at every word that begins so.
        self._starting = {
            start: [one for n in range(len(start), 0, -1) for one in compiled.get(start[:n], [])] for start in compiled
        }

    def find(self, text: str, rest: str | None = None, anywhere: frozenset[str] = frozenset()) -> Iterator[Found]:
        """Every phrase, those of one kind without overlap among each other.

        With `rest`, the text with some parts blanked, only the kinds in `anywhere` may lie in those parts.
        """
        ends: dict[str, int] = {}
        starting = self._starting
        outside = text if rest is None else rest
        for start in _START.finditer(text):
            at, letters = start.start(), start.group(1)
            for kind, match in starting.get(letters) or starting.get(letters[:2]) or starting.get(letters[0]) or ():
                if at < ends.get(kind, 0):
                    continue
                found = match(text if kind in anywhere else outside, at)
                if found:
                    ends[kind] = found.end()
                    yield Found(kind, at, found.end())
        for kind, pattern in self._rest.items():
            for one in pattern.finditer(text if kind in anywhere else outside):
                yield Found(kind, *one.span())


class Language:
    """Compiled patterns; all of them are applied to folded lower-case text."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.gain = whole(words.gain)
        self.free = re.compile(words.free["money"])
        self.item = re.compile(words.free["item"])
        self.shipping = re.compile(words.free["shipping"])
        self.greeting = re.compile(words.greeting)
        self.greeted, self.also_words = frozenset(words.greeted), frozenset(words.also_words)
        days = [*words.weekdays, *(f"{day}s" for day in words.weekdays), *words.months]
        self.capitals = frozenset([*words.capitals, *days])
        self.filler = frozenset(map(stem, words.filler))
        self.lexicon = Lexicon({**words.lexicon, "attribute": words.attributes})
        self.before = {role: re.compile(rf"(?<![a-z]){either(p['before'])}[\s:]*(?:(?:a|an|the|this|next|on|just|only)\s+)?$")
                       for role, p in words.roles.items() if p["before"]}  # fmt: skip
        self.after = {role: re.compile(rf"[\s-]*{either(p['after'])}(?![a-z])")
                      for role, p in words.roles.items() if p["after"]}  # fmt: skip
        self.bounds = {name: re.compile(rf"(?<![a-z]){either(said)}\s+$") for name, said in words.bounds.items()}
        self.bounds_after = {
            name: re.compile(rf"\s*{either(said)}(?![a-z])") for name, said in words.bounds_after.items()
        }
        self.events, self.validity = whole(words.events), whole(words.validity)
        self.present = whole(words.present)
        self.promises = frozenset(words.promises)
        self.negator = whole(words.negators)
        self.negated_after = re.compile(rf"\s*(?:{'|'.join(words.negated_after)})")
        self.habits, self.possessions = whole(words.personal["habits"]), whole(words.personal["things"])
        self.personal_filler = frozenset(map(stem, words.personal["filler"]))
        self.habitual = frozenset(map(stem, words.personal["habitual"]))
        self.waived = re.compile(words.waived)
        self.alike = {phrase: frozenset(group) for group in words.alike for phrase in group}
        self.same = {word: frozenset(group) for group in words.same for word in group}

    def roles(self, before: str, after: str) -> list[str]:
        """What a figure may be a figure of, by the words around it; what stands right after it counts most."""
        found = [role for role, pattern in self.after.items() if pattern.match(after)]
        return found + [r for r, pattern in self.before.items() if r not in found and pattern.search(before)]

    def bound(self, before: str, after: str) -> str:
        """One of "at_most", "over" and so on, or "" for a figure that stands plain."""
        said = next((name for name, pattern in self.bounds.items() if pattern.search(before)), "")
        return said or next((name for name, pattern in self.bounds_after.items() if pattern.match(after)), "")


@lru_cache(maxsize=32)
def covers(locale: str) -> bool:
    """Is there a file of words for a locale's language?"""
    name = locale.replace("_", "-").partition("-")[0].lower()
    return files(_HERE).joinpath(f"{name}.yaml").is_file()


@lru_cache(maxsize=32)
def language(locale: str) -> Language:
    """The words of a locale's language, English where it has no file."""
    name = locale.replace("_", "-").partition("-")[0].lower() if covers(locale) else DEFAULT
    return _read(name)


@lru_cache(maxsize=8)
def _read(name: str) -> Language:
    raw = files(_HERE).joinpath(f"{name}.yaml").read_bytes()
    return Language(msgspec.yaml.decode(raw, type=Words))
