"""Differences of two means that may be looked at as often as one likes. Pure.

Asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and
asymptotic confidence sequences" (arXiv 2103.06476), normal mixture, two-sided, tightest around `TUNED` persons.
"""

import math

import msgspec

TUNED = 1_000
LEAST = 100  # persons an arm before a normal approximation is taken


class Sums(msgspec.Struct, frozen=True):
    """n persons, the sum of their means and of the squares of these."""

    n: int
    y: float
    yy: float

    @property
    def mean(self) -> float:
        """Of the persons."""
        return self.y / self.n

    @property
    def variance(self) -> float:
        """Of one person."""
        return max((self.yy - self.y * self.y / self.n) / (self.n - 1), 0.0)


class Interval(msgspec.Struct, frozen=True):
    """An estimate with its always-valid interval."""

    value: float
    low: float
    high: float


def contrast(arm: Sums, other: Sums, factor: float, alpha: float) -> Interval | None:
    """The arm's mean minus `factor` times the other's; None while an arm has fewer than `LEAST` persons."""
    if min(arm.n, other.n) < LEAST:
        return None
    n = arm.n + other.n
    squared = arm.variance / arm.n + factor**2 * other.variance / other.n
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha)) + 1) / TUNED
    grown = n * rho2 + 1
    width = math.sqrt(squared * 2 * grown / (n * rho2) * math.log(math.sqrt(grown) / alpha))
    value = arm.mean - factor * other.mean
    return Interval(value, value - width, value + width)
