"""The text of a person: for embedding and prompting, from what may be spoken only. Pure."""

import hashlib
from collections.abc import Sequence

from shared.contracts.profiles import Fact


def speakable(facts: Sequence[Fact]) -> list[Fact]:
    """The facts that may leave this service for a prompt: none that is sensitive."""
    return [fact for fact in facts if not fact.sensitive]


def summarize(facts: Sequence[Fact]) -> str:
    """One sentence a fact, in their order; "" without any."""
    return "".join(f"{fact.text}. " for fact in speakable(facts)).strip()


def embedding_text(facts: Sequence[Fact]) -> str:
    """The text a person's vector is made of: the products, not the habits, which match no offer.

    Categories due now come first and lapsed ones last, because the first words weigh most in a mean of tokens that is
    cut at the model's limit.
    """
    order = {"due_category": 0, "favourite_category": 1, "lapsed_category": 2, "attribute": 3}
    spoken = [f for f in speakable(facts) if f.subject and f.name.partition(":")[0] in order]
    ranked = sorted(spoken, key=lambda f: order[f.name.partition(":")[0]])
    subjects = [f.text if f.kind == "attribute" else str(f.subject) for f in ranked]
    return ", ".join(dict.fromkeys(subjects))


def content_hash(text: str) -> str:
    """Changes when the text does."""
    return hashlib.sha256(text.encode()).hexdigest()
