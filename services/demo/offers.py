"""A catalog of offers out of real campaigns: what was on coupon, and what people who used one really saved.

The source has no face values. It has which household redeemed which coupon on which day, which products a coupon covers,
and the coupon saving of every line sold, so the value is the median saving of the lines that were redeemed on. Where too
few were, it is the median saving of covered lines in the weeks of the campaign. Groceries that had no coupon come as
price cuts, the median of their real shelf discounts.
"""

import datetime as dt
import math
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import msgspec

from services.demo.names import Category, Statements, category, department, statements
from services.demo.pictures import asset_id
from shared.contracts.catalog import Condition, Discount, Offer

# From a Monday: at least nine weeks from any day, whatever the campaign; longer for the longer campaigns.
SHORTEST_WEEKS = 10
EXTRA_WEEKS = 5
PER_CATEGORY = 2
PRICE_CUTS = 40
_ROUND_TO = Decimal("0.05")
_CHANNELS = ("email", "push", "sms", "web")
# No shop advertises tobacco; bookings and deposits are no goods.
_NEVER = ("tobacco",)
_NO_GOODS = {"COUPON", "COUPON/MISC ITEMS", "COUPONS/STORE & MFG", "BOTTLE DEPOSITS", "MISCELLANEOUS", "FUEL", "TICKETS",
             "PROD SUPPLIES", "DELI SUPPLIES", "MEAT SUPPLIES", "NEWSPAPER", "J-HOOKS", "CONTINUITIES",
             "DOLLAR VALUE PRODUCTS", "MISCELLANEOUS HBC", "LONG DISTANCE CALLING CARDS", "COFFEE SHOP",
             "PREPAID WIRELESS&ACCESSORIES", "MAGAZINE", "GREETING CARDS/WRAP/PARTY SPLY"}  # fmt: skip

# A redemption has a date in the shop's own zone, a line a UTC time: Eastern standard time is five hours behind.
_COUPONS = """
WITH narrow AS (  -- store-wide coupons say nothing about a category
    SELECT coupon_upc, campaign_id FROM coupons JOIN item USING (product_id)
    GROUP BY ALL HAVING count(DISTINCT raw_category) <= 3
), covered AS (
    SELECT DISTINCT k.campaign_id, k.coupon_upc, i.product_id, i.raw_category, i.raw_department, i.brand
    FROM coupons k JOIN narrow USING (coupon_upc, campaign_id) JOIN item i USING (product_id)
    WHERE i.raw_category IS NOT NULL
), redeemed AS (
    SELECT r.household_id, r.campaign_id, r.coupon_upc, c.raw_category, median(t.coupon_disc) AS saving
    FROM coupon_redemptions r JOIN covered c USING (campaign_id, coupon_upc)
    JOIN transactions t ON t.household_id = r.household_id AND t.product_id = c.product_id AND t.coupon_disc > 0
     AND (t.transaction_timestamp - INTERVAL 5 HOUR)::DATE = r.redemption_date::DATE
    GROUP BY ALL
), of_redemptions AS (
    SELECT campaign_id, raw_category, 'redemptions' AS basis, count(*) AS evidence, median(saving) AS saving
    FROM redeemed GROUP BY ALL HAVING count(*) >= 2
), of_weeks AS (
    SELECT c.campaign_id, c.raw_category, 'campaign weeks' AS basis, count(*) AS evidence,
           median(t.coupon_disc) AS saving
    FROM (SELECT DISTINCT campaign_id, product_id, raw_category FROM covered) c
    JOIN campaign_descriptions d USING (campaign_id)
    JOIN transactions t ON t.product_id = c.product_id AND t.coupon_disc > 0
     AND t.transaction_timestamp >= d.start_date AND t.transaction_timestamp < d.end_date + INTERVAL 1 DAY
    GROUP BY ALL HAVING count(*) >= 3
), valued AS (
    SELECT * FROM of_redemptions UNION ALL SELECT * FROM of_weeks ANTI JOIN of_redemptions USING (campaign_id, raw_category)
), labels AS (
    SELECT campaign_id, raw_category, count(DISTINCT coupon_upc) AS coupons, count(DISTINCT product_id) AS products,
           avg((brand = 'Private')::INT) AS private_share, mode(raw_department) AS raw_department
    FROM covered GROUP BY ALL
)
SELECT v.*, l.coupons, l.products, l.private_share, l.raw_department, d.campaign_type,
       date_diff('day', d.start_date, d.end_date) AS days
FROM valued v JOIN labels l USING (campaign_id, raw_category) JOIN campaign_descriptions d USING (campaign_id)
ORDER BY raw_category, basis DESC, evidence DESC, campaign_id
"""
_CUTS = """
SELECT raw_category, mode(i.raw_department) AS raw_department, count(*) AS evidence,
       median(retail_disc / (sales_value + retail_disc)) AS share
FROM transactions t JOIN item i USING (product_id)
WHERE retail_disc > 0 AND sales_value > 0 AND coupon_disc = 0 AND quantity > 0 AND raw_category IS NOT NULL
GROUP BY 1 HAVING count(*) >= 100 ORDER BY evidence DESC, raw_category
"""
_PRICES = """
SELECT raw_category, median(sales_value / quantity) FROM transactions JOIN item USING (product_id)
WHERE quantity > 0 AND sales_value > 0 AND raw_category IS NOT NULL GROUP BY 1
"""
_SOLD = """
SELECT raw_category, mode(i.raw_department) AS raw_department FROM transactions JOIN item i USING (product_id)
WHERE raw_category IS NOT NULL GROUP BY 1 HAVING count(*) >= 1000 ORDER BY 1
"""
_LEAST_CUT, _MOST_CUT, _CUT_STEP = 5, 50, 5
_MOSTLY = 0.5


class Validity(msgspec.Struct, frozen=True):
    """When offers start, in the shop's zone."""

    start: dt.datetime
    zone: ZoneInfo

    def end(self, weeks: int) -> dt.datetime:
        """The last minute of the Sunday after that many weeks, so that "valid until" names the last good day.

        Counted on the wall clock: a change to summer time in between moves nothing.
        """
        return self.start + dt.timedelta(weeks=max(weeks, SHORTEST_WEEKS)) - dt.timedelta(minutes=1)


def validity(offers_from: dt.date) -> Validity:
    """Offers start on this day at midnight of the shop's own zone."""
    zone = ZoneInfo(statements().time_zone)
    return Validity(dt.datetime.combine(offers_from, dt.time(), zone), zone)


def offers(connection: duckdb.DuckDBPyConnection, offers_from: dt.date) -> list[Offer]:
    """The catalog, in the order of its ids."""
    valid = validity(offers_from)
    prices: dict[str, float] = dict(connection.execute(_PRICES).fetchall())
    made = _coupons(_rows(connection, _COUPONS), valid, prices)
    covered = {offer.category for offer in made}
    cuts = [row for row in _rows(connection, _CUTS) if category(row["raw_category"]).name not in covered]
    made += _price_cuts(cuts, valid, prices)
    made += _selections(_rows(connection, _SOLD), valid, prices)
    return sorted(made, key=lambda offer: offer.offer_id)


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    result = connection.execute(sql)
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _sellable(raw: str) -> bool:
    return raw not in _NO_GOODS and category(raw).safety not in _NEVER


def rounded(saving: float) -> Decimal:
    """A saving to the nearest five cents."""
    return (Decimal(str(saving)) / _ROUND_TO).quantize(Decimal(1)) * _ROUND_TO


def _coupons(rows: list[dict[str, Any]], valid: Validity, prices: dict[str, float]) -> list[Offer]:
    """The best-evidenced coupons of each category, at most two, and two only where they differ."""
    made: list[Offer] = []
    seen: dict[str, set[Decimal]] = {}
    for row in rows:
        raw, value = row["raw_category"], rounded(row["saving"])
        values = seen.setdefault(raw, set())
        worth_it = 0 < value < prices.get(raw, 0.0)  # more than the goods cost is a saving on several of them
        if _sellable(raw) and worth_it and len(values) < PER_CATEGORY and value not in values:
            values.add(value)
            made.append(_coupon(row, value, valid, prices))
    return made


def _coupon(row: dict[str, Any], value: Decimal, valid: Validity, prices: dict[str, float]) -> Offer:
    shop, entry = statements(), category(row["raw_category"])
    own = row["private_share"] > _MOSTLY
    weeks = math.ceil(row["days"] / 7) + EXTRA_WEEKS
    common = _common(entry, row["raw_department"], shop, valid, weeks, "coupon")
    return Offer(
        **common,
        offer_id=f"coupon-{row['campaign_id']}-{_slug(entry.name)}",
        name=f"{entry.name[0].upper()}{entry.name[1:]} coupon",
        description=f"A store coupon for {entry.name}, worth what such coupons typically saved.",
        product_brand="store brand" if own else None,
        discount=Discount(kind="amount", value=value, currency=shop.currency),
        conditions=[Condition(text=shop.conditions["household"], maximum_uses=1)],
        legal_text=shop.legal_text,
        attributes={"campaignId": str(row["campaign_id"]), "campaignType": row["campaign_type"],
                    "brandLabel": "Private" if own else "National", "valueBasis": row["basis"],
                    "valueEvidence": row["evidence"], "coupons": row["coupons"], "products": row["products"],
                    "typicalUnitPrice": round(prices[row["raw_category"]], 2)},
    )  # fmt: skip


def _price_cuts(rows: list[dict[str, Any]], valid: Validity, prices: dict[str, float]) -> list[Offer]:
    made: dict[str, Offer] = {}
    for row in rows:
        shop, entry = statements(), category(row["raw_category"])
        percent = round(row["share"] * 100 / _CUT_STEP) * _CUT_STEP
        if not _sellable(row["raw_category"]) or not _LEAST_CUT <= percent <= _MOST_CUT or len(made) >= PRICE_CUTS:
            continue
        made[entry.name] = Offer(
            **_common(entry, row["raw_department"], shop, valid, SHORTEST_WEEKS, "price cut"),
            offer_id=f"pricecut-{_slug(entry.name)}",
            name=f"Price cut on {entry.name}",
            description=f"A lower price on {entry.name}, cut by what such price cuts typically were.",
            discount=Discount(kind="percent", value=Decimal(percent)),
            attributes={"valueBasis": "shelf discounts", "valueEvidence": row["evidence"],
                        "typicalUnitPrice": round(prices[row["raw_category"]], 2)},
        )  # fmt: skip
    return list(made.values())


def _selections(rows: list[dict[str, Any]], valid: Validity, prices: dict[str, float]) -> list[Offer]:
    """Alcohol, which the source never discounts: shown without a saving, to those only who have bought any before."""
    made: list[Offer] = []
    for row in rows:
        entry = category(row["raw_category"])
        if entry.safety == "alcohol":
            made.append(Offer(
                **_common(entry, row["raw_department"], statements(), valid, SHORTEST_WEEKS, "selection"),
                offer_id=f"selection-{_slug(entry.name)}",
                name=f"{entry.name[0].upper()}{entry.name[1:]} selection",
                description=f"Our choice of {entry.name}, without a discount.",
                attributes={"valueBasis": "no discount", "typicalUnitPrice": round(prices[row["raw_category"]], 2)},
            ))  # fmt: skip
    return made


def _common(
    entry: Category, raw_department: str, shop: Statements, valid: Validity, weeks: int, kind: str
) -> dict[str, Any]:
    """What every offer has. Products with a safety tag stay off the screens that others may see over a shoulder."""
    quiet = bool(entry.safety)
    return {
        "brand_id": shop.brand.brand_id,
        "product_name": entry.name,
        "category": entry.name,
        "start_date": valid.start,
        "end_date": valid.end(weeks),
        "time_zone": shop.time_zone,
        "placements": ["default", "weekly-email"] if quiet else ["default", "weekly-email", "home-page"],
        "channels": ["email", "web"] if quiet else list(_CHANNELS),
        "locales": ["en"],
        "tags": [entry.name, department(raw_department), kind],
        "safety_tags": [entry.safety] if entry.safety else [],
        "asset_ids": [asset_id(entry.emoji)] if entry.emoji else [],
    }


def _slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
