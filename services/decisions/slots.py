"""Filling slots: which offers may be next, and with which chance. Pure.

Drawing and looking back share it: a decision draws from the chances, off-policy evaluation follows what was drawn.
"""

import random

import numpy as np
import numpy.typing as npt

from services.decisions import arbitration, contact, exploration
from services.decisions.assortment import Assortment
from services.decisions.inputs import Inputs, Models, Result
from shared.contracts.policies import Exploration

FloatArray = npt.NDArray[np.float64]


class Slots:
    """The slots of one decision, one after the other: the chances for the next, given the offers taken before."""

    def __init__(self, inputs: Inputs, goods: Assortment, models: Models, result: Result) -> None:
        self.random = random.Random(inputs.seed)  # noqa: S311  (chance that can be repeated, no secret)
        self._how = _exploration(inputs, goods)
        self._score, self._seen = result.score, models.seen
        self._draws = _posterior(self._how, goods, models, result, inputs.seed)
        self._room = Room(inputs, goods, result.stage == 0)
        self.take = self._room.take

    def chances(self, placed: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], FloatArray]:
        """(offers that may fill the next slot of this placement, their probabilities); both empty when none may."""
        allowed = self._room.allowed(placed)
        if not len(allowed):
            return allowed, np.zeros(0)
        sampled = self._draws[:, allowed] if self._draws is not None else None
        return allowed, exploration.probabilities(self._how, self._score[allowed], sampled, self._seen)


def _exploration(inputs: Inputs, goods: Assortment) -> Exploration:
    if inputs.holdout == "random":
        return Exploration(kind="uniform")
    return goods.policy.exploration if inputs.explore else Exploration(kind="none")


def _posterior(how: Exploration, goods: Assortment, models: Models, result: Result, seed: int) -> FloatArray | None:
    """Sampled scores of shape (m, k) for Thompson sampling; what is not eligible is sampled and never looked at."""
    if how.kind != "thompson":
        return None
    x = result.x
    if models.inverse is None:
        spread = np.full(len(goods.ids), float(np.sqrt((x * x).sum())))
    else:
        spread = np.sqrt(np.maximum(np.einsum("kd,d->k", np.einsum("kde,e->kd", models.inverse, x), x), 0.0))
    noise = np.random.Generator(np.random.PCG64(seed)).standard_normal((how.draws, len(spread)))
    weights = goods.policy.arbitration
    chance = result.terms.chance(weights)
    sampled = np.maximum(chance + how.scale * spread * noise, arbitration.FLOOR)
    found: FloatArray = sampled**weights.propensity * arbitration.rest(result.terms, weights)
    return found


class Room:
    """What may still be picked while slots are filled."""

    def __init__(self, inputs: Inputs, goods: Assortment, eligible: npt.NDArray[np.bool_]) -> None:
        self._goods = goods
        self._free = eligible.copy()
        self._spread = eligible.copy()
        self._taken: dict[str, int] = {}
        self._left: dict[str, int] = {}
        for period, window in contact.periods(inputs.moment, inputs.person.time_zone).items():
            for (kind, name), most in goods.limits.collections.items():
                if kind == window:
                    left = most - inputs.counts.get(f"{period}|c|{name}", 0)
                    self._left[name] = min(left, self._left.get(name, left))

    def has(self, index: int) -> bool:
        """May this offer still be picked?"""
        return bool(self._free[index])

    def allowed(self, placed: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Indices for the next slot: of categories that are not full, else of any."""
        spread = np.flatnonzero(self._spread & placed)
        return spread if len(spread) else np.flatnonzero(self._free & placed)

    def take(self, index: int) -> None:
        """An offer is picked."""
        goods = self._goods
        self._free[index] = self._spread[index] = False
        category = goods.category[index]
        self._taken[category] = self._taken.get(category, 0) + 1
        most = goods.policy.max_per_category
        if most is not None and self._taken[category] >= most:
            self._spread[goods.by_category[category]] = False
        for name in goods.offers[index].collections:
            if name in self._left:
                self._left[name] -= 1
                if self._left[name] <= 0:
                    members = goods.by_collection[name]
                    self._free[members] = self._spread[members] = False
