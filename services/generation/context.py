"""Which facts about the person matter for this offer, within a budget. Pure."""

import re
from typing import NamedTuple

from services.generation.neutral import passage
from services.generation.screening import gives_orders, is_about_text
from shared.contracts.catalog import Offer
from shared.contracts.profiles import Fact, ProfileContext

_CHARS_PER_TOKEN = 3.5
_KIND_WEIGHT = {"category": 1.0, "lapsed": 0.9, "rhythm": 0.8, "brand": 0.4, "price_sensitivity": 0.3}
_OF_PRICES = re.compile(
    r"%|\b(?:coupon|voucher|price|discount|sav(?:e|ing)s?|cheap|sale|free|cost|offer)", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"(?<=[.!?;\n])\s*")
_FEWEST_WORDS = 3
_WORD = re.compile(r"[a-z]{3,}")


_SMALL = {"the", "and", "for", "with", "own", "other", "all"}


def content_words(text: str) -> set[str]:
    """The words of three letters and more, lower case, without a plural s."""
    return {word.rstrip("s") for word in _WORD.findall(text.lower()) if word not in _SMALL}


def _subject(fact: Fact) -> str:
    """What a fact is about; of an attribute its value."""
    return str(fact.value) if fact.kind == "attribute" else fact.subject or ""


def described(offer: Offer, limit: int) -> str:
    """What the record's description says of the product, in a line, without sentences that speak of the text about it; "" for
    one that speaks of prices, which code tells, or gives orders.
    """
    if gives_orders(offer.description):
        return ""
    sentences = _SENTENCE_END.split(offer.description)
    # One or two words are no description, and what a model is most likely to put anywhere.
    told = [one for one in sentences if len(one.split()) >= _FEWEST_WORDS and not is_about_text(one)]
    said = passage(" ".join(told), limit)
    return "" if _OF_PRICES.search(said) else said


class Term(NamedTuple):
    """A name's words, and the one it ends with, which in English is what the thing is (pie, of apple pie)."""

    words: frozenset[str]
    head: str


def term(name: str) -> Term:
    """Of a name; empty for one without words of three letters and more."""
    words = [word.rstrip("s") for word in _WORD.findall(name.lower()) if word not in _SMALL]
    return Term(frozenset(words), words[-1] if words else "")


class Topic(NamedTuple):
    """What an offer is of, by product and category, and what else it is known by: brand, tags."""

    of: list[Term]
    by: list[Term]


def topic(offer: Offer) -> Topic:
    """Of an offer."""
    of = filter(None, [offer.product_name, offer.category, None if offer.product_name else offer.name])
    return Topic([term(name) for name in of], [term(name) for name in filter(None, [offer.product_brand, *offer.tags])])


def weight(fact: Fact, about: Topic) -> float:
    """How much a fact matters for an offer; 0 for one that must not be used.

    It must be about the same thing, named more or less closely (yogurt, greek yogurt), or about its brand or one of its
    tags; a shared word (frozen pizza, frozen peas; apples, apple pie) is no reason.
    """
    subject = term(_subject(fact))
    same = any(
        subject.head == one.head and (subject.words <= one.words or one.words <= subject.words) for one in about.of
    )
    known = any(subject.words == one.words for one in about.by)
    if fact.sensitive or not subject.words or not (same or known) or gives_orders(fact.text):
        return 0.0
    return len(subject.words) * _KIND_WEIGHT.get(fact.kind, 0.1)


def tokens(fact: Fact) -> float:
    """About how many tokens a fact takes in a prompt."""
    return len(fact.text) / _CHARS_PER_TOKEN


def relevant(profile: ProfileContext, offer: Offer, budget_tokens: int) -> list[Fact]:
    """The facts to use, most relevant first (`weight`).

    A fact about something else is left out, however interesting: it would be a reason for nothing. Nothing at all is
    used without consent, nor anything sensitive.
    """
    if not profile.personalize:
        return []
    about = topic(offer)
    scored = [(found, fact) for fact in profile.facts if (found := weight(fact, about)) > 0]
    scored.sort(key=lambda item: (-item[0], item[1].name))
    chosen, used = [], 0.0
    for _, fact in scored:
        used += tokens(fact)
        if used > budget_tokens:
            break
        chosen.append(fact)
    return chosen
