"""Attribute recall: does the copy say of the offer what its channel needs? Pure."""

from services.evaluation.evidence import Evidence
from services.evaluation.samples import Sample, product_of
from services.evaluation.scores import Score, failed, share
from services.evaluation.wording import has_all, has_half, number, plain, stems
from shared.contracts.catalog import Condition
from shared.contracts.profiles import Channel

# An e-mail and a text message stand alone; behind the others is a page that shows the record.
NEEDED: dict[Channel, tuple[str, ...]] = {
    "email": ("product", "discount", "end", "conditions", "legal"),
    "sms": ("product", "discount", "end", "conditions", "legal"),
    "web": ("product", "discount", "end"),
    "push": ("product", "discount"),
}
_BENEFIT = {
    "offer.discount",
    "offer.discount.value",
    "offer.discount.buyQuantity",
    "offer.discount.getQuantity",
    "offer.price",
}


def attribute_recall(sample: Sample, evidence: Evidence) -> Score:
    """Share of the needed attributes that surface: product by its words, discount and end by a supported claim of their
    fields, each condition by its minimum or half of its words, the legal text word for word.
    """
    if evidence.report is None:
        return failed(evidence.refused or "not_checked")
    offer, said = sample.material.offer, stems(sample.text)
    claims = [claim for claim in evidence.report.claims if claim.status == "supported"]
    found: list[bool] = []
    needed = NEEDED[sample.copy.channel]
    if "product" in needed:
        found.append(has_all(product_of(offer), said))
    if "discount" in needed and offer.discount.kind != "none":
        found.append(any(claim.field in _BENEFIT or claim.kind == "free" for claim in claims))
    if "end" in needed:
        found.append(any(claim.field == "offer.endDate" for claim in claims))
    if "conditions" in needed:
        found += [_has_condition(condition, said) for condition in offer.conditions]
    if "legal" in needed and offer.legal_text:
        found.append(plain(offer.legal_text) in plain(sample.text))
    return share(sum(found), len(found), "nothing_needed")


def _has_condition(condition: Condition, said: set[str]) -> bool:
    least = condition.minimum_spend.amount if condition.minimum_spend else condition.minimum_quantity
    return (least is not None and number(f"{least}") in said) or has_half(condition.text, said)
