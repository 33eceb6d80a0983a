"""Transactions, redemptions and campaign sends into one events file, by SQL, rows counted by what became of them."""

from pathlib import Path

import duckdb
import msgspec

from services.demo.names import statements

# Coupon and miscellaneous lines are bookings, not things that a household chose.
_BOOKINGS = "('COUPON/MISC ITEMS', 'COUPONS/STORE & MFG', 'COUPON')"
# Fuel is counted in thousandths of a gallon; below a tenth of a gallon the number is no volume.
_GALLON, _LEAST_FUEL = 1000, 100
# A day without a time of day is put at noon, Eastern standard time.
_NOON = "INTERVAL 17 HOUR"

_LINES = f"""
CREATE TABLE line AS
SELECT t.*, i.category, i.department, i.product_name, i.brand, i.raw_department,
       CASE WHEN i.product_id IS NULL THEN 'unknown_product'
            WHEN i.raw_category IN {_BOOKINGS} OR i.raw_department = 'COUPON' THEN 'coupon_or_miscellaneous'
            WHEN t.quantity <= 0 THEN 'no_quantity'
       END AS dropped
FROM transactions t LEFT JOIN item i USING (product_id)
"""  # noqa: S608  (own constants)

_EVENTS = f"""
CREATE TABLE event AS
SELECT 'tx-' || basket_id || '-' || product_id AS "eventId", 'hh-' || household_id AS "profileId",
       'commerce.purchases' AS type, (transaction_timestamp + $shift) AS time,
       product_id::VARCHAR AS "productId", product_name AS "productName", category, department, brand,
       CASE WHEN raw_department <> 'FUEL' THEN quantity::DOUBLE
            WHEN quantity >= {_LEAST_FUEL} THEN quantity / {_GALLON}.0 END AS quantity,
       sales_value::DECIMAL(12, 2) AS value,
       (retail_disc + coupon_disc + coupon_match_disc)::DECIMAL(12, 2) AS discount,
       $currency AS currency, 'basket-' || basket_id AS "sessionId",
       NULL::VARCHAR AS "campaignId", NULL::VARCHAR AS "campaignType", NULL::VARCHAR AS "couponUpc"
FROM line WHERE dropped IS NULL
UNION ALL
SELECT 'rd-' || r.household_id || '-' || r.coupon_upc || '-' || r.campaign_id || '-' || strftime(r.redemption_date, '%Y%m%d')
       || '-' || row_number() OVER (PARTITION BY r.household_id, r.coupon_upc, r.campaign_id, r.redemption_date),
       'hh-' || r.household_id, 'commerce.couponRedemptions', (r.redemption_date + {_NOON} + $shift),
       NULL, NULL, c.category, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       r.campaign_id::VARCHAR, d.campaign_type, r.coupon_upc::VARCHAR
FROM coupon_redemptions r JOIN campaign_descriptions d USING (campaign_id)
LEFT JOIN (SELECT coupon_upc, campaign_id, min(category) AS category
           FROM (SELECT DISTINCT coupon_upc, campaign_id, category FROM coupons JOIN item USING (product_id))
           GROUP BY ALL HAVING count(*) = 1) c USING (coupon_upc, campaign_id)
UNION ALL
SELECT 'cs-' || s.campaign_id || '-' || s.household_id, 'hh-' || s.household_id, 'directMarketing.campaignSends',
       (d.start_date + {_NOON} + $shift), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       s.campaign_id::VARCHAR, d.campaign_type, NULL
FROM campaigns s JOIN campaign_descriptions d USING (campaign_id)
"""  # noqa: S608  (own constants)


class EventCounts(msgspec.Struct, frozen=True, kw_only=True):
    """lines = purchases + all of dropped; events = purchases + redemptions + sends."""

    lines: int
    dropped: dict[str, int]
    purchases: int
    redemptions: int
    sends: int

    @property
    def events(self) -> int:
        """Rows of the events file."""
        return self.purchases + self.redemptions + self.sends


def write_events(connection: duckdb.DuckDBPyConnection, path: Path, shift_weeks: int) -> EventCounts:
    """Write all events in the order of their times.

    Args:
        connection: from `sources.open_sources`; gets the tables `line` and `event`.
        path: the Parquet file to write.
        shift_weeks: whole weeks that every time is moved by.
    """
    connection.execute(_LINES)
    shift = f"INTERVAL {int(shift_weeks)} WEEK"
    currency = f"'{statements().currency}'"
    connection.execute(_EVENTS.replace("$shift", shift).replace("$currency", currency))
    target = str(path).replace("'", "''")
    connection.execute(f"""
        COPY (SELECT * REPLACE (time::TIMESTAMPTZ AS time) FROM event ORDER BY time, "eventId")
        TO '{target}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 100000)
    """)  # noqa: S608  (own constants and our own path)
    return _counts(connection)


def _counts(connection: duckdb.DuckDBPyConnection) -> EventCounts:
    dropped = dict(connection.execute(
        "SELECT dropped, count(*) FROM line WHERE dropped IS NOT NULL GROUP BY 1 ORDER BY 1").fetchall())  # fmt: skip
    by_type = dict(connection.execute("SELECT type, count(*) FROM event GROUP BY 1").fetchall())
    (lines,) = connection.execute("SELECT count(*) FROM line").fetchone() or (0,)
    return EventCounts(
        lines=lines,
        dropped=dropped,
        purchases=by_type.get("commerce.purchases", 0),
        redemptions=by_type.get("commerce.couponRedemptions", 0),
        sends=by_type.get("directMarketing.campaignSends", 0),
    )
