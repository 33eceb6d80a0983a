"""Two learners of a probability: boosted trees (LightGBM) and a ridge logistic regression. Both give log-odds.

Which one, and with which settings, is chosen by cross-validated log loss (see `tuning`): on some hundred successes the
straight line often wins, on many thousand the trees do. Both are calibrated by a line through their out-of-fold log-odds
(Platt 1999), which is folded into the model itself, so that what serves is calibrated and still adds up.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

FloatArray = npt.NDArray[np.float64]
TREES, LINEAR = "trees", "linear"
_CLIP = 30.0


class LinearModel(msgspec.Struct):
    """log-odds = intercept + sum of weight x value; a missing value counts as `fill`, the training mean."""

    columns: list[str]
    intercept: float
    weights: list[float]
    fill: list[float]

    def contributions(self, x: FloatArray) -> FloatArray:
        """Shape (n, d + 1): what each column adds to the log-odds against its mean, and the base in the last column."""
        fill, weights = np.array(self.fill), np.array(self.weights)
        parts = (np.where(np.isfinite(x), x, fill) - fill) * weights
        base = np.full((len(x), 1), self.intercept + float(fill @ weights))
        return np.hstack([parts, base])

    def log_odds(self, x: FloatArray) -> FloatArray:
        """Shape (n,)."""
        found: FloatArray = np.where(np.isfinite(x), x, np.array(self.fill)) @ np.array(self.weights) + self.intercept
        return found

    def scaled(self, slope: float, shift: float) -> "LinearModel":
        """With log-odds turned into slope x log-odds + shift."""
        return LinearModel(self.columns, slope * self.intercept + shift, [slope * w for w in self.weights], self.fill)

    def encode(self) -> bytes:
        """As JSON; the same model gives the same bytes."""
        return msgspec.json.encode(self)


class TreesModel:
    """A LightGBM model of objective binary."""

    def __init__(self, text: str) -> None:
        import lightgbm

        self._booster = lightgbm.Booster(model_str=text)
        self.columns: list[str] = self._booster.feature_name()

    def contributions(self, x: FloatArray) -> FloatArray:
        """Tree SHAP values (Lundberg et al. 2020), shape (n, d + 1), the base in the last column."""
        return np.asarray(self._booster.predict(x, pred_contrib=True, num_threads=1), dtype=np.float64)

    def log_odds(self, x: FloatArray) -> FloatArray:
        """Shape (n,)."""
        return np.asarray(self._booster.predict(x, raw_score=True, num_threads=1), dtype=np.float64)

    def scaled(self, slope: float, shift: float) -> "TreesModel":
        """With log-odds turned into slope x log-odds + shift: leaves multiplied, the shift put into the first tree's."""
        made = TreesModel(self.text)
        booster = made._booster
        for tree in booster.dump_model()["tree_info"]:
            number = tree["tree_index"]
            for leaf in range(tree["num_leaves"]):
                value = slope * booster.get_leaf_output(number, leaf) + (shift if number == 0 else 0.0)
                booster.set_leaf_output(number, leaf, value)
        return TreesModel(made.text)

    @property
    def text(self) -> str:
        """LightGBM's text format."""
        return str(self._booster.model_to_string())

    def encode(self) -> bytes:
        """The text; the same model gives the same bytes."""
        return self.text.encode()


Model = LinearModel | TreesModel


def fit_linear(
    columns: Sequence[str],
    x: FloatArray,
    y: FloatArray,
    parameters: Mapping[str, Any],
    weight: FloatArray | None = None,
) -> LinearModel:
    """Ridge logistic regression on standardised columns; `parameters`: `C`, the inverse of the penalty."""
    from sklearn.linear_model import LogisticRegression

    with np.errstate(all="ignore"):
        fill = np.array([column[np.isfinite(column)].mean() if np.isfinite(column).any() else 0.0 for column in x.T])
    filled = np.where(np.isfinite(x), x, fill)
    scale = filled.std(axis=0)
    scale[scale == 0] = 1.0
    made = LogisticRegression(C=float(parameters["C"]), max_iter=2000, tol=1e-6)
    made.fit((filled - fill) / scale, y, sample_weight=weight)
    weights = made.coef_[0] / scale
    intercept = float(made.intercept_[0]) - float(fill @ weights)
    return LinearModel(list(columns), intercept, [float(w) for w in weights], [float(f) for f in fill])


def settings_of(parameters: Mapping[str, Any], seed: int, threads: int) -> dict[str, Any]:
    """LightGBM's settings for reproducible trees."""
    return {
        "objective": "binary", "verbose": -1, "deterministic": True, "force_row_wise": True, "seed": seed, "num_threads": threads,
        "bagging_freq": 1, **{name: value for name, value in parameters.items() if name != "rounds"},
    }  # fmt: skip


def fit_trees(
    columns: Sequence[str], x: FloatArray, y: FloatArray, parameters: Mapping[str, Any], *, seed: int, threads: int = 2,
    weight: FloatArray | None = None,
) -> TreesModel:  # fmt: skip
    """Boosted trees; `parameters`: LightGBM's own and `rounds`."""
    import lightgbm

    data = lightgbm.Dataset(x, y, weight=weight, feature_name=list(columns), free_raw_data=True)
    made = lightgbm.train(settings_of(parameters, seed, threads), data, int(parameters.get("rounds", 200)))
    return TreesModel(str(made.model_to_string()))


def fit(
    learner: str, columns: Sequence[str], x: FloatArray, y: FloatArray, parameters: Mapping[str, Any], *, seed: int,
    threads: int = 2, weight: FloatArray | None = None,
) -> Model:  # fmt: skip
    """One of the two."""
    if learner == LINEAR:
        return fit_linear(columns, x, y, parameters, weight)
    return fit_trees(columns, x, y, parameters, seed=seed, threads=threads, weight=weight)


def probability(log_odds: FloatArray) -> FloatArray:
    """Of log-odds."""
    found: FloatArray = expit(np.clip(log_odds, -_CLIP, _CLIP))
    return found


def platt(log_odds: FloatArray, y: FloatArray) -> tuple[float, float]:
    """(slope, shift) that calibrate log-odds best in log loss; the slope stays positive, so no order changes.

    Targets are Platt's smoothed ones, so that separated classes give a finite line.
    """
    positive = float(y.sum())
    up, down = (positive + 1) / (positive + 2), 1 / (len(y) - positive + 2)
    target = np.where(y > 0, up, down)

    def loss(at: FloatArray) -> tuple[float, FloatArray]:
        slope = np.exp(at[0])
        z = slope * log_odds + at[1]
        p = probability(z)
        error = p - target
        value = float((np.logaddexp(0, z) - target * z).mean())
        return value, np.array([float((error * log_odds).mean()) * slope, float(error.mean())])

    found = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-3.0, 3.0), (-20.0, 20.0)])
    return float(np.exp(found.x[0])), float(found.x[1])


def residual(model: Model, x: FloatArray) -> float:
    """By how much the contributions of a prediction fail to add up to it, at most."""
    parts = model.contributions(x)
    return float(np.abs(parts.sum(axis=1) - model.log_odds(x)).max(initial=0.0))


def importance(model: Model, x: FloatArray, most: int = 30) -> dict[str, float]:
    """Mean absolute contribution of each column in log-odds, largest first."""
    mean = np.abs(model.contributions(x)[:, :-1]).mean(axis=0)
    order = np.argsort(-mean, kind="stable")[:most]
    return {model.columns[n]: float(mean[n]) for n in order if mean[n] > 0}
