"""Replaying logged decisions bit for bit, saying why, and asking the log what another policy would have done."""

import datetime as dt
from typing import Any

import msgspec
import numpy as np
from sqlalchemy.ext.asyncio import AsyncEngine

from services.decisions import arbitration, contact, engine, presenting, records, rules
from services.decisions.assortment import Assortment
from services.decisions.authoring import AuthoringService
from services.decisions.errors import UnknownDecisionError, UnknownOfferError
from services.decisions.inputs import Models, Result
from services.decisions.learning import Learner
from services.decisions.patches import patched
from services.decisions.policies import PolicyService
from services.decisions.records import Entry
from services.decisions.repository import DecisionRepository
from services.decisions.reward_repository import RewardRepository
from services.decisions.service import DecisionService
from services.decisions.slates import conditionals
from shared.contracts.base import FieldError
from shared.contracts.decisions import Explanation, LogPage, LogQuery, LogRow, Replay
from shared.db.engine import transaction
from shared.errors import InvalidInputError

_TOP = 12


class ExplainService:
    """Looks back."""

    def __init__(
        self, database: AsyncEngine, decisions: DecisionService, policies: PolicyService, authoring: AuthoringService,
        learner: Learner,
    ) -> None:  # fmt: skip
        self._engine = database
        self._authoring = authoring
        self._decisions = decisions
        self._policies = policies
        self._learner = learner

    async def _again(self, tenant: str, entry: Entry) -> tuple[Assortment, Models, Result]:
        goods = await self._policies.as_pinned(tenant, entry.versions["all"])
        if goods is None:
            message = f"Decision {entry.id!r} was made with version {entry.versions['all']}, which is not kept here."
            raise UnknownDecisionError(message)
        models = await self._learner.at(tenant, goods, entry.versions["model"])
        return goods, models, engine.decide(entry.inputs, goods, models)

    async def replay(self, tenant: str, decision_id: str) -> Replay:
        """Make a logged decision again from what the log names, and compare every bit.

        Raises:
            UnknownDecisionError: not in the log, or its pinned versions are gone.
        """
        entry = await self._decisions.entry(tenant, decision_id)
        goods, _, result = await self._again(tenant, entry)
        stage, score, probability = records.arrays(result)
        items = presenting.items(entry.inputs, goods, result, entry.versions["prompt"])
        compared = {
            "stages": stage == entry.stage,
            "scores": score == entry.score,
            "probabilities": probability == entry.probability,
            "features": result.x.tobytes() == entry.x,
            "items": msgspec.msgpack.encode(items) == msgspec.msgpack.encode(entry.items),
            "engine": entry.versions["code"] == engine.VERSION,
        }
        differs = [name for name, same in compared.items() if not same]
        counts = {"offers": len(entry.stage), "eligible": len(entry.score) // 8, "slots": len(entry.items)}
        return Replay(id=entry.id, identical=not differs, differs=differs, compared=counts)

    async def why(self, tenant: str, decision_id: str, offer_id: str) -> Explanation:
        """Which stage removed an offer, or by how much each term let it lead or trail.

        Raises:
            UnknownDecisionError: not in the log.
            UnknownOfferError: the offer was not in the catalog at that time.
        """
        entry = await self._decisions.entry(tenant, decision_id)
        goods, models, result = await self._again(tenant, entry)
        if offer_id not in goods.index:
            message = f"Offer {offer_id[:200]!r} was not in the catalog of this decision."
            raise UnknownOfferError(message)
        index = goods.index[offer_id]
        stage = engine.STAGES[int(result.stage[index])]
        mine = arbitration.contributions(result.terms, goods.policy.arbitration, index)
        first = result.picks[0].offer if result.picks else index
        best = arbitration.contributions(result.terms, goods.policy.arbitration, first)
        order = sorted(np.flatnonzero(result.stage == 0).tolist(), key=lambda n: (-result.score[n], n))
        slots = [n for n, item in enumerate(entry.items, 1) if item.offer_id == offer_id]
        removed = None if stage == "eligible" else stage
        details = self._details(entry, goods, offer_id, stage) if removed else _chances(entry, result, index)
        return Explanation(
            id=entry.id, offer_id=offer_id,
            verdict=f"picked for slot {slots[0]}" if slots else f"removed: {stage}" if removed else "outranked",
            removed_by=removed, details=details, score=float(result.score[index]),
            probability=float(result.probability[index]), rank=order.index(index) + 1 if index in order else None,
            contributions=mine, lead=arbitration.difference(best, mine),
            residual=float(np.log(result.score[index])) - sum(mine.values()),
            features=_linear(goods, models, result, index),
        )  # fmt: skip

    @staticmethod
    def _details(entry: Entry, goods: Assortment, offer_id: str, stage: str) -> list[str]:
        """What exactly objected."""
        offer, inputs = goods.offers[goods.index[offer_id]], entry.inputs
        if stage == "consent":
            return [inputs.person.reason or "no consent for this channel"]
        if stage in {"rule", "segment", "attribute"}:
            values = engine.situation(inputs)
            found = []
            for test in goods.tests:
                if test.stage == stage and test.guarded[goods.index[offer_id]]:
                    truth = test.node(values)
                    own = truth if isinstance(truth, int) else int(truth[goods.index[offer_id]])
                    if own < rules.HOLDS:
                        said = "a value it needs is missing" if own == rules.UNKNOWN else "it does not hold"
                        found.append(f"{stage} {test.name}: {said}")
            return found
        if stage == "frequency_cap" and not inputs.caps_known:
            return ["counters were not available"]
        if stage == "frequency_cap":
            now = contact.periods(inputs.moment, inputs.person.time_zone)
            own_fields = contact.moved(goods.limits.kinds, goods.limits, [offer], inputs.channel, now)
            return [f"{name}: {inputs.counts.get(name, 0)} of {most}" for name, (most, _) in own_fields.items()
                    if inputs.counts.get(name, 0) >= most]  # fmt: skip
        if stage == "suppressed":
            return [f"{name} until {dt.datetime.fromtimestamp(until, dt.UTC).isoformat()}"
                    for name, until in inputs.counts.items() if name.startswith("s|") and until > inputs.at]  # fmt: skip
        return []

    async def log(self, tenant: str, query: LogQuery) -> LogPage:
        """A page of the log as estimators need it, in the query's order, with what a candidate policy would have done.

        Raises:
            InvalidInputError: the window is empty, the policy is none that could decide, or the cursor is not one of ours.
        """
        if query.start >= query.end:
            raise InvalidInputError(
                "start must lie before end", errors=[FieldError(field="end", message="not after start")]
            )
        await self._authoring.check(tenant, patched(await self._policies.policy(tenant), query.policy))
        after = _position(query.cursor)
        if after is None:
            await self._decisions.flush()
        async with transaction(self._engine) as connection:
            found = await DecisionRepository(connection).window(tenant, query, after)
            rewards = await RewardRepository(connection).rewards(tenant, [entry.id for entry in found])
        rows: list[LogRow] = []
        skipped: dict[str, int] = {}
        spaces: dict[str, list[str]] = {}
        for entry in found:
            reason = _unusable(entry)
            if reason is None:
                rows += await self._rows(tenant, entry, query.policy, rewards, spaces)
            else:
                skipped[reason] = skipped.get(reason, 0) + 1
        last = found[-1] if len(found) == query.limit else None
        cursor = f"{last.inputs.moment.isoformat()}~{last.id}" if last else None
        named = {} if "features" in query.policy else spaces
        return LogPage(rows=rows, cursor=cursor, skipped=skipped, spaces=named)

    async def _rows(
        self, tenant: str, entry: Entry, patch: dict[str, Any], rewards: dict[tuple[str, int], tuple[float, float]],
        spaces: dict[str, list[str]],
    ) -> list[LogRow]:  # fmt: skip
        goods = await self._policies.as_pinned(tenant, entry.versions["all"], patch)
        if goods is None:
            return []
        models = await self._learner.cached_at(tenant, goods, entry.versions["model"])
        x = np.frombuffer(entry.x)
        spaces[goods.space] = goods.features
        found = []
        for slot, allowed, chances, estimates in conditionals(entry, goods, models):
            item = entry.items[slot]
            earned, value = rewards.get((entry.id, slot), (0.0, 0.0))
            place = int(np.flatnonzero(allowed == item.pick.offer)[0]) if item.pick.offer in allowed else -1
            found.append(
                LogRow(
                    decision_id=entry.id, time=entry.inputs.moment, space=goods.space, slot=slot, offer_id=item.offer_id, logging=item.pick.probability,
                    target=float(chances[place]) if place >= 0 else 0.0, reward=earned, value=value, x=x.tolist(),
                    offers=[goods.ids[n] for n in allowed], expected=chances.tolist(), estimates=estimates.tolist(),
                )
            )  # fmt: skip
        return found


def _unusable(entry: Entry) -> str | None:
    if not entry.items:
        return "nothing was shown"
    if not entry.inputs.explore:
        return "decided without chance"
    return "fallback" if any(item.pick.fallback for item in entry.items) else None


def _position(cursor: str | None) -> tuple[dt.datetime, str] | None:
    if cursor is None:
        return None
    time, _, key = cursor.partition("~")
    try:
        return dt.datetime.fromisoformat(time), key
    except ValueError as error:
        message = f"cursor {cursor[:80]!r} was not given out by this endpoint"
        raise InvalidInputError(message) from error


def _chances(entry: Entry, result: Result, index: int) -> list[str]:
    picked = [n for n, item in enumerate(entry.items, 1) if item.pick.offer == index]
    if picked:
        chance = entry.items[picked[0] - 1].pick.probability
        return [f"drawn for slot {picked[0]} with probability {chance:.4f}"]
    return [f"probability {float(result.probability[index]):.4f} in the first slot; not drawn"]


def _linear(goods: Assortment, models: Models, result: Result, index: int) -> dict[str, float]:
    """The contextual model's part of the propensity, input by input (largest first), beside the scorer's offset."""
    found = {"offset": float(result.offset[index])}
    if models.theta is None:
        return found
    parts = models.theta[index] * result.x
    ranked = sorted(range(len(parts)), key=lambda n: -abs(parts[n]))
    found |= {goods.features[n]: float(parts[n]) for n in ranked[:_TOP] if parts[n]}
    rest = float(sum(parts[n] for n in ranked[_TOP:]))
    return found | ({"others": rest} if rest else {})
