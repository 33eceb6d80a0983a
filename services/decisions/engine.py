"""One decision from its inputs, without a clock, a store or a random device of its own. Pure.

Serving and replaying run exactly this function: the log keeps `Inputs` and `Result`, and the same inputs give the same
bits. Chance comes from generators seeded with the decision's id.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from services.decisions import arbitration, contact, exploration
from services.decisions.arbitration import Terms
from services.decisions.assortment import Assortment
from services.decisions.features import clock
from services.decisions.inputs import Inputs, Models, Pick, Result
from services.decisions.slots import Room, Slots

FloatArray = npt.NDArray[np.float64]
Stages = npt.NDArray[np.uint8]
_REMEMBERED = 500
VERSION = "engine@3"
# The order is the funnel: the first stage that objects is the one logged. Codes are positions: append, never insert.
STAGES = ("eligible", "consent", "not_a_candidate", "excluded", "not_started", "expired", "channel", "placement", "locale",
          "segment", "attribute", "rule", "brand_safety", "quiet_hours", "frequency_cap", "suppressed", "uplift",
          "holdout", "contested_cap")  # fmt: skip
CODE = {name: code for code, name in enumerate(STAGES)}
# What no fallback offer is above, whatever else objected to it first.
_BARRING = {"consent", "excluded", "not_started", "expired", "channel", "placement", "locale", "brand_safety", "quiet_hours",
            "frequency_cap", "contested_cap", "suppressed", "holdout"}  # fmt: skip
Bools = npt.NDArray[np.bool_]


def decide(inputs: Inputs, goods: Assortment, models: Models) -> Result:
    """Funnel, score, draw."""
    result = judge(inputs, goods, models)
    _fill(inputs, goods, models, result)
    if not result.picks:
        _fall_back(inputs, goods, result)
    return result


def judge(inputs: Inputs, goods: Assortment, models: Models) -> Result:
    """Funnel and scores; nothing is picked yet."""
    values = situation(inputs)
    x = goods.vectors.of(values)
    scored = goods.scorer.score(x)
    propensity = scored.propensity
    if models.theta is not None:
        # einsum's own loops, not BLAS: the same bits wherever the arrays lie in memory.
        propensity = propensity + np.einsum("kd,d->k", models.theta, x)
    propensity = np.where(np.isnan(propensity), goods.policy.prior, propensity)
    propensity = np.minimum(np.maximum(propensity, arbitration.FLOOR), 1.0)
    terms = Terms(propensity, _context(inputs, goods), goods.value, goods.lever, scored.uplift)
    score = arbitration.scores(terms, goods.policy.arbitration)
    stage, barred = funnel(inputs, goods, values, scored.uplift)
    return Result(stage, barred, terms, score, np.zeros(len(score)), [], x, scored.propensity)


def situation(inputs: Inputs) -> dict[str, Any]:
    """The values rules and features see: the person's and the moment's."""
    person = inputs.person
    local, _, _ = clock(inputs.moment, person.time_zone)
    return {
        **person.values, "profile.locale": person.locale, "profile.timeZone": person.time_zone,
        "profile.known": person.known, "context.channel": inputs.channel, "context.locale": inputs.locale,
        "context.hour": local.hour, "context.weekday": local.weekday(),
    }  # fmt: skip


def _context(inputs: Inputs, goods: Assortment) -> FloatArray:
    found = np.ones(len(goods.ids))
    top = max(inputs.relevance.values(), default=0.0)
    if top > 0:
        for key, value in inputs.relevance.items():
            if key in goods.index and value > 0:
                found[goods.index[key]] += value / top
    best: dict[int, float] = {}
    for subject, weight in inputs.person.affinity.items():
        for n in goods.subjects.get(subject, ()):
            best[n] = max(weight, best.get(n, 0.0))
    for n, weight in best.items():
        found[n] += weight
    return found


def funnel(
    inputs: Inputs, goods: Assortment, values: dict[str, Any], uplift: FloatArray | None
) -> tuple[Stages, Bools]:
    """The code of the first stage that objects to each offer, 0 for none; and which offers no fallback may be either."""
    if not inputs.person.contactable:
        everything = np.ones(len(goods.ids), dtype=bool)
        return np.full(len(goods.ids), CODE["consent"], dtype=np.uint8), everything
    known_stage, known_barred = _open(inputs, goods)
    stage, barred = known_stage.copy(), known_barred.copy()

    def remove(name: str, objects: Any) -> None:
        stage[(stage == 0) & objects] = CODE[name]
        if name in _BARRING:
            np.logical_or(barred, objects, out=barred)

    # These two come before all others in the funnel, so they overrule what stands there already.
    if inputs.exclude_ids:
        excluded = _members(goods, inputs.exclude_ids)
        stage[excluded] = CODE["excluded"]
        barred |= excluded
    if inputs.candidate_ids:
        stage[~_members(goods, inputs.candidate_ids)] = CODE["not_a_candidate"]
    _personal(inputs, goods, values, remove)
    _contact(inputs, goods, remove)
    least = goods.policy.arbitration.minimum_uplift
    if least is not None and uplift is not None:
        remove("uplift", uplift < least)
    if inputs.contested:
        remove("contested_cap", _members(goods, inputs.contested))
    if inputs.holdout == "nothing":
        remove("holdout", np.ones(len(stage), dtype=bool))
    return stage, barred


def _open(inputs: Inputs, goods: Assortment) -> tuple[Stages, Bools]:
    """The stages that ask nothing of the person: dates, channel, placements, locale; remembered until a date passes."""
    passed = int(np.searchsorted(goods.dates, inputs.at, side="right"))
    key = (passed, inputs.channel, inputs.locale, *inputs.scopes)
    found = goods.open.get(key)
    if found is None:
        stage = np.zeros(len(goods.ids), dtype=np.uint8)
        for name, objects in (
            ("not_started", inputs.at < goods.start), ("expired", inputs.at >= goods.end),
            ("channel", ~goods.channels[inputs.channel]),
            ("placement", ~np.logical_or.reduce([goods.matching("placement", scope) for scope in inputs.scopes])),
            ("locale", ~goods.matching("locale", inputs.locale)),
        ):  # fmt: skip
            stage[(stage == 0) & objects] = CODE[name]
        found = stage, stage != 0
        if len(goods.open) >= _REMEMBERED:  # locales and scopes come from outside
            goods.open.clear()
        goods.open[key] = found
    return found


def _personal(inputs: Inputs, goods: Assortment, values: dict[str, Any], remove: Any) -> None:
    stage, failed = "", np.zeros(len(goods.ids), dtype=bool)
    for test in goods.tests:
        if test.stage != stage:  # tests of one stage that follow each other object together
            if stage:
                remove(stage, failed)
            stage, failed = test.stage, np.zeros(len(goods.ids), dtype=bool)
        found = test.node(values)
        if not isinstance(found, int):
            failed |= test.guarded & (found < 1)
        elif found < 1:
            failed |= test.guarded
    if stage:
        remove(stage, failed)
    if not inputs.person.personalize:
        remove("brand_safety", goods.tagged)
    for tag in inputs.person.exclude_tags:
        if tag in goods.safety:
            remove("brand_safety", goods.safety[tag])


def _members(goods: Assortment, ids: Sequence[str]) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(goods.ids), dtype=bool)
    found[[goods.index[key] for key in ids if key in goods.index]] = True
    return found


def _contact(inputs: Inputs, goods: Assortment, remove: Any) -> None:
    policy = goods.policy.contact
    at, time_zone = inputs.moment, inputs.person.time_zone
    if policy.quiet_hours and contact.is_quiet(policy.quiet_hours, inputs.channel, clock(at, time_zone)[0]):
        remove("quiet_hours", np.ones(len(goods.ids), dtype=bool))
    spent: set[tuple[str, str]] = set()
    if not inputs.caps_known:
        spent = {(scope, name) for _, scope, name in goods.limits.by_name}
        spent |= {(scope, name) for scope, _, name in (text.partition("|") for text in inputs.uncounted)}
    elif goods.limits:
        spent = contact.exhausted(goods.limits, inputs.counts, contact.periods(at, time_zone))
    for scope, name in spent:
        remove("frequency_cap", _concerned(goods, scope, name, inputs.channel))
    for scope, name in contact.resting(inputs.counts, inputs.at):
        remove("suppressed", _concerned(goods, scope, name, inputs.channel))


def _concerned(goods: Assortment, scope: str, name: str, channel: str) -> npt.NDArray[np.bool_]:
    """The offers that a counter or suppression is about."""
    found = np.zeros(len(goods.ids), dtype=bool)
    if name == contact.ANY:
        members = [n for every in goods.by_collection.values() for n in every]
        found[members if scope == "c" else slice(None)] = True
    elif scope == "o" and name in goods.index:
        found[goods.index[name]] = True
    elif scope == "c":
        found[goods.by_collection.get(name, [])] = True
    elif scope == "g":
        found[goods.by_category.get(name, [])] = True
    elif scope == "h" and name == channel:
        found[:] = True
    return found


def _fill(inputs: Inputs, goods: Assortment, models: Models, result: Result) -> None:
    """Draw every slot of every scope, one after the other; nothing twice, categories spread, caps left whole."""
    if not (result.stage == 0).any():
        return
    slots = Slots(inputs, goods, models, result)
    for scope, name in enumerate(inputs.scopes):
        placed = goods.matching("placement", name)
        for _ in range(inputs.limit):
            allowed, chances = slots.chances(placed)
            if not len(allowed):
                break
            place = exploration.draw(chances, slots.random.random())
            if not result.picks:
                result.probability[allowed] = chances
            chosen = int(allowed[place])
            result.picks.append(Pick(scope, chosen, float(chances[place])))
            slots.take(chosen)


def _fall_back(inputs: Inputs, goods: Assortment, result: Result) -> None:
    """The policy's fallback offers in their order: not scored and not asked for eligibility; consent, dates, channel, brand
    safety, quiet hours, rests and caps hold, also the caps that the slate itself uses up.
    """
    listed = [goods.index[key] for key in goods.policy.fallback_offer_ids if key in goods.index]
    room = Room(inputs, goods, ~result.barred)
    for scope, name in enumerate(inputs.scopes):
        placed = goods.matching("placement", name)
        count = 0
        for n in listed:
            if count < inputs.limit and placed[n] and room.has(n):
                result.picks.append(Pick(scope, n, 1.0, fallback=True))
                room.take(n)
                count += 1
