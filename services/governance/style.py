"""Figures of style: marks, capitals, emojis, reading grade. Pure."""

import re
from functools import lru_cache

import emoji
import pyphen

_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
_SENTENCE = re.compile(r"[.!?]+(?:\s|$)")
_CAPITALS = re.compile(r"\b[A-Z]{3,}\b")
_SHORTEST = 3
_FIRST_EMOJI = "\u203c"  # but for ©, ® and keycaps, which copy may have


def emojis(text: str) -> list[tuple[int, int]]:
    """Where emojis stand."""
    if not text or max(text) < _FIRST_EMOJI:
        return []
    return [(int(found["match_start"]), int(found["match_end"])) for found in emoji.emoji_list(text)]


def exclamations(text: str) -> list[tuple[int, int]]:
    """Where exclamation marks stand."""
    return [match.span() for match in re.finditer("[!\uff01]", text)]


def shouted(text: str) -> list[tuple[int, int]]:
    """Where words of three capitals and more stand."""
    return [match.span() for match in _CAPITALS.finditer(text)]


@lru_cache(maxsize=1)
def _hyphens() -> pyphen.Pyphen:
    return pyphen.Pyphen(lang="en_US")


@lru_cache(maxsize=8192)
def _syllables(word: str) -> int:
    return len(_hyphens().positions(word)) + 1


def reading_grade(text: str) -> float | None:
    """Flesch and Kincaid's grade (Kincaid et al. 1975): school years that a text asks for; None below three words.

    Syllables by hyphenation, which finds a few too few.
    """
    words = _WORD.findall(text)
    if len(words) < _SHORTEST:
        return None
    sentences = max(1, len(_SENTENCE.findall(text)))
    syllables = sum(_syllables(word.lower()) for word in words)
    return max(0.0, 0.39 * len(words) / sentences + 11.8 * syllables / len(words) - 15.59)
