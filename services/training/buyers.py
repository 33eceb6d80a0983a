"""BG/NBD and Gamma-Gamma: how often a customer will buy again, and for how much. Pure; maximum likelihood by L-BFGS.

BG/NBD: Fader, Hardie, Lee, Marketing Science 2005 (24:2). Gamma-Gamma: Fader, Hardie 2013, "The Gamma-Gamma model of monetary
value". On CDNOW the parameters are the paper's (r 0.243, alpha 4.414, a 0.793, b 2.426), see `tests/training`.
"""

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import betaln, gammaln, hyp2f1

FloatArray = npt.NDArray[np.float64]
_BOUND = 8.0


class Summary(msgspec.Struct):
    """Customers (n,): repeat purchases, time of the last one, time observed (same unit), mean value of repeat purchases (0 if none)."""

    frequency: FloatArray
    recency: FloatArray
    age: FloatArray
    value: FloatArray


class BgNbd(msgspec.Struct):
    """Purchase rates are gamma (r, alpha) distributed, drop-out after a purchase beta (a, b)."""

    r: float
    alpha: float
    a: float
    b: float

    def expected(self, s: Summary, horizon: float) -> FloatArray:
        """Expected purchases in the next `horizon` units of time, shape (n,) (equation 10 of the paper)."""
        r, alpha, a, b = self.r, self.alpha, self.a, self.b
        x, t_x, age = s.frequency, s.recency, s.age
        z = horizon / (alpha + age + horizon)
        series = hyp2f1(r + x, b + x, a + b + x - 1, z)
        growth = 1 - ((alpha + age) / (alpha + age + horizon)) ** (r + x) * series
        alive = np.where(x > 0, a / (b + np.maximum(x, 1) - 1) * ((alpha + age) / (alpha + t_x)) ** (r + x), 0.0)
        return np.asarray((a + b + x - 1) / (a - 1) * growth / (1 + alive))


def fit_bg_nbd(s: Summary) -> BgNbd:
    """By maximum likelihood (equation 6 of the paper), times scaled for the search."""
    scale = max(float(s.age.max()), 1e-9) / 10
    x, t_x, age = s.frequency, s.recency / scale, s.age / scale

    def loss(log: FloatArray) -> float:
        r, alpha, a, b = np.exp(log)
        common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
        still = betaln(a, b + x) - betaln(a, b) - (r + x) * np.log(alpha + age)
        gone = np.where(
            x > 0, betaln(a + 1, b + np.maximum(x, 1) - 1) - betaln(a, b) - (r + x) * np.log(alpha + t_x), -np.inf
        )
        return float(-(common + np.logaddexp(still, gone)).mean())

    found = minimize(loss, np.zeros(4), method="L-BFGS-B", bounds=[(-_BOUND, _BOUND)] * 4)
    r, alpha, a, b = (float(v) for v in np.exp(found.x))
    return BgNbd(r, alpha * scale, a, b)


class GammaGamma(msgspec.Struct):
    """Values of a customer's purchases are gamma (p, nu), nu is gamma (q, gamma) distributed over customers."""

    p: float
    q: float
    v: float

    def expected(self, s: Summary) -> FloatArray:
        """Expected mean value of a purchase, shape (n,); the population's for who never came back."""
        population = self.v * self.p / (self.q - 1) if self.q > 1 else float(np.mean(s.value[s.frequency > 0]))
        weight = self.p * s.frequency / (self.p * s.frequency + self.q - 1)
        return np.asarray((1 - weight) * population + weight * s.value)


def fit_gamma_gamma(s: Summary) -> GammaGamma:
    """By maximum likelihood on customers with repeat purchases of a positive value."""
    known = (s.frequency > 0) & (s.value > 0)
    x, m = s.frequency[known], s.value[known]
    scale = float(m.mean())
    m = m / scale

    def loss(log: FloatArray) -> float:
        p, q, v = np.exp(log)
        found = (gammaln(p * x + q) - gammaln(p * x) - gammaln(q) + q * np.log(v) + (p * x - 1) * np.log(m) + p * x * np.log(x)
                 - (p * x + q) * np.log(x * m + v))  # fmt: skip
        return float(-found.mean())

    found = minimize(loss, np.zeros(3), method="L-BFGS-B", bounds=[(-_BOUND, _BOUND)] * 3)
    p, q, v = (float(v) for v in np.exp(found.x))
    return GammaGamma(p, q, v * scale)


def summarise(
    customer: npt.NDArray[np.str_], day: FloatArray, value: FloatArray, end: float
) -> tuple[npt.NDArray[np.str_], Summary]:
    """Customers and their summary up to a day, in weeks; purchases of one day are one purchase, the first is not a repeat."""
    keep = day <= end
    people, place = np.unique(customer[keep], return_inverse=True)
    order = np.lexsort((day[keep], place))
    place, when, worth = place[order], day[keep][order], value[keep][order]
    fresh = np.ones(len(place), dtype=bool)
    fresh[1:] = (place[1:] != place[:-1]) | (when[1:] != when[:-1])
    block = np.cumsum(fresh) - 1
    total = np.bincount(block, weights=worth)
    place, when = place[fresh], when[fresh]
    first = np.ones(len(place), dtype=bool)
    first[1:] = place[1:] != place[:-1]
    begun = when[first]
    count = np.bincount(place, minlength=len(people)).astype(np.float64) - 1
    last = np.zeros(len(people))
    np.maximum.at(last, place, when)
    spent = np.bincount(place, weights=np.where(first, 0.0, total), minlength=len(people))
    return people, Summary(count, (last - begun) / 7, (end - begun) / 7, spent / np.maximum(count, 1))
