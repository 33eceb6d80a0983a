"""Which offer wins: score = P^p x C^c x V^v x L^l, as Pega's arbitration (propensity, context, value, levers). Pure.

P: probability of the objective in [0.0001, 1] (or the uplift); C >= 1: how well the offer fits the person's history
(1 + relevance in [0, 1] + affinity); V > 0: value of a success in the policy's currency, 1 where none is given; L > 0:
boost x (1 + priority / 1000). The logarithm of a score is a sum, so every term's contribution adds up exactly.
"""

from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from shared.contracts.policies import Arbitration

FloatArray = npt.NDArray[np.float64]
FLOOR = 1e-4


class Terms(msgspec.Struct, frozen=True):
    """The four factors of each offer, arrays of shape (k,); `uplift` has NaN where none is known."""

    propensity: FloatArray
    context: FloatArray
    value: FloatArray
    lever: FloatArray
    uplift: FloatArray | None = None

    def chance(self, weights: Arbitration) -> FloatArray:
        """What stands in P's place."""
        if not weights.use_uplift or self.uplift is None:
            return self.propensity
        return np.where(np.isnan(self.uplift), self.propensity, np.maximum(self.uplift, FLOOR))


def _power(base: FloatArray, exponent: float) -> FloatArray:
    return base if exponent == 1.0 else base**exponent


def rest(terms: Terms, weights: Arbitration) -> FloatArray:
    """C^c x V^v x L^l."""
    found: FloatArray = (
        _power(terms.context, weights.context) * _power(terms.value, weights.value) * _power(terms.lever, weights.lever)
    )
    return found


def scores(terms: Terms, weights: Arbitration) -> FloatArray:
    """Shape (k,), all > 0."""
    found: FloatArray = _power(terms.chance(weights), weights.propensity) * rest(terms, weights)
    return found


def contributions(terms: Terms, weights: Arbitration, index: int) -> dict[str, float]:
    """What each term adds to the logarithm of one offer's score."""
    used = {
        "uplift" if weights.use_uplift and terms.uplift is not None else "propensity": (
            terms.chance(weights), weights.propensity),
        "context": (terms.context, weights.context),
        "value": (terms.value, weights.value),
        "lever": (terms.lever, weights.lever),
    }  # fmt: skip
    return {name: weight * float(np.log(array[index])) for name, (array, weight) in used.items()}


def difference(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """Term by term, by how much `one` leads; the sum is the difference of the logarithms of the scores."""
    return {name: one[name] - other[name] for name in one}
