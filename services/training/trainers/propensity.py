"""Propensity: the calibrated probability of an outcome.

The simple rule to beat is the data set's own baseline column, else a logistic regression on the single best column.
"""

import datetime as dt

import numpy as np
import numpy.typing as npt

from services.training import checks, learners, metrics, tuning
from services.training.errors import BadDataError
from services.training.frames import Frame, spread
from services.training.progress import Told
from services.training.trained import Order, Trained
from shared.contracts.policies import ScorerModel
from shared.contracts.training import DataStamp, Figure

FloatArray = npt.NDArray[np.float64]
_SPECIAL = set(',"[]{}: \t')
_RESIDUAL = 1e-6


def train(frame: Frame, order: Order, told: Told, *, offers: dict[str, dict[str, float]] | None = None) -> Trained:
    """A calibrated model with its evaluation on the frame's test rows.

    Args:
        frame: data that `checks.examine` has passed, with test rows.
        order: seed, trials, fixed parameters (`learner` is one of them).
        told: progress.
        offers: offer -> its `offer.*` columns; they become intercepts of a linear scorer.
    """
    frame = nameable(frame)
    chosen = tuning.choose(
        frame, trials=order.trials, seed=order.seed, threads=order.threads, told=told, fixed=order.parameters
    )
    told("fit", 0, 1)
    held = tuning.folds(frame, order.seed)
    raw = tuning.out_of_fold(frame, held, chosen.learner, chosen.parameters, seed=order.seed, threads=order.threads)
    known = np.isfinite(raw)
    slope, shift = learners.platt(raw[known], frame.y[known])
    rest = ~frame.test
    model = learners.fit(chosen.learner, frame.columns, frame.x[rest], frame.y[rest], chosen.parameters, seed=order.seed,
                         threads=order.threads).scaled(slope, shift)  # fmt: skip
    told("fit", 1, 1)
    x, y = frame.x[frame.test], frame.y[frame.test]
    p = learners.probability(model.log_odds(x))
    figures = evaluated(frame, p, order.seed)
    area = figures[0]
    left = learners.residual(model, x)
    notes = [*frame.notes, f"calibrated on out-of-fold log-odds: x {slope:.4f} {shift:+.4f}, folded into the model"]
    if chosen.tried:
        notes.append(
            f"{chosen.tried} settings tried, {chosen.pruned} of them given up early; cross-validated log loss {chosen.loss:.5f}"
        )
    beats = area.baseline is not None and area.value > area.baseline
    return Trained(
        algorithm={"linear": "ridge logistic regression", "trees": "boosted trees (LightGBM)"}[chosen.learner] + ", Platt-calibrated",
        data=stamp(frame), files={"model.txt" if chosen.learner == learners.TREES else "model.json": model.encode()},
        figures=figures, beats_baseline=beats, baseline=frame.baseline_name or "the best single column",
        parameters={"learner": chosen.learner, **chosen.parameters}, inputs=frame.columns,
        importance=learners.importance(model, x), attribution_residual=left, reliability=metrics.reliability(y, p), notes=notes,
        limits=[] if left < _RESIDUAL else [f"contributions miss the prediction by up to {left:.1e}"],
        scorer=scorer_of(model, offers or {}),
    )  # fmt: skip


def evaluated(frame: Frame, p: FloatArray, seed: int) -> list[Figure]:
    """Area under the curve first, then what tells calibration; intervals draw entities, not rows."""
    y = frame.y[frame.test]
    units = spread(frame.entity[frame.test])
    rule = _baseline(frame)
    rate = float(frame.y[~frame.test].mean())
    low, high = metrics.interval(lambda rows: metrics.area_under_curve(y[rows], p[rows]), len(y), seed, units=units)
    lower, upper = metrics.interval(lambda rows: metrics.log_loss(y[rows], p[rows]), len(y), seed, units=units)
    flat = np.full(len(y), rate)
    return [
        Figure(name="area_under_curve", value=metrics.area_under_curve(y, p), low=low, high=high,
               baseline=metrics.area_under_curve(y, rule)),
        Figure(name="log_loss", value=metrics.log_loss(y, p), low=lower, high=upper, baseline=metrics.log_loss(y, flat),
               higher_is_better=False, note="baseline: the training rate for everybody"),
        Figure(name="brier", value=metrics.brier(y, p), baseline=metrics.brier(y, flat), higher_is_better=False),
        Figure(name="calibration_error", value=metrics.calibration_error(y, p), higher_is_better=False,
               note="ten bins with equal numbers of rows"),
    ]  # fmt: skip


def _baseline(frame: Frame) -> FloatArray:
    if frame.baseline is not None:
        return frame.baseline[frame.test]
    rest = ~frame.test
    strength = [checks.separation(frame.x[rest, n], frame.y[rest]) for n in range(len(frame.columns))]
    best = int(np.argmax(strength))
    column = frame.x[:, best]
    filled = np.where(np.isfinite(column), column, np.nanmedian(column[rest]))
    up = metrics.area_under_curve(frame.y[rest], filled[rest]) >= 0.5  # noqa: PLR2004
    found: FloatArray = filled[frame.test] * (1 if up else -1)
    return found


def nameable(frame: Frame) -> Frame:
    """Without columns whose names LightGBM's text format cannot hold."""
    bad = [name for name in frame.columns if set(name) & _SPECIAL]
    if not bad:
        return frame
    if len(bad) == len(frame.columns):
        raise BadDataError(
            f"columns: the name of every column has a blank or a bracket ({', '.join(bad[:5])}): rename them"
        )
    found = frame.only([name for name in frame.columns if name not in bad])
    found.notes = [*frame.notes, f"columns left out for blanks or brackets in their names: {', '.join(bad[:5])}"]
    return found


def scorer_of(
    model: learners.Model, offers: dict[str, dict[str, float]], control: learners.Model | None = None
) -> ScorerModel:
    """What decisions loads. A linear model's `offer.*` weights become an intercept of each offer."""
    if isinstance(model, learners.TreesModel):
        body = {"model": model.text}
        if isinstance(control, learners.TreesModel):
            body["control"] = control.text
        return ScorerModel(model_id="unversioned", kind="trees", body=body)
    mine: dict[str, float] = {}
    theirs: dict[str, float] = {}
    for name, weight in zip(model.columns, model.weights, strict=True):
        (theirs if name.startswith("offer.") else mine)[name] = weight
    lines = {
        offer: {"intercept": sum(theirs.get(name, 0.0) * value for name, value in values.items())}
        for offer, values in offers.items()
    }
    return ScorerModel(
        model_id="unversioned", kind="linear", body={"intercept": model.intercept, "weights": mine, "offers": lines}
    )


def stamp(frame: Frame) -> DataStamp:
    """The frame's name, hash and extent."""
    start, end = _extent(frame.time)
    return DataStamp(name=frame.name, hash=frame.origin or frame.hash, rows=len(frame.y), columns=len(frame.columns),
                     positives=int((frame.y > 0).sum()), start=start, end=end,
                     learnt_until=_extent(frame.time[~frame.test])[1])  # fmt: skip


def _extent(times: FloatArray) -> tuple[dt.datetime | None, dt.datetime | None]:
    known = times[np.isfinite(times)]
    if not len(known):
        return None, None
    return dt.datetime.fromtimestamp(float(known.min()), dt.UTC), dt.datetime.fromtimestamp(float(known.max()), dt.UTC)
