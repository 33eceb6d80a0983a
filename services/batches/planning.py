"""Who may share which text, and how texts make chunks. Pure.

An item has up to three texts that would fit its person: one that speaks of all facts that matter for the offer, one that
speaks of the weightiest alone, one that speaks of none. Which it gets depends on how many people share it.
"""

import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from shared.contracts.decisions import PropositionItem
from shared.contracts.profiles import Channel, Fact, ProfileContext

SHARED_FACTS = 2
_PROMPT_TOKENS, _ANSWER_TOKENS, _CHARS_PER_TOKEN = 420, 60, 3.5


class TextPlan(msgspec.Struct, frozen=True):
    """A text that might be written: about an offer, in a channel and locale, from facts; `profile_id` if for one alone."""

    key: str
    offer_id: str
    channel: Channel
    locale: str
    facts: list[Fact]
    profile_id: str | None = None

    @property
    def tokens(self) -> int:
        """About how many tokens writing it takes."""
        said = sum(len(fact.text) for fact in self.facts)
        return round(_PROMPT_TOKENS + _ANSWER_TOKENS + said / _CHARS_PER_TOKEN)


class ItemPlan(msgspec.Struct, frozen=True):
    """An item as it is planned; without an offer, `reason` says why nothing is written. `texts`: what fits, most first."""

    profile_id: str
    channel: Channel
    offer_id: str | None
    reason: str | None = None
    asset_id: str | None = None
    decision_id: str | None = None
    token: str | None = None
    first_name: str | None = None
    texts: tuple[TextPlan, ...] = ()


def generalised(fact: Fact) -> Fact | None:
    """A fact in words that hold for many; None when there are none. A text with a figure is one person's own."""
    said = fact.general or (fact.text if not any(c.isdigit() for c in fact.text) else "")
    if not said:
        return None
    return Fact(name=fact.name, kind=fact.kind, value=None, text=said, explanation="", subject=fact.subject)


def chosen(facts: Sequence[Fact], weights: Mapping[str, float], budget: int, *, most: int) -> list[Fact]:
    """The weightiest facts within a budget of tokens, at most `most`; weights by the facts' texts, 0 leaves one out."""
    ranked = sorted((f for f in facts if weights.get(f.text, 0) > 0), key=lambda f: (-weights[f.text], f.name))
    found, used = [], 0.0
    for fact in ranked[:most]:
        used += len(fact.text) / _CHARS_PER_TOKEN
        if used > budget:
            break
        found.append(fact)
    return found


def shared_texts(offer_id: str, channel: Channel, locale: str, facts: Sequence[Fact]) -> tuple[TextPlan, ...]:
    """The texts that would fit, the one that says most first; always three, equal ones where there is less to say."""
    return tuple(_text(offer_id, channel, locale, list(facts[:n]), None) for n in (SHARED_FACTS, 1, 0))


def own_text(
    offer_id: str, channel: Channel, locale: str, facts: Sequence[Fact], profile_id: str
) -> tuple[TextPlan, ...]:
    """The text of one person alone; of nobody when nothing of them is said in it."""
    one = _text(offer_id, channel, locale, list(facts), profile_id if facts else None)
    return (one, one, one)


def _text(offer_id: str, channel: Channel, locale: str, facts: list[Fact], profile_id: str | None) -> TextPlan:
    about = [offer_id, channel, locale, [[fact.name, fact.text] for fact in facts], profile_id]
    key = hashlib.sha256(msgspec.json.encode(about)).hexdigest()[:24]
    return TextPlan(key, offer_id, channel, locale, facts, profile_id)


def withheld(context: ProfileContext, channel: Channel) -> str | None:
    """Why somebody is written nothing at all on a channel; None if they may be."""
    if context.contactable:
        return None
    return f"no consent for {channel}: {context.reason or 'not given'}"


def item_of(
    context: ProfileContext, channel: Channel, pick: PropositionItem, decision_id: str, texts: tuple[TextPlan, ...]
) -> ItemPlan:
    """A picked offer as an item."""
    return ItemPlan(
        profile_id=context.profile_id, channel=channel, offer_id=pick.id, asset_id=pick.asset_id, decision_id=decision_id,
        token=pick.characteristics.tokens[0], first_name=context.first_name, texts=texts,
    )  # fmt: skip


def chunked(texts: Sequence[tuple[str, int]], *, tokens: int, most: int) -> list[list[str]]:
    """Texts (key, tokens) in their order, cut into chunks of about so many tokens and at most `most` texts each."""
    found: list[list[str]] = []
    used = 0
    for key, size in texts:
        if not found or used + size > tokens or len(found[-1]) >= most:
            found.append([])
            used = 0
        found[-1].append(key)
        used += size
    return found
