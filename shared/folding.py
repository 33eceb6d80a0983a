"""Text as it is read, whatever signs it is written with: one spelling of letters, digits, quotes and spaces. Pure.

Characters that nobody sees are dropped, compatibility forms and accents taken off (NFKD), letters of other scripts that look
like Latin ones (Unicode's confusables, TR39) and small capitals are read as what they look like. What it is compared with
is the caller's matter; every place in the folded text can be told in the original.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from confusable_homoglyphs import confusables

_QUOTES = "\u2018\u2019\u201a\u201b\u02bc\u02b9\u2032`\u00b4"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
# Signs whose decomposed forms would read as something else ("1\u20442").
_KEPT = frozenset("\u00bd\u2153\u2154\u00bc\u00be\u2122\u00ae\u2116")
_DOUBLE = "\u201c\u201d\u201e\u00ab\u00bb"
_UNSEEN = {"Cf", "Mn", "Me", "Cn", "Co"}
# Drawn as blanks or as nothing though they are letters or signs of their own.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\u180e")
_SPELLINGS = {
    **dict.fromkeys(_QUOTES, "'"), **dict.fromkeys(_DOUBLE, '"'), **dict.fromkeys(_DASHES, "-"), **{c: c for c in _KEPT}, **dict.fromkeys(_BLANK, " "),
}  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+")
_SPACED = re.compile(r"(?<![^\W_])[^\W\d_](?:([ .\-_*\u00b7\u2022|/])[^\W\d_](?:\1[^\W\d_])+)(?![^\W_])")
# Letters that pass for Latin ones only among others, and that the tables leave out.
_NEARLY = str.maketrans("\u0454\u03b5\u0432\u043a\u043c\u043d\u0442\u0433", "eebkmhtr")
_SMALL = re.compile(r"LATIN LETTER SMALL CAPITAL ([A-Z])$|NEGATIVE (?:SQUARED|CIRCLED) LATIN CAPITAL LETTER ([A-Z])$")


class Folded(NamedTuple):
    """`text` in lower case, `cased` the same in its own case, both of one length; `at`: where each character stood in the
    original, and its end; None where nothing moved.
    """

    text: str
    cased: str
    at: Sequence[int] | None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where a span of the folded text stands in the original."""
        if self.at is None or start >= end:
            return start, end
        first, last = self.at[start], self.at[end]
        return first, max(last, first + 1)  # one character may be read as several

    def with_text(self, text: str) -> "Folded":
        """Another reading of the same length."""
        return Folded(text, text, self.at)


@lru_cache(maxsize=1)
def _alike() -> dict[int, str]:
    """Letter -> the Latin letter it looks like, in its own case."""
    found: dict[int, str] = {}
    for sign, others in confusables.confusables_data.items():
        if len(sign) == 1 and not sign.isascii() and sign.isalpha():
            latin = [o["c"] for o in others if len(o["c"]) == 1 and o["c"].isascii() and o["c"].isalpha()]
            if latin:
                # Of a capital iota's "l" and "I" the capital.
                found[ord(sign)] = next((letter for letter in latin if letter.isupper() == sign.isupper()), latin[0])
    # The tables know a capital iota as an "l" alone.
    return found | dict.fromkeys((0x399, 0x406, 0x4C0), "I")


@lru_cache(maxsize=16384)
def _shown(char: str) -> str:
    """One character as it is read: none, one or several characters."""
    if char in _SPELLINGS:
        return _SPELLINGS[char]
    small = _SMALL.match(unicodedata.name(char, ""))
    if small:
        return str(small[1] or small[2]).lower()
    parts = []
    for part in unicodedata.normalize("NFKD", char):
        category = unicodedata.category(part)
        if category in _UNSEEN:
            continue
        digit = unicodedata.digit(part, None)
        if digit is not None:
            parts.append(str(digit))
        elif part != "\n" and (part.isspace() or category in {"Zs", "Zl", "Zp", "Cc"}):
            parts.append(" ")
        else:
            parts.append("%" if part == "\u066a" else part)
    return "".join(parts)


def _lower(text: str) -> str:
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def fold(text: str) -> Folded:
    """The text as it is read, with places."""
    if text.isascii() and text.isprintable():
        return Folded(text.lower(), text, None)
    shown = [_shown(char) for char in text]
    at: list[int] | None = None
    if any(len(part) != 1 for part in shown):
        at = [n for n, part in enumerate(shown) for _ in part]
        at.append(len(text))
    cased = "".join(shown)
    if not cased.isascii():
        cased = _WORD.sub(_latin, cased)
    return Folded(_lower(cased), cased, at)


def _latin(match: re.Match[str]) -> str:
    """A word whose letters are all Latin or look so, read as Latin; a word of another script stays."""
    word = match.group(0)
    if word.isascii():
        return word
    alike = word.translate(_alike())
    if any(c.isascii() for c in word):
        return alike.translate(_NEARLY)
    return alike if alike.isascii() else word


def mixed(text: str) -> list[tuple[int, int]]:
    """Words of more than one script, or with characters inside that nobody sees: where they stand."""
    if text.isascii():
        return []
    found = []
    for match in re.finditer(r"[^\W\d_](?:[^\W_]|[\u00ad\u200b-\u200f\u2060\ufeff])*", text):
        word = match.group(0)
        unseen = any(c in "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff" for c in word[:-1])
        if word.isascii() or not (unseen or any(c.isascii() and c.isalpha() for c in word)):
            continue
        if unseen or any(_script(c) != "LATIN" for c in unicodedata.normalize("NFC", word) if c.isalpha()):
            found.append(match.span())
    return found


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0]


def closed(folded: Folded, *, apart: bool = False) -> Folded:
    """Words written with blanks or dots between their letters ("f r e e") closed up.

    `apart`: a first "a" or "i" stays a word of its own ("a f r e e mug").
    """
    text, keep, last = folded.text, [], 0
    for match in _SPACED.finditer(text):
        start = match.start()
        if apart and text[start] in "ai" and text[start + 1] == " ":
            start += 2
        keep += [*range(last, match.start()), *range(match.start(), start), *range(start, match.end(), 2)]
        last = match.end()
    if not last:
        return folded
    keep += range(last, len(text))
    old = folded.at if folded.at is not None else range(len(text) + 1)
    joined = "".join(text[n] for n in keep)
    places = [old[n] for n in keep]
    return Folded(joined, "".join(folded.cased[n] for n in keep), [*places, old[-1]])


def readings(folded: Folded) -> list[Folded]:
    """The text, and how else it may be read: letters closed up, digits and signs read as the letters they stand for."""
    found = [folded]
    if _SPACED.search(folded.text):
        found += [closed(folded), closed(folded, apart=True)]
    if len(found) == 1 and not _MIXED.search(folded.text):
        return found
    others = [other for one in found for one_is in "li" if (other := spelled(one, one_is)) is not one]
    return [*found, *{other.text: other for other in others}.values()]


_MIXED = re.compile(r"[a-z][@$!|0-9]|[@$!|0-9][a-z]")
_LEET = {letter: str.maketrans("@0134579$!|", f"ao{letter}eastgsil") for letter in "li"}
_DISGUISED = re.compile(
    r"(?<![^\W_])(?<![@$!|])(?=[a-z0-9@$!|]{0,30}[a-z])(?=[a-z]{0,30}[0-9@$!|])[a-z0-9@$!|]{0,30}[a-z@$0-9](?![^\W_])"
)


def spelled(folded: Folded, one_is: str = "l") -> Folded:
    """Words with digits and signs for letters ("gu@ranteed") read as words, the same text where there are none.

    `one_is`: the letter that the digit 1 stands for, "l" or "i".
    """
    changed = _DISGUISED.sub(lambda m: m.group(0).translate(_LEET[one_is]), folded.text)
    return folded if changed == folded.text else folded.with_text(changed)
