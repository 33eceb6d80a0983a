"""Scorers: probability of success (and uplift) of every offer for one context vector. Pure; one protocol, several kinds.

`prior`: the policy's prior for every offer, which the contextual models then correct reward by reward: their intercept
alone makes the estimate the smoothed success rate, so it is calibrated in the mean before any model is trained.
`linear`: a stored logistic model per offer, with a model of the untreated for uplift.
`trees`: LightGBM models over the context and the offer's own fields (see `trees`).
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from services.decisions import trees
from services.decisions.errors import BadModelError
from shared.contracts.base import FieldError
from shared.contracts.policies import ScorerModel

FloatArray = npt.NDArray[np.float64]
PRIOR = "prior"


class Scored(msgspec.Struct, frozen=True):
    """Arrays of shape (k,): propensity in (0, 1), uplift in (-1, 1) or None when no model says."""

    propensity: FloatArray
    uplift: FloatArray | None = None


class Scorer(Protocol):
    """What decisions need of a model."""

    version: str

    def score(self, x: FloatArray) -> Scored:
        """Every offer's figures for one context, x of shape (d,)."""
        ...


class PriorScorer:
    """The same propensity for every offer."""

    def __init__(self, prior: float, offers: int) -> None:
        self.version = f"prior-{prior:g}"
        self._scored = Scored(np.full(offers, prior))

    def score(self, x: FloatArray) -> Scored:
        """Every offer's figures."""
        del x
        return self._scored


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    intercept: float = 0.0
    weights: dict[str, float] = {}


class _Linear(_Line, forbid_unknown_fields=True):
    offers: dict[str, _Line] = {}
    control: _Line | None = None


def _sigmoid(z: FloatArray) -> FloatArray:
    found: FloatArray = 1.0 / (1.0 + np.exp(-np.clip(z, -30.0, 30.0)))
    return found


class LinearScorer:
    """Logistic: sigmoid(intercept + w x + intercept_offer + w_offer x); uplift: that minus the untreated's."""

    def __init__(self, model: ScorerModel, features: Sequence[str], offers: Sequence[str], digest: str) -> None:
        body = read_linear(model)
        self.version = f"{model.model_id}@{digest[:12]}"
        place = {name: n for n, name in enumerate(features)}
        self._w = np.zeros((len(offers), len(features)))
        self._b = np.full(len(offers), body.intercept)
        self._w += _weights(body.weights, place)
        for n, offer_id in enumerate(offers):
            own = body.offers.get(offer_id)
            if own:
                self._w[n] += _weights(own.weights, place)
                self._b[n] += own.intercept
        self._control = body.control
        self._cw = _weights(body.control.weights, place) if body.control else None

    def score(self, x: FloatArray) -> Scored:
        """Every offer's figures. einsum's own loops, not BLAS: the same bits wherever the arrays lie in memory."""
        treated = _sigmoid(np.einsum("kd,d->k", self._w, x) + self._b)
        if self._control is None or self._cw is None:
            return Scored(treated)
        untreated = _sigmoid(np.array([float((self._cw * x).sum()) + self._control.intercept]))
        return Scored(treated, treated - untreated[0])


def _weights(given: Mapping[str, float], place: Mapping[str, int]) -> FloatArray:
    found = np.zeros(len(place))
    for name, value in given.items():
        if name in place:
            found[place[name]] = value
    return found


def read_linear(model: ScorerModel) -> _Linear:
    """The body of a linear model, checked.

    Raises:
        BadModelError: a field is unknown or not a finite number.
    """
    try:
        body = msgspec.convert(model.body, _Linear)
    except msgspec.ValidationError as error:
        raise BadModelError(f"body: {error}", errors=[FieldError(field="body", message=str(error))]) from error
    lines: list[tuple[str, _Line]] = [("body", body), *((f"body.offers.{k}", v) for k, v in body.offers.items())]
    lines += [("body.control", body.control)] if body.control else []
    for path, line in lines:
        for name, value in {"intercept": line.intercept, **line.weights}.items():
            if not np.isfinite(value):
                message = f"{path}: {name} is not a finite number"
                raise BadModelError(message, errors=[FieldError(field=path, message=message, given=str(value))])
    return body


class TreesScorer:
    """Probabilities of a LightGBM model; uplift: that minus another one's, of the untreated."""

    def __init__(
        self, model: ScorerModel, features: Sequence[str], offers: int, digest: str, column: trees.Column
    ) -> None:
        body = trees.read_trees(model)
        self.version = f"{model.model_id}@{digest[:12]}"
        self._treated = trees.Rows(trees.forest(body.model), features, offers, column)
        self._untreated = trees.Rows(trees.forest(body.control), features, offers, column) if body.control else None

    def score(self, x: FloatArray) -> Scored:
        """Every offer's figures."""
        treated = self._treated.predict(x)
        return Scored(treated, treated - self._untreated.predict(x) if self._untreated else None)


def read(model: ScorerModel) -> None:
    """Check a model before it is stored.

    Raises:
        BadModelError: its body cannot be used.
    """
    if model.kind == "trees":
        trees.read_trees(model)
    else:
        read_linear(model)


def bind(
    name: str, models: Mapping[str, tuple[ScorerModel, str]], prior: float, features: Sequence[str],
    offers: Sequence[str], column: trees.Column,
) -> Scorer:  # fmt: skip
    """The scorer a policy names, laid out for a list of offers. A model that is gone scores like the prior.

    Args:
        name: the policy's scorer.
        models: model id -> (model, digest).
        prior: the policy's prior.
        features: names of the context vector's entries.
        offers: ids in the order of the scores.
        column: an offer field -> its value for each offer.
    """
    if name not in models:
        return PriorScorer(prior, len(offers))
    model, digest = models[name]
    if model.kind == "trees":
        return TreesScorer(model, features, len(offers), digest, column)
    return LinearScorer(model, features, offers, digest)
