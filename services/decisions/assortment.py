"""The offers of a tenant laid out as arrays, so that 500 of them are judged at once. Pure; built once per version."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from services.decisions import contact, rollouts, rules
from services.decisions.errors import BadModelError, BadRuleError
from services.decisions.features import Vectors
from services.decisions.features import fields as feature_fields
from services.decisions.features import space as feature_space
from services.decisions.scorers import PRIOR, Scorer, bind
from shared.contracts.approval import LiveCopy
from shared.contracts.catalog import Offer, statement_version
from shared.contracts.policies import Policy, Rollout, Rule, ScorerModel, input_names

BoolArray = npt.NDArray[np.bool_]
_MAX_PRIORITY = 1000
# With exponents of at most 5 no score and no quotient of two scores leaves the range of a float.
_LEAST_VALUE, _MOST_VALUE = 1e-6, 1e15
_LEAST_LEVER = 1e-3


class Pinned(msgspec.Struct, frozen=True):
    """All that decisions depend on beside the request, the person and the model: what a version names, and replay reads."""

    offers: list[Offer]
    rules: list[Rule]
    policy: Policy
    variants: list[LiveCopy] = []
    models: list[ScorerModel] = []
    rollouts: list[Rollout] = []

    def parts(self) -> dict[str, str]:
        """A hash of each part and of all; without roll-outs the same as before there were any."""
        names = [name for name in self.__struct_fields__ if name != "rollouts" or self.rollouts]
        found = {name: digest(getattr(self, name)) for name in names}
        return {**found, "all": hashlib.sha256("".join(found.values()).encode()).hexdigest()[:16]}


def digest(value: Any) -> str:
    """The first 16 hex digits of SHA-256 over the JSON."""
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()[:16]


def locale_matches(allowed: Sequence[str], locale: str) -> bool:
    """Empty allows all; "en" allows "en-US"; "en-GB" does not (RFC 4647 basic filtering: the range is a prefix)."""
    ranges = [entry.replace("_", "-").lower() for entry in allowed]
    wanted = locale.replace("_", "-").lower()
    return not ranges or any(wanted == entry or wanted.startswith(f"{entry}-") for entry in ranges)


def _own_rules(offer: Offer) -> list[tuple[str, dict[str, Any]]]:
    """The offer's plain eligibility as predicates: (stage, predicate)."""
    rule = offer.eligibility
    found: list[tuple[str, dict[str, Any]]] = []
    if rule.segments:
        found.append(("segment", {"field": "profile.segments", "op": "any_of", "value": rule.segments}))
    if rule.excluded_segments:
        absent = {"field": "profile.segments", "op": "missing"}
        none = {"field": "profile.segments", "op": "none_of", "value": rule.excluded_segments}
        found.append(("segment", {"any": [absent, none]}))
    for name, values in rule.attributes.items():
        wanted = [value for value in values if value is not None]
        field = f"profile.attributes.{name}"
        missing = {"field": field, "op": "missing"}
        parts: list[dict[str, Any]] = [{"field": field, "op": "in", "value": wanted}] if wanted else []
        parts += [missing] if None in values else []
        nobody = {"all": [missing, {"field": field, "op": "exists"}]}
        found.append(("attribute", {"any": parts} if parts else nobody))
    return found


class Test(msgspec.Struct, frozen=True):
    """One predicate with the offers it guards; the stage it counts as and its name in the log."""

    stage: str
    name: str
    node: rules.Node
    guarded: BoolArray


class Assortment:
    """Offers in the order of their ids, as columns; `fields`: what of a person rules and features read."""

    def __init__(self, pinned: Pinned) -> None:
        self.pinned = pinned
        self.policy = policy = pinned.policy
        self.versions = pinned.parts() | rollouts.arm(policy.scorer, pinned.rollouts)
        self.offers = offers = sorted(pinned.offers, key=lambda offer: offer.offer_id)
        self.ids = [offer.offer_id for offer in offers]
        self.index = {key: n for n, key in enumerate(self.ids)}
        self.start = np.array([offer.start_date.timestamp() for offer in offers])
        self.end = np.array([offer.end_date.timestamp() for offer in offers])
        self.dates = np.unique(np.concatenate([self.start, self.end]))
        self.open: dict[tuple[object, ...], tuple[npt.NDArray[np.uint8], BoolArray]] = {}
        self.channels = {name: self._where(lambda o, c=name: not o.channels or c in o.channels) for name in
                         ("email", "push", "sms", "web")}  # fmt: skip
        self.value = np.array([_value(offer, policy) for offer in offers])
        self.lever = np.array(
            [max(offer.boost, _LEAST_LEVER) * (1 + offer.priority / _MAX_PRIORITY) for offer in offers]
        )
        self.category = [offer.category or offer.offer_id for offer in offers]
        self.by_category: dict[str, list[int]] = {}
        for n, name in enumerate(self.category):
            self.by_category.setdefault(name, []).append(n)
        self.placements = {tag for offer in offers for tag in offer.placements}
        self.tagged = self._where(lambda offer: bool(offer.safety_tags))
        self.safety = {tag: self._where(lambda o, t=tag: t in o.safety_tags) for offer in offers
                       for tag in offer.safety_tags}  # fmt: skip
        self.subjects: dict[str, list[int]] = {}
        for n, offer in enumerate(offers):
            for name in {text.lower() for text in (offer.product_name, offer.category, offer.product_brand) if text}:
                self.subjects.setdefault(name, []).append(n)
        self.limits = contact.limits(offers, policy.contact)
        self.by_collection: dict[str, list[int]] = {}
        for n, offer in enumerate(offers):
            for name in offer.collections:
                self.by_collection.setdefault(name, []).append(n)
        self.space = feature_space(policy)
        self.features = input_names(policy.features)
        self.vectors = Vectors(policy.features)
        self.fields = feature_fields(policy.features)
        self.tests = self._tests({rule.rule_id: rule for rule in pinned.rules})
        models = {model.model_id: (model, digest(model)) for model in pinned.models}
        self.notes: list[str] = []
        self.scorer = self._scorer(models)
        self.variants, self.outdated = _current(pinned)
        self._cache: dict[tuple[str, str], BoolArray] = {}

    def _where(self, holds: Callable[..., bool]) -> BoolArray:
        return np.array([holds(offer) for offer in self.offers], dtype=bool)

    def column(self, field: str) -> list[Any]:
        """One value an offer, for rules."""
        if field.startswith("offer.attributes."):
            name = field.removeprefix("offer.attributes.")
            return [offer.attributes.get(name) for offer in self.offers]
        read: Callable[[Offer], Any] = _OFFER_FIELDS[field]
        return [read(offer) for offer in self.offers]

    def _scorer(self, models: dict[str, tuple[ScorerModel, str]]) -> Scorer:
        """The first one that can be used of those that the policy's name stands for; the prior where none can."""
        policy = self.policy
        for name, wanted in rollouts.order(policy.scorer, self.pinned.rollouts):
            try:
                if name != PRIOR and name not in models:
                    raise BadModelError("it is not stored")
                if wanted and wanted != models[name][1]:
                    raise BadModelError("it is not what was rolled out")
                found = bind(name, models, policy.prior, self.features, self.ids, self.column)
            except BadModelError as error:
                self.notes.append(f"scorer_unusable: {name}: {error.detail[:200]}")
                continue
            self.notes = [f"{note}; {found.version} decides" for note in self.notes]
            return found
        self.notes = [f"{note}; the prior decides" for note in self.notes]
        return bind(PRIOR, {}, policy.prior, self.features, self.ids, self.column)

    def _tests(self, known: Mapping[str, Rule]) -> list[Test]:
        """Every distinct predicate once. A rule that is gone or broken guards its offers by failing, never by passing."""
        wanted: dict[tuple[str, str], tuple[Any, list[int]]] = {}
        for n, offer in enumerate(self.offers):
            for stage, raw in _own_rules(offer):
                wanted.setdefault((stage, digest(raw)), (raw, []))[1].append(n)
            for rule_id in offer.rule_ids:
                wanted.setdefault(("rule", rule_id), ({"rule": rule_id}, []))[1].append(n)
        found = []
        for (stage, name), (raw, members) in wanted.items():
            guarded = np.zeros(len(self.offers), dtype=bool)
            guarded[members] = True
            try:
                predicate = rules.check(Rule(rule_id=f"{stage}:{name}", when=raw), known)
                node = predicate.build(self.column)
                self.fields |= {field for field in predicate.fields if not field.startswith("offer.")}
            except BadRuleError:
                node = _never
            found.append(Test(stage, name, node, guarded))
        return found

    def matching(self, kind: str, wanted: str) -> BoolArray:
        """Offers for a locale or a placement, remembered."""
        key = (kind, wanted)
        if key not in self._cache:
            if len(self._cache) > 1000:  # noqa: PLR2004  (locales and scopes come from outside)
                self._cache.clear()
            if kind == "locale":
                self._cache[key] = self._where(lambda offer: locale_matches(offer.locales, wanted))
            else:
                self._cache[key] = self._where(lambda offer: not offer.placements or wanted in offer.placements)
        return self._cache[key]

    def variant(
        self, offer_id: str, channel: str, locale: str, prompt_version: str | None, facts: Mapping[str, str]
    ) -> LiveCopy | None:
        """The approved copy for an offer: of this prompt version where an experiment asks; the one that speaks of most of
        what may be said of the person (`facts`: name -> text), and of nothing else.
        """
        fitting = [
            v for v in self.variants.get(offer_id, ())
            if v.channel == channel and locale_matches([v.locale], locale)
            and all(facts.get(fact.name) == fact.text for fact in v.required_facts)
        ]  # fmt: skip
        wanted = [v for v in fitting if prompt_version is None or v.prompt_version == prompt_version] or fitting
        return max(wanted, key=lambda v: (len(v.required_facts), len(v.locale), v.variant_id), default=None)


def _current(pinned: Pinned) -> tuple[dict[str, list[LiveCopy]], set[str]]:
    """Live copy by offer, and offers with copy that was checked against something they no longer say: it is not served."""
    said = {offer.offer_id: statement_version(offer) for offer in pinned.offers}
    found: dict[str, list[LiveCopy]] = {}
    outdated: set[str] = set()
    for variant in pinned.variants:
        if said.get(variant.offer_id) == variant.statement:
            found.setdefault(variant.offer_id, []).append(variant)
        else:
            outdated.add(variant.offer_id)
    return found, outdated


def _never(values: rules.Values) -> rules.Truth:
    del values
    return rules.FAILS


def _value(offer: Offer, policy: Policy) -> float:
    """In the policy's currency, within the range that keeps scores finite; 1 where none is given or none can be told."""
    if offer.value is None or not offer.value.amount.is_finite():
        return 1.0
    rate = 1.0 if offer.value.currency == policy.reward.currency else policy.reward.rates.get(offer.value.currency)
    amount = float(offer.value.amount) * rate if rate else 1.0
    return min(max(amount, _LEAST_VALUE), _MOST_VALUE) if amount > 0 else 1.0


_OFFER_FIELDS: dict[str, Callable[[Offer], Any]] = {
    "offer.offerId": lambda o: o.offer_id,
    "offer.category": lambda o: o.category,
    "offer.brandId": lambda o: o.brand_id,
    "offer.productBrand": lambda o: o.product_brand,
    "offer.tags": lambda o: list(o.tags),
    "offer.collections": lambda o: list(o.collections),
    "offer.price": lambda o: float(o.price.amount) if o.price else None,
    "offer.value": lambda o: float(o.value.amount) if o.value else None,
    "offer.priority": lambda o: o.priority,
}
