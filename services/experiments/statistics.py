"""Readouts that may be looked at any time: confidence sequences, CUPED, sample ratios. Pure.

Confidence sequence: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic
confidence sequences" (arXiv 2103.06476), normal mixture, tightest around `TUNED` units. CUPED: Deng, Xu, Kohavi, Walker,
WSDM 2013. Sample ratio: Lindon and Malek (arXiv 2011.03567), a Dirichlet-multinomial Bayes factor whose inverse is a
p-value at every look.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec

ALPHA = 0.05
TUNED = 5_000
MIN_UNITS = 200  # an asymptotic sequence starts when a normal approximation holds
RATIO_ALPHA = 0.001
_CONCENTRATION = 1_000.0


class Sums(msgspec.Struct, frozen=True):
    """Sufficient statistics of one arm: n units, sums of y, y^2, x, x^2, xy (x: the value before the experiment)."""

    n: int
    y: float
    yy: float
    x: float = 0.0
    xx: float = 0.0
    xy: float = 0.0

    def __add__(self, other: "Sums") -> "Sums":
        """Both arms together."""
        return Sums(self.n + other.n, self.y + other.y, self.yy + other.yy, self.x + other.x, self.xx + other.xx,
                    self.xy + other.xy)  # fmt: skip

    def variance(self, theta: float = 0.0) -> float:
        """The sample variance of y - theta x; 0 for fewer than two units."""
        if self.n < 2:  # noqa: PLR2004
            return 0.0
        total = self.y - theta * self.x
        squares = self.yy - 2 * theta * self.xy + theta * theta * self.xx
        return max((squares - total * total / self.n) / (self.n - 1), 0.0)


class Interval(msgspec.Struct, frozen=True):
    """An estimate with its always-valid interval."""

    value: float
    low: float
    high: float


def theta(pooled: Sums) -> float:
    """CUPED's coefficient cov(x, y) / var(x), 0 without a covariate."""
    if pooled.n < 2:  # noqa: PLR2004
        return 0.0
    spread = pooled.xx - pooled.x * pooled.x / pooled.n
    return (pooled.xy - pooled.x * pooled.y / pooled.n) / spread if spread > 1e-12 * max(pooled.xx, 1.0) else 0.0


def mean(arm: Sums, coefficient: float, centre: float) -> float:
    """The arm's mean after CUPED; `centre` is the pooled mean of the covariate."""
    return (arm.y - coefficient * (arm.x - arm.n * centre)) / arm.n


def half_width(variance: float, n: int, alpha: float) -> float:
    """Of the confidence sequence around an estimate with this (squared) standard error after n units in all."""
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha)) + 1) / TUNED
    grown = n * rho2 + 1
    return math.sqrt(variance * 2 * grown / (n * rho2) * math.log(math.sqrt(grown) / alpha))


def difference(arm: Sums, control: Sums, alpha: float) -> tuple[Interval, float] | None:
    """(difference of means, share of variance that CUPED took away); None before both arms have `MIN_UNITS`."""
    if min(arm.n, control.n) < MIN_UNITS:
        return None
    pooled = arm + control
    coefficient, centre = theta(pooled), pooled.x / pooled.n
    plain = arm.variance() / arm.n + control.variance() / control.n
    squared = arm.variance(coefficient) / arm.n + control.variance(coefficient) / control.n
    value = mean(arm, coefficient, centre) - mean(control, coefficient, centre)
    width = half_width(squared, pooled.n, alpha)
    return Interval(value, value - width, value + width), (1 - squared / plain if plain > 0 else 0.0)


def contrast(arm: Sums, control: Sums, factor: float, alpha: float) -> Interval | None:
    """The arm's mean minus `factor` times the control's; needs no positive mean, unlike `lift`."""
    if min(arm.n, control.n) < MIN_UNITS:
        return None
    pooled = arm + control
    coefficient, centre = theta(pooled), pooled.x / pooled.n
    squared = arm.variance(coefficient) / arm.n + factor**2 * control.variance(coefficient) / control.n
    value = mean(arm, coefficient, centre) - factor * mean(control, coefficient, centre)
    width = half_width(squared, pooled.n, alpha)
    return Interval(value, value - width, value + width)


def lift(arm: Sums, control: Sums, alpha: float) -> Interval | None:
    """The relative difference, by the delta method on the logarithm of the ratio; None where a mean is not positive."""
    if min(arm.n, control.n) < MIN_UNITS:
        return None
    pooled = arm + control
    coefficient, centre = theta(pooled), pooled.x / pooled.n
    one, other = mean(arm, coefficient, centre), mean(control, coefficient, centre)
    if one <= 0 or other <= 0:
        return None
    squared = arm.variance(coefficient) / arm.n / one**2 + control.variance(coefficient) / control.n / other**2
    width, centre_log = half_width(squared, pooled.n, alpha), math.log(one / other)
    return Interval(one / other - 1, math.exp(centre_log - width) - 1, math.exp(min(centre_log + width, 700)) - 1)


def ratio_p_value(observed: Mapping[str, int], expected: Mapping[str, float]) -> float:
    """Are these counts drawn with these shares? In (0, 1], valid at every look, 1 without data."""
    names = list(expected)
    counts = [observed.get(name, 0) for name in names]
    total = sum(counts)
    if total == 0:
        return 1.0
    prior = [_CONCENTRATION * expected[name] for name in names]
    log_bayes = math.lgamma(sum(prior)) - math.lgamma(sum(prior) + total)
    for name, count, weight in zip(names, counts, prior, strict=True):
        log_bayes += math.lgamma(weight + count) - math.lgamma(weight) - count * math.log(expected[name])
    return math.exp(-max(log_bayes, 0.0)) if log_bayes < 700 else 0.0  # noqa: PLR2004  (exp's range)


def split(alpha: float, comparisons: Sequence[object]) -> float:
    """Bonferroni: each comparison's share of the error."""
    return alpha / max(1, len(comparisons))
