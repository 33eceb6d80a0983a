"""Statements about the reader: habits, possessions, events of a life. Only a permitted fact bears them out. Pure."""

import re
from collections.abc import Iterator

from services.governance.claims.language import Found, Language, stem
from services.governance.claims.record import Record
from services.governance.claims.verdict import UNSUPPORTED, Verdict

_CLAUSE = re.compile(r"[.,;:!?\n]| - |\b(?:so|and here|but|with|for only|now)\b")
_TOKEN = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_FIGURES = {"number", "duration", "date"}


def find(text: str, own: Language) -> Iterator[Found]:
    """Every such statement: a habit to the end of its clause, a possession by itself."""
    past = 0
    for match in own.habits.finditer(text):
        if match.start() < past:
            continue
        end = _CLAUSE.search(text, match.end())
        past = end.start() if end else len(text)
        yield Found("personal", match.start(), match.start() + len(text[match.start() : past].rstrip()))
    for match in own.possessions.finditer(text):
        if match.start() >= past or not past:
            yield Found("personal", *match.span())


def telling(words: str, own: Language) -> set[str]:
    """The words of a statement that say something."""
    return {stem(word) for word in _TOKEN.findall(words)} - own.personal_filler


def verdict(words: str, own: Language, known: Record) -> Verdict:
    """One fact must have every word that says something; what the product is called needs none in a possession."""
    whole = telling(words, own)
    said = whole - own.habitual
    for fact in known.facts:
        if said <= fact.words or (said - known.product <= fact.words and said & known.product and said & fact.words):
            return Verdict("supported", fact.field)
    if whole and whole <= known.product:
        # "Your dog" where dog treats are sold; "you like dog treats" says more than that.
        only_thing = words.startswith("your ")
        return Verdict("supported", "offer.productName") if only_thing else _unsaid()
    return _unsaid()


def _unsaid() -> Verdict:
    return UNSUPPORTED._replace(reason="no permitted fact about the reader says so")


def bears(kind: str) -> bool:
    """May a figure of this kind rest on a fact, inside a statement about the reader that one bears out?"""
    return kind in _FIGURES
