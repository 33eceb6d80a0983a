"""The words of what was picked: approved copy, and the reasons. Pure; deciding and replaying share it."""

from collections.abc import Iterable, Mapping

from services.decisions.assortment import Assortment
from services.decisions.inputs import Inputs, Pick, Result
from services.decisions.ranking import Affinity
from services.decisions.records import Item
from shared.contracts.catalog import Offer


def remember(
    inputs: Inputs, goods: Assortment, picks: Iterable[Pick], facts: Mapping[str, str], said: Mapping[str, Affinity]
) -> None:
    """Put into the inputs what copy and reasons of these picks are made of, and nothing else that is known.

    Args:
        inputs: the decision's, which the log keeps.
        goods: what was chosen from.
        picks: what was chosen.
        facts: name -> text of all that may be said of the person.
        said: subject -> what the person's history says about it.
    """
    person = inputs.person
    person.facts, person.said = {}, {}
    for pick in picks:
        offer = goods.offers[pick.offer]
        asked = {fact.name for variant in goods.variants.get(offer.offer_id, ()) for fact in variant.required_facts}
        person.facts |= {name: facts[name] for name in asked if name in facts}
        person.said |= {name: said[name].reason for name in _subjects(offer) if name in said}


def items(inputs: Inputs, goods: Assortment, result: Result, prompt_version: str) -> list[Item]:
    """The picks with their figures, their approved copy (of a prompt version, if one is named) and their reasons."""
    found = []
    for pick in result.picks:
        n, offer = pick.offer, goods.offers[pick.offer]
        uplift = None if result.terms.uplift is None else float(result.terms.uplift[n])
        copy = goods.variant(offer.offer_id, inputs.channel, inputs.locale, prompt_version or None, inputs.person.facts)
        found.append(Item(pick, offer.offer_id, float(result.score[n]), float(result.terms.propensity[n]), uplift,
                          float(result.offset[n]), copy.variant_id if copy else None, _reasons(inputs, offer)))  # fmt: skip
    return found


def _reasons(inputs: Inputs, offer: Offer) -> list[str]:
    """Why this offer, in words: facts about the person's history, closeness, else its priority."""
    said = [inputs.person.said[name] for name in _subjects(offer) if name in inputs.person.said]
    found = list(dict.fromkeys(said))
    found += ["close to what this person buys"] if offer.offer_id in inputs.relevance else []
    return found or [f"priority {offer.priority}"]


def _subjects(offer: Offer) -> list[str]:
    return [name.lower() for name in (offer.product_name, offer.category, offer.product_brand) if name]
