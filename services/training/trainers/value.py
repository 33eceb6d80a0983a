"""Lifetime value: purchases to come (BG/NBD) times their value (Gamma-Gamma), judged on a time that the fit never saw.

The simple rule to beat: everybody goes on as before (own rate of repeat purchases, own mean value).
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from services.training import buyers, metrics, predictions
from services.training.errors import BadDataError
from services.training.progress import Told
from services.training.trained import Order, Trained
from shared.contracts.training import Dataset, DataStamp, Figure
from shared.settings import load_settings

FloatArray = npt.NDArray[np.float64]
PURCHASES, VALUE = "predictedPurchases", "predictedValue"
_LEAST = 100
_LIMIT = f"a customer's value is not a decision's score: import {predictions.FILE}, rules and policies then read it as an attribute"


class Purchases(msgspec.Struct):
    """Customer, day (ordinal number) and value of every purchase."""

    name: str
    customer: npt.NDArray[np.str_]
    day: FloatArray
    value: FloatArray


def plan(dataset: Dataset, order: Order) -> Callable[[Told], Trained]:
    """Read the purchases, then train."""
    folder = load_settings().atelier_data / "datasets"

    def run(told: Told) -> Trained:
        told("data", 0, 1)
        return train(_purchases(dataset, folder), order, told)

    return run


def _purchases(dataset: Dataset, folder: Path) -> Purchases:
    if dataset.source == "cdnow":
        from services.training.sources import cdnow

        return Purchases(cdnow.NAME, *cdnow.read(folder))
    from services.training.sources import table

    columns = dataset.columns
    if (
        dataset.path is None
        or columns is None
        or columns.entity is None
        or columns.observed_at is None
        or columns.value is None
    ):
        raise BadDataError("dataset: a table of purchases needs `path`, `entity`, `observed_at` and `value`")
    customer, seconds, value = table.purchases(table.read(Path(dataset.path)), columns)
    return Purchases(
        Path(dataset.path).name, customer, np.floor(seconds / 86_400) + dt.date(1970, 1, 1).toordinal(), value
    )


def train(bought: Purchases, order: Order, told: Told) -> Trained:
    """Fitted on the first half of the time, judged on the second.

    Raises:
        BadDataError: too few customers who came back.
    """
    split = float(order.parameters.get("split") or 0.5)
    first, last = float(bought.day.min()), float(bought.day.max())
    cut = float(order.parameters.get("cut_day") or np.floor(first + (last - first) * split))
    people, known = buyers.summarise(bought.customer, bought.day, bought.value, cut)
    if int((known.frequency > 0).sum()) < _LEAST:
        raise BadDataError(
            f"customers: {int((known.frequency > 0).sum())} bought again before the split; {_LEAST} are needed"
        )
    told("fit", 0, 2)
    model = buyers.fit_bg_nbd(known)
    told("fit", 1, 2)
    worth = buyers.fit_gamma_gamma(known)
    told("fit", 2, 2)
    weeks = (last - cut) / 7
    count = model.expected(known, weeks)
    value = count * worth.expected(known)
    later = (bought.day > cut) & np.isin(bought.customer, people)
    place = np.searchsorted(people, bought.customer[later])
    pair = np.unique(np.column_stack([place, bought.day[later]]), axis=0)[:, 0].astype(np.int64)
    seen = np.bincount(pair, minlength=len(people)).astype(np.float64)
    spent = np.bincount(place, weights=bought.value[later], minlength=len(people)).astype(np.float64)
    own = known.frequency / np.maximum(known.age, 1) * weeks
    figures = _figures(seen, spent, count, value, own, own * known.value, order.seed)
    stamp = DataStamp(name=bought.name, hash=_hash(bought), rows=len(bought.day), columns=3, positives=int((known.frequency > 0).sum()),
                      start=_moment(first), end=_moment(last))  # fmt: skip
    body = {"bgNbd": msgspec.to_builtins(model), "gammaGamma": msgspec.to_builtins(worth), "cutDay": cut}
    return Trained(
        algorithm="BG/NBD and Gamma-Gamma, maximum likelihood", data=stamp, files={"model.json": msgspec.json.encode(body)}, figures=figures,
        people={predictions.FILE: _everybody(bought, model, worth, weeks, last, order.model_key)},
        beats_baseline=figures[0].value < (figures[0].baseline or 0), baseline="everybody goes on as before",
        parameters={**body["bgNbd"], **body["gammaGamma"]}, inputs=["frequency", "recency", "age", "value"], limits=[_LIMIT],
        notes=[f"{len(people)} customers, {weeks:.0f} weeks ahead; {predictions.FILE}: as many weeks after the last day"],
    )  # fmt: skip


def _everybody(
    bought: Purchases, model: buyers.BgNbd, worth: buyers.GammaGamma, weeks: float, last: float, model_key: str
) -> bytes:
    """Purchases and value to come after the last day in as many weeks as were judged, of every customer."""
    people, now = buyers.summarise(bought.customer, bought.day, bought.value, last)
    count = model.expected(now, weeks)
    told = zip(people.tolist(), count.tolist(), (count * worth.expected(now)).tolist(), strict=True)
    rows = ((who, {PURCHASES: round(n, 6), VALUE: round(v, 4)}) for who, n, v in told)
    return predictions.lines(model_key, _moment(last), rows)


def _figures(
    seen: FloatArray,
    spent: FloatArray,
    count: FloatArray,
    value: FloatArray,
    own: FloatArray,
    own_value: FloatArray,
    seed: int,
) -> list[Figure]:
    def error(truth: FloatArray, said: FloatArray, rows: npt.NDArray[np.int64] | slice = slice(None)) -> float:
        return float(np.abs(truth[rows] - said[rows]).mean())

    low, high = metrics.interval(lambda r: error(seen, count, r), len(seen), seed, draws=200)
    lower, upper = metrics.interval(lambda r: error(spent, value, r), len(seen), seed, draws=200)
    return [
        Figure(name="mean_absolute_error_purchases", value=error(seen, count), low=low, high=high, baseline=error(seen, own), higher_is_better=False),
        Figure(name="mean_absolute_error_value", value=error(spent, value), low=lower, high=upper, baseline=error(spent, own_value),
               higher_is_better=False),
        Figure(name="total_purchases_ratio", value=float(count.sum() / max(seen.sum(), 1)), baseline=float(own.sum() / max(seen.sum(), 1)),
               note="predicted over real; 1 is right"),
        Figure(name="total_value_ratio", value=float(value.sum() / max(spent.sum(), 1e-9)), baseline=float(own_value.sum() / max(spent.sum(), 1e-9)),
               note="predicted over real; 1 is right"),
        Figure(name="rank_correlation_value", value=_spearman(value, spent), baseline=_spearman(own_value, spent)),
    ]  # fmt: skip


def _spearman(a: FloatArray, b: FloatArray) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)


def _hash(bought: Purchases) -> str:
    import hashlib

    digest = hashlib.sha256("\0".join(bought.customer.tolist()).encode())
    digest.update(bought.day.tobytes() + bought.value.tobytes())
    return digest.hexdigest()


def _moment(day: float) -> dt.datetime:
    return dt.datetime.combine(dt.date.fromordinal(int(day)), dt.time(), dt.UTC)
