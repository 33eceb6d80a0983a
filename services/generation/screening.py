"""Does a text speak to a model instead of naming a thing? Pure; the patterns are data, `screening.yaml`."""

import base64
import binascii
import codecs
import html
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from urllib.parse import unquote

import msgspec

from shared.folding import Folded, closed, fold, spelled

_MOST = 4000
_WORD = re.compile(r"[a-z]{5,14}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{16,}={0,2}")
_HEX = re.compile(r"(?:(?:\\x|0x|%)?[0-9a-fA-F]{2}[\s,:]?){8,}")
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})")
_LEET = str.maketrans("013457@$", "oieastas")
_DEPTH = 2  # encodings inside encodings


class _Tongue(msgspec.Struct, forbid_unknown_fields=True):
    away: list[str]
    said: list[str]
    show: list[str]
    secrets: list[str]
    phrases: list[str]


class _Patterns(msgspec.Struct, forbid_unknown_fields=True):
    orders: list[str]
    languages: dict[str, _Tongue]
    gap: int
    keys: list[str]
    marks: list[str]
    about_text: list[str]


class _Screen:
    """The compiled file."""

    def __init__(self, listed: _Patterns) -> None:
        self.orders = re.compile(rf"(?<![a-z])(?:{'|'.join(listed.orders)})")
        abroad = [_tongue(tongue, listed.gap) for tongue in listed.languages.values()]
        self.abroad = re.compile("|".join(abroad))
        self.about_text = re.compile("|".join(listed.about_text))
        self.marks = re.compile("|".join(f"(?:{mark})" for mark in listed.marks), re.IGNORECASE)
        self.mixed = {_signature(key): key for key in listed.keys}
        self.missing = {key[:n] + key[n + 1 :]: key for key in listed.keys for n in range(1, len(key))}
        self.keys = frozenset(listed.keys)


def _tongue(tongue: _Tongue, gap: int) -> str:
    """An order near what it is about, in either order, each the beginning of a word where words are set apart."""

    def any_of(words: list[str]) -> str:
        return rf"(?<![a-z])(?:{'|'.join(re.escape(fold(word).text) for word in words)})"

    pairs = [(any_of(tongue.away), any_of(tongue.said)), (any_of(tongue.show), any_of(tongue.secrets))]
    near = [rf"{first}[^.!?\n]{{0,{gap}}}?{second}" for pair in pairs for first, second in (pair, pair[::-1])]
    return "|".join([*near, *(rf"(?<![a-z])(?:{fold(phrase).text})" for phrase in tongue.phrases)])


@lru_cache(maxsize=1)
def _screen() -> _Screen:
    raw = files("services.generation").joinpath("screening.yaml").read_bytes()
    return _Screen(msgspec.yaml.decode(raw, type=_Patterns))


def _signature(word: str) -> tuple[str, str, str]:
    return word[0], "".join(sorted(word[1:-1])), word[-1]


def _mended(text: str) -> str:
    """Key words with mixed-up or missing letters, as they are meant."""
    screen = _screen()

    def mend(match: re.Match[str]) -> str:
        word = match.group(0)
        if word in screen.keys:
            return word
        meant = screen.mixed.get(_signature(word)) or screen.missing.get(word)
        return meant or next((w for n in range(1, len(word)) if (w := word[:n] + word[n + 1 :]) in screen.keys), word)

    return _WORD.sub(mend, text)


def _one_line(said: Folded) -> str:
    return " ".join(said.text.split())


def _readings(text: str) -> Iterator[str]:
    """How a text may be read: plain, spaced-out words closed up, digits as letters, letters mixed up, backwards, rotated."""
    # Where words are set apart by several blanks, single ones stand between letters.
    parts = re.split(r"[ \t\u00a0]{2,}", text)
    for said in {_one_line(fold(text)): None, " ".join(closed(fold(part)).text for part in parts): None}:
        plain = " ".join(said.split())
        yield plain
        yield from (spelled(Folded(plain, plain, None), letter).text for letter in "li")
        yield plain.translate(_LEET)
        yield _mended(plain)
    plain = _one_line(fold(text))
    yield plain[::-1]
    yield " ".join(word[::-1] for word in plain.split())
    yield codecs.encode(plain, "rot13")


def gives_orders(text: str) -> bool:
    """Would this text, put into a prompt, speak to the model? Also when it is disguised or encoded."""
    return _speaks(text[:_MOST], _DEPTH)


def is_about_text(sentence: str) -> bool:
    """Does a sentence of a description speak of the text about the thing, or tell somebody to do something?"""
    plain = fold(sentence.strip()[:_MOST])
    return any(_screen().about_text.search(_one_line(said)) for said in (plain, closed(plain)))


def _speaks(text: str, depth: int) -> bool:
    screen = _screen()
    if screen.marks.search(text) or any(screen.orders.search(said) for said in _readings(text)):
        return True
    if screen.abroad.search(_one_line(fold(text))):
        return True
    return depth > 0 and any(_speaks(inside, depth - 1) for inside in _decoded(text))


def _decoded(text: str) -> Iterator[str]:
    """What is written in entities, per cent signs, escapes, hexadecimal or Base64, also with blanks strewn in."""
    for other in (html.unescape(text), unquote(text), _ESCAPED.sub(lambda m: chr(int(m[1] or m[2], 16)), text)):
        if other != text:
            yield other
    for match in _HEX.finditer(text):
        digits = re.sub(r"\\x|0x|[^0-9a-fA-F]", "", match.group(0))
        yield from _text_of(bytes.fromhex(digits[: len(digits) // 2 * 2]))
    for dense in (text, re.sub(r"\s+", "", text)):
        for match in _BASE64.finditer(dense):
            for cut in range(3):  # where words before it were closed up with it
                encoded = match.group(0)[cut:].rstrip("=")
                try:
                    yield from _text_of(base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True))
                except (binascii.Error, ValueError):
                    continue


def _text_of(raw: bytes) -> Iterator[str]:
    try:
        said = raw.decode()
    except UnicodeDecodeError:
        return
    if said.isprintable() and any(c.isalpha() for c in said):
        yield said
