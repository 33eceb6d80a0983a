"""A synthetic population with planted preferences, sleeping dogs and drift. Pure and seeded.

A person has three observable traits; an offer appeals by a linear function of them, through a logistic curve. Some people
are sleeping dogs: being shown one of the "pushy" offers makes them less likely to buy than being left alone. Half way
through, tastes drift: the offers' coefficients are dealt anew.
"""

import msgspec
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
TRAITS = ("thrift", "novelty", "health")
ORGANIC = 0.15  # chance that a sleeping dog buys when left alone
_PUSHY_SHARE, _DOG_SHARE = 0.2, 0.15


class World(msgspec.Struct, frozen=True):
    """People (n, 3) with a group (0 or 1) each; appeal (2 phases, k, 4): intercept and trait coefficients."""

    seed: int
    days: int
    traits: FloatArray
    group: npt.NDArray[np.int64]
    dog: npt.NDArray[np.bool_]
    pushy: npt.NDArray[np.bool_]
    appeal: FloatArray

    @property
    def offers(self) -> list[str]:
        """The offers' ids."""
        return [f"offer-{n:02}" for n in range(self.appeal.shape[1])]

    def phase(self, day: int) -> int:
        """0 before the drift, 1 after."""
        return int(day >= self.days / 2)

    def chances(self, day: int) -> FloatArray:
        """Chance of a click, people x offers, on a day."""
        x = np.column_stack([np.ones(len(self.traits)), self.traits])
        found: FloatArray = 1 / (1 + np.exp(-(x @ self.appeal[self.phase(day)].T)))
        found[np.ix_(self.dog, self.pushy)] *= 0.1
        return found

    def moved(self, trait: str, by: float) -> "World":
        """The same world after its people have changed: everybody has so much more of a trait."""
        traits = self.traits.copy()
        traits[:, TRAITS.index(trait)] += by
        return msgspec.structs.replace(self, traits=traits)


def make_world(seed: int, *, people: int, offers: int, days: int) -> World:
    """The world of a seed."""
    draw = np.random.default_rng(seed)
    appeal = np.concatenate([draw.normal(-2.2, 0.5, (2, offers, 1)), draw.normal(0, 0.9, (2, offers, 3))], axis=2)
    return World(
        seed=seed, days=days, traits=draw.normal(size=(people, 3)), group=draw.integers(0, 2, people),
        dog=draw.random(people) < _DOG_SHARE, pushy=draw.random(offers) < _PUSHY_SHARE, appeal=appeal,
    )  # fmt: skip


def upside_down(chances: FloatArray) -> FloatArray:
    """What somebody would record who lies: each person's chances of a click, the best offer's given to the worst."""
    rank = np.argsort(np.argsort(chances, axis=1), axis=1)
    found: FloatArray = np.take_along_axis(np.sort(chances, axis=1), chances.shape[1] - 1 - rank, axis=1)
    return found


class Visit(msgspec.Struct, frozen=True):
    """One visit: who, when (second of the day), and the luck that decides about a click whatever is shown."""

    person: int
    second: int
    luck: float


def visits(world: World, day: int) -> list[Visit]:
    """Everybody once a day, in a random order; the same for every policy of a seed (common random numbers)."""
    draw = np.random.default_rng([world.seed, day])
    order = draw.permutation(len(world.traits))
    seconds = np.sort(draw.integers(6 * 3600, 22 * 3600, len(order)))
    return [Visit(int(p), int(s), float(u)) for p, s, u in zip(order, seconds, draw.random(len(order)), strict=True)]
