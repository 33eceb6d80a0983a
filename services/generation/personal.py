"""What is said of the reader: the facts that matter for the offer, in phrases of the prompt's file. Pure.

Code chooses the facts and fills in their words; the model writes around them. So nothing personal is said that no fact
bears out, and a fact that matters is said whatever the model makes of it.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from services.generation.neutral import named
from shared.contracts.profiles import Fact

_SUBJECT = 60
_LIKED = re.compile(r"favou?rite\b", re.IGNORECASE)
Phrases = Mapping[str, Sequence[str]]


class Personal(msgspec.Struct, frozen=True):
    """What a piece of copy says of its reader: the headline's beginning, a sentence, and the facts that they tell.

    Both are empty where nothing is known that matters.
    """

    lead: str = ""
    sentence: str = ""
    facts: tuple[Fact, ...] = ()


def personal(facts: Sequence[Fact], product: str, sentences: Phrases, leads: Phrases, number: int) -> Personal:
    """One fact makes the sentence, another one the headline's beginning.

    Args:
        facts: relevant ones, most relevant first (`context.relevant`).
        product: its name as it stands in a sentence.
        sentences: phrasings by kind of fact, what is rather told in front; a kind without any is not told.
        leads: the same for headlines.
        number: which of several phrasings; the same number, the same words.
    """
    by_kind: dict[str, Fact] = {}
    for fact in facts:
        by_kind.setdefault(_kind(fact), fact)
    told = next((kind for kind in sentences if kind in by_kind), "")
    led = next((kind for kind in leads if kind in by_kind and kind != told), "")
    return Personal(
        lead=_said(leads[led], by_kind[led], product, number) if led else "",
        sentence=_said(sentences[told], by_kind[told], product, number) if told else "",
        facts=tuple(by_kind[kind] for kind in (told, led) if kind),
    )


def _kind(fact: Fact) -> str:
    """What its phrases are kept under: a rhythm is told when something is due, an attribute when it is a favourite."""
    if fact.kind == "rhythm":
        return "due" if fact.subject else ""
    if fact.kind == "attribute":
        return "favourite" if _LIKED.search(fact.subject or "") and isinstance(fact.value, str) else ""
    return fact.kind


def _said(texts: Sequence[str], fact: Fact, product: str, number: int) -> str:
    subject, value = named(fact.subject, _SUBJECT, ""), named(str(fact.value), _SUBJECT, "")
    filled = texts[number % len(texts)].format(subject=subject, product=product, value=value)
    return filled[:1].upper() + filled[1:]
