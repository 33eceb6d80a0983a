"""A decision in the shape of propositions."""

import time

from services.decisions import tokens
from services.decisions.engine import STAGES
from services.decisions.inputs import Result
from services.decisions.records import Entry, Item
from services.decisions.work import Work
from shared.contracts.catalog import Offer
from shared.contracts.decisions import (
    ITEM_SCHEMA,
    Content,
    Decision,
    DecisionProvider,
    ItemCharacteristics,
    ItemData,
    ItemSelection,
    Proposition,
    PropositionItem,
    RankingDetail,
    ScopeDetails,
)

_PROVIDER = "ATELIER"


class Answers:
    """Builds answers; tokens are signed with the suite's secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._keys: dict[str, bytes] = {}

    def compose(self, tenant: str, work: Work, entry: Entry, result: Result) -> Decision:
        """The answer to one request."""
        key = self._keys.setdefault(tenant, tokens.key_of(self._secret, tenant))
        items: list[list[PropositionItem]] = [[] for _ in entry.inputs.scopes]
        for slot, item in enumerate(entry.items):
            made = self._item(work, entry, item, tokens.sign(key, entry.id, slot), len(items[item.pick.scope]) + 1)
            items[item.pick.scope].append(made)
        versions = entry.versions
        return Decision(
            id=entry.id,
            profile_id=entry.inputs.person.profile_id,
            propositions=[_proposition(entry, n, found) for n, found in enumerate(items)],
            policy_version=versions["policyVersion"],
            model_version=f"{versions['scorer']}+{versions['model']}",
            rules_version=versions["rules"],
            catalog_version=versions["offers"],
            index_version=versions["index"],
            holdout=bool(entry.inputs.holdout),
            experiments=entry.experiments,
            degraded=entry.degraded,
            reason=None if entry.items else _why_empty(work, result),
            took_ms=round((time.perf_counter() - work.started) * 1000, 2),
        )

    def _item(self, work: Work, entry: Entry, item: Item, token: str, rank: int) -> PropositionItem:
        goods = work.goods
        offer = goods.offers[item.pick.offer]
        return PropositionItem(
            id=item.offer_id,
            schema=ITEM_SCHEMA,
            data=ItemData(content=_content(work, item, offer)),
            characteristics=ItemCharacteristics(tokens=[token]),
            item_selection=ItemSelection(
                ranking_detail=RankingDetail(
                    strategy_id=entry.versions["policyVersion"],
                    algorithm_id=goods.policy.exploration.kind,
                    step="aiModel" if work.models.theta is not None else "formula",
                    traffic_type=_traffic(entry, item),
                )
            ),
            name=offer.name,
            rank=rank,
            score=item.score,
            probability=item.pick.probability,
            propensity=item.propensity,
            uplift=item.uplift,
            asset_id=offer.asset_ids[0] if offer.asset_ids else None,
            reasons=item.reasons,
        )


def _traffic(entry: Entry, item: Item) -> str:
    if item.pick.fallback:
        return "fallback"
    if entry.inputs.holdout:
        return "holdout"
    return "exploit" if item.pick.probability >= 0.5 else "explore"  # noqa: PLR2004


def _content(work: Work, item: Item, offer: Offer) -> Content:
    found = next((v for v in work.goods.variants.get(offer.offer_id, ()) if v.variant_id == item.variant_id), None)
    if found is not None:
        return Content(sections=found.sections, variant_id=found.variant_id, approved=True, provenance=found.provenance)
    words = {"headline": offer.name, "body": offer.description, "legal": offer.legal_text}
    return Content(sections={name: text for name, text in words.items() if text}, variant_id=None, approved=False)


def _proposition(entry: Entry, scope: int, items: list[PropositionItem]) -> Proposition:
    name = entry.inputs.scopes[scope]
    return Proposition(
        id=f"{entry.id}:{scope}",
        scope=name,
        scope_details=ScopeDetails(
            decision_provider=_PROVIDER,
            correlation_id=entry.id,
            decision_policy=DecisionProvider(id=entry.versions["policyVersion"]),
            placement=DecisionProvider(id=name),
            characteristics={"rulesVersion": entry.versions["rules"], "catalogVersion": entry.versions["offers"]},
        ),
        items=items,
    )


def _why_empty(work: Work, result: Result) -> str:
    profile = work.profile
    if not profile.contactable:
        return f"no consent to be contacted on this channel ({profile.reason or 'not given'})"
    if not len(result.stage):
        return "this tenant has no offers"
    stages = {STAGES[code] for code in result.stage.tolist()}
    return f"no offer of this tenant is eligible ({', '.join(sorted(stages))})"
