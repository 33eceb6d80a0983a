"""The tenant's own decisions with their rewards: one row for each item that was shown.

Inputs are what the decision was told of the person and the moment, as the log keeps them, and the offer's own fields. Only
decisions whose waiting time is over count: before that a missing reward is not a no. The last fifth in time is the test.
"""

import datetime as dt
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from services.training import rewards
from services.training.errors import BadDataError
from services.training.frames import Frame
from shared.clients.bundle import Clients
from shared.contracts.base import FieldError
from shared.contracts.catalog import Offer
from shared.contracts.decisions import LogQuery, LogRow
from shared.contracts.training import Dataset

_PAGE, _MOST = 1000, 400_000
_TEST_SHARE = 0.2
_OFFERS, _CATEGORIES = 60, 60
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Logged(msgspec.Struct):
    """Rows of the log of one feature space, and the names of their inputs."""

    rows: list[LogRow]
    names: list[str]
    notes: list[str]


async def read(clients: Clients, dataset: Dataset) -> Logged:
    """The log in the data set's window, of the feature space that most rows have.

    Raises:
        BadDataError: nothing was decided there that can be learnt from.
    """
    policy = await clients.decisions.policy()
    ripe = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=policy.reward.wait_seconds)
    end = (
        min(dataset.end or ripe, ripe) if not dataset.options.get("unripe") else dataset.end or dt.datetime.now(dt.UTC)
    )
    query = LogQuery(start=dataset.start or _EPOCH, end=max(end, _EPOCH + dt.timedelta(seconds=1)), limit=_PAGE)
    rows: list[LogRow] = []
    names: dict[str, list[str]] = {}
    while True:
        page = await clients.decisions.log(query)
        rows += page.rows
        names |= page.spaces
        if page.cursor is None or len(rows) >= _MOST:
            break
        query = msgspec.structs.replace(query, cursor=page.cursor)
    if not rows:
        message = f"no decision with an outcome that is due by {end.isoformat()} can be learnt from"
        raise BadDataError(f"dataset: {message}", errors=[FieldError(field="dataset", message=message)])
    spaces = Counter(row.space for row in rows)
    space, count = spaces.most_common(1)[0]
    notes = [f"{len(rows) - count} rows of other feature spaces left out"] if count < len(rows) else []
    return Logged([row for row in rows if row.space == space], names[space], notes)


async def frame(clients: Clients, dataset: Dataset) -> tuple[Frame, dict[str, dict[str, float]]]:
    """The rows as a frame, and every offer's own columns."""
    logged = await read(clients, dataset)
    offers = await catalog(clients)
    columns = offer_columns(list(offers.values()), Counter(row.offer_id for row in logged.rows))
    return assemble(logged, columns), columns


async def catalog(clients: Clients) -> dict[str, Offer]:
    """All offers by id."""
    found: dict[str, Offer] = {}
    cursor: str | None = None
    while True:
        page = await clients.retrieval.offers(cursor, 500)
        found |= {offer.offer_id: offer for offer in page.offers}
        cursor = page.cursor
        if cursor is None:
            return found


def offer_columns(offers: Sequence[Offer], shown: Counter[str]) -> dict[str, dict[str, float]]:
    """Offer -> column -> value, named as scorers of decisions name them: numbers, and one column a frequent value."""
    frequent = [key for key, _ in shown.most_common(_OFFERS)]
    by_category = Counter(offer.category for offer in offers if offer.category)
    categories = [name for name, _ in by_category.most_common(_CATEGORIES)]
    found: dict[str, dict[str, float]] = {}
    for offer in offers:
        values = {f"offer.offerId={key}": float(offer.offer_id == key) for key in frequent}
        values |= {f"offer.category={name}": float(offer.category == name) for name in categories}
        values["offer.price"] = float(offer.price.amount) if offer.price else 0.0
        values["offer.value"] = float(offer.value.amount) if offer.value else 0.0
        values["offer.priority"] = float(offer.priority)
        found[offer.offer_id] = values
    return found


def assemble(logged: Logged, columns: dict[str, dict[str, float]]) -> Frame:
    """Rows of the log beside their offers' columns; poisoned rewards are left out, see `rewards`."""
    names = [name for name in logged.names if name != "bias"]
    keep = [n for n, name in enumerate(logged.names) if name != "bias"]
    theirs = list(next(iter(columns.values()))) if columns else []
    known = [row for row in logged.rows if row.offer_id in columns]
    if not known:
        raise BadDataError("dataset: none of the offers that were shown is in the catalog any more")
    x = np.array([[*(row.x[k] for k in keep), *(columns[row.offer_id][name] for name in theirs)] for row in known])
    time = np.array([row.time.timestamp() for row in known])
    made = Frame(
        name="decision log", columns=[*names, *theirs], x=x, y=np.array([float(row.reward > 0) for row in known]), time=time,
        entity=np.array([f"{row.decision_id}/{row.slot}" for row in known]), test=time >= np.quantile(time, 1 - _TEST_SHARE),
        group=np.unique([row.decision_id for row in known], return_inverse=True)[1].astype(np.int64),
        source=np.array([f"{row.offer_id} {row.time:%Y-%m-%dT%H}" for row in known]), notes=list(logged.notes),
    )  # fmt: skip
    assert made.source is not None  # noqa: S101  (set above)
    cleaned = rewards.clean(made.y, made.source)
    made.notes += cleaned.notes
    made = made.rows(cleaned.keep)
    made.baseline, made.baseline_name = (
        own_rate(made, [row.offer_id for row, kept in zip(known, cleaned.keep, strict=True) if kept]),
        ("each offer's own smoothed success rate"),
    )
    return made


def own_rate(made: Frame, offers: list[str]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Each row's offer's success rate in the training rows, smoothed by 20 rows of the overall rate."""
    rest = ~made.test
    overall = float(made.y[rest].mean()) if rest.any() else 0.0
    names, place = np.unique(offers, return_inverse=True)
    wins = np.bincount(place[rest], weights=made.y[rest], minlength=len(names))
    count = np.bincount(place[rest], minlength=len(names))
    return np.asarray(((wins + 20 * overall) / (count + 20))[place], dtype=np.float64)
