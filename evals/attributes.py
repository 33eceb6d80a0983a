"""What copy should tell, what it must not, and whether it does. Pure; which words tell a fact is data, `cues.yaml`."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import msgspec

from shared.contracts.generation import SECTIONS, Sections

CUES = Path(__file__).parent / "datasets" / "personas" / "cues.yaml"
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
# Small words of a subject that copy may leave out or change.
_SMALL = {"the", "a", "and", "own", "s"}
_WORD = re.compile(r"[a-z]+")


class Attribute(msgspec.Struct, frozen=True):
    """Something about an offer or a person, and the words that it is told by.

    Attributes:
        id: for people.
        kind: `offer` and `forbidden`: told by any of its words; else a fact, told by a sentence that has all words of its
            first entry and a cue of its kind.
        words: phrases.
    """

    id: str
    kind: str
    words: list[str]


@cache
def _cues() -> dict[str, re.Pattern[str]]:
    listed = msgspec.yaml.decode(CUES.read_bytes(), type=dict[str, list[str]])
    return {kind: _any(phrases) for kind, phrases in listed.items()}


def _any(phrases: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z])(?:{'|'.join(re.escape(phrase.lower()) for phrase in phrases)})(?![a-z])")


def sentences(sections: Sections) -> list[str]:
    """Every sentence of a piece of copy, lower case; a headline is one."""
    texts = [str(getattr(sections, name)) for name in SECTIONS]
    return [sentence.lower() for text in texts for sentence in _SENTENCE.split(text) if sentence.strip()]


def told(attribute: Attribute, said: Sequence[str]) -> bool:
    """Does copy of these sentences tell it?"""
    if attribute.kind in {"offer", "forbidden"}:
        return any(_any(attribute.words).search(sentence) for sentence in said)
    needed = {word for word in _WORD.findall(attribute.words[0].lower()) if word not in _SMALL}
    cue = _cues()[attribute.kind]
    return any(needed <= set(_WORD.findall(sentence)) and cue.search(sentence) for sentence in said)


def recall(attributes: Sequence[Attribute], said: Sequence[str]) -> float:
    """The share of them that is told.

    Raises:
        ValueError: there are none.
    """
    if not attributes:
        raise ValueError("recall of nothing")
    return sum(told(attribute, said) for attribute in attributes) / len(attributes)
