"""What there is to say about each household, computed from the import files alone: the table that the story picks from."""

from typing import Any

import duckdb
import msgspec

from services.demo.names import categories
from services.demo.shop import ShopFiles
from shared.contracts.profiles import ProfileUpsert

_PETS = ("cat food", "dog food", "cat litter", "pet treats and supplies")
_LAPSED_MIN_BASKETS, _LAPSED_FACTOR, _LAPSED_MIN_DAYS = 10, 4, 56

_SQL = f"""
WITH bought AS (SELECT *, time::DATE AS day FROM events WHERE type = 'commerce.purchases'),
newest AS (SELECT max(day) AS today FROM bought),
per_category AS (
    SELECT "profileId", category, count(DISTINCT "sessionId") AS baskets, min(day) AS first, max(day) AS last
    FROM bought WHERE category IS NOT NULL GROUP BY ALL
), silent AS (
    SELECT "profileId", category, baskets, date_diff('day', last, today) AS days
    FROM per_category, newest
    WHERE baskets >= {_LAPSED_MIN_BASKETS} AND category NOT IN (SELECT unnest($unspoken))
      AND date_diff('day', last, today)
          > greatest({_LAPSED_MIN_DAYS}, {_LAPSED_FACTOR} * date_diff('day', first, last) / (baskets - 1))
), lapsed AS (
    SELECT "profileId", arg_max(category, baskets * 1000 + days) AS lapsed_category, max(baskets) AS lapsed_baskets,
           arg_max(days, baskets * 1000 + days) // 7 AS lapsed_weeks
    FROM silent GROUP BY 1
), tops AS (
    SELECT "profileId", arg_max(category, (baskets, category)) AS top_category, max(baskets) AS top_baskets
    FROM per_category WHERE category NOT IN (SELECT unnest($unspoken)) GROUP BY 1
), coupons AS (
    SELECT "profileId", count(*) AS redemptions FROM events WHERE type = 'commerce.couponRedemptions' GROUP BY 1
)
SELECT b."profileId" AS profile_id, count(DISTINCT "sessionId") AS baskets, count(*) AS lines,
       sum(value)::DOUBLE AS spend, avg((discount > 0)::INT) AS discounted_share,
       coalesce(any_value(c.redemptions), 0) AS redemptions,
       date_diff('day', min(day), any_value(n.today)) AS history_days,
       date_diff('day', max(day), any_value(n.today)) AS silent_days,
       count(DISTINCT category) AS categories,
       any_value(t.top_category) AS top_category, coalesce(any_value(t.top_baskets), 0) AS top_baskets,
       count(DISTINCT "sessionId") FILTER (category = 'yogurt') AS yogurt_baskets,
       count(DISTINCT "sessionId") FILTER (category IN (SELECT unnest($alcohol))) AS alcohol_baskets,
       count(DISTINCT "sessionId") FILTER (category IN (SELECT unnest($infant))) AS infant_baskets,
       count(DISTINCT "sessionId") FILTER (category IN (SELECT unnest($pets))) AS pet_baskets,
       avg((department = 'produce')::INT) AS produce_share, avg((brand = 'Private')::INT) AS store_brand_share,
       any_value(l.lapsed_category) AS lapsed_category, coalesce(any_value(l.lapsed_baskets), 0) AS lapsed_baskets,
       coalesce(any_value(l.lapsed_weeks), 0) AS lapsed_weeks
FROM bought b CROSS JOIN newest n LEFT JOIN lapsed l USING ("profileId") LEFT JOIN tops t USING ("profileId")
LEFT JOIN coupons c USING ("profileId")
GROUP BY b."profileId" ORDER BY b."profileId"
"""  # noqa: S608  (own constants)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One household in numbers. Days count back from the newest purchase of the whole shop; money in the shop's currency.

    `lapsed_category` was bought in `lapsed_baskets` baskets and not for `lapsed_weeks` weeks; it and `top_category` are
    never sensitive ones. `household_size` is "" where the source has no demographics.
    """

    profile_id: str
    baskets: int
    lines: int
    spend: float
    discounted_share: float
    redemptions: int
    history_days: int
    silent_days: int
    categories: int
    top_category: str | None
    top_baskets: int
    yogurt_baskets: int
    alcohol_baskets: int
    infant_baskets: int
    pet_baskets: int
    produce_share: float
    store_brand_share: float
    lapsed_category: str | None
    lapsed_baskets: int
    lapsed_weeks: int
    household_size: str = ""
    personalize: bool = True
    email: bool = True

    @property
    def lines_per_basket(self) -> float:
        """How full the trolley is."""
        return self.lines / self.baskets


def household_figures(files: ShopFiles) -> list[Figures]:
    """One row a household, in the order of their ids; about a second."""
    stated = {profile.profile_id: _stated(profile) for profile in _profiles(files)}
    tagged = {
        tag: [entry.name for entry in categories().values() if entry.safety == tag] for tag in ("alcohol", "infant")
    }
    unspoken = [entry.name for entry in categories().values() if entry.safety]
    path = str(files.events).replace("'", "''")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE VIEW events AS SELECT * FROM read_parquet('{path}')")  # noqa: S608  (our own file)
        result = connection.execute(_SQL, {**tagged, "unspoken": unspoken, "pets": list(_PETS)})
        names = [column[0] for column in result.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    return [Figures(**row, **stated.get(row["profile_id"], {})) for row in rows]


def _profiles(files: ShopFiles) -> list[ProfileUpsert]:
    return [msgspec.json.decode(line, type=ProfileUpsert) for line in files.profiles.read_bytes().splitlines()]


def _stated(profile: ProfileUpsert) -> dict[str, Any]:
    consents = profile.consents
    if consents is msgspec.UNSET:
        return {"personalize": False, "email": False}
    size = profile.attributes.get("householdSize")
    return {
        "household_size": str(size.value) if size else "",
        "personalize": consents.personalize.content.val == "y",
        "email": consents.marketing.email is not None and consents.marketing.email.val == "y",
    }
