"""Which facts about the person matter for this offer, within a budget. Pure."""

import re

from services.generation.neutral import gives_orders, one_line
from shared.contracts.catalog import Offer
from shared.contracts.profiles import Fact, ProfileContext

_CHARS_PER_TOKEN = 3.5
_FACT_CHARS = 90
_KIND_WEIGHT = {"category": 1.0, "lapsed": 0.9, "rhythm": 0.8, "brand": 0.4, "price_sensitivity": 0.3}
_WORD = re.compile(r"[a-z]{3,}")


def content_words(text: str) -> set[str]:
    """The words of three letters and more, lower case, without a plural s."""
    return {word.rstrip("s") for word in _WORD.findall(text.lower())}


def relevant(profile: ProfileContext, offer: Offer, budget_tokens: int) -> list[Fact]:
    """The facts to use, most relevant first: those that share words with the offer's product, category or brand.

    A fact about something else is left out, however interesting: it would be a reason for nothing. Nothing at all is
    used without consent, nor anything sensitive.
    """
    if not profile.personalize:
        return []
    about = content_words(
        " ".join(filter(None, [offer.product_name, offer.category, offer.product_brand, *offer.tags]))
    )
    scored = []
    for fact in profile.facts:
        shared = len(content_words(fact.subject or "") & about)
        text = one_line(fact.text, _FACT_CHARS)
        if fact.sensitive or not shared or gives_orders(text):
            continue
        scored.append((shared * _KIND_WEIGHT.get(fact.kind, 0.1), fact))
    scored.sort(key=lambda item: (-item[0], item[1].name))
    chosen, used = [], 0.0
    for _, fact in scored:
        used += len(fact.text) / _CHARS_PER_TOKEN
        if used > budget_tokens:
            break
        chosen.append(fact)
    return chosen
