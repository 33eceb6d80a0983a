"""Putting query rows together into each profile's purchase activity. Pure."""

from collections import defaultdict
from typing import Any

from shared.contracts.events import BrandActivity, CategoryActivity, PurchaseActivity


def _by_profile(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        grouped[row["profile_id"]].append({k: v for k, v in row.items() if k != "profile_id"})
    return grouped


def assemble(found: dict[str, list[dict[str, Any]]]) -> list[PurchaseActivity]:
    """One activity per profile in `totals`; the other lists keep their order, most baskets first."""
    categories, brands = _by_profile(found["categories"]), _by_profile(found["brands"])
    products = _by_profile(found["products"])
    return [
        PurchaseActivity(
            **{key: value for key, value in row.items() if key != "basket_days"},
            basket_days=sorted(row["basket_days"] or []),
            categories=[CategoryActivity(**item) for item in categories.get(row["profile_id"], [])],
            brands=[BrandActivity(**item) for item in brands.get(row["profile_id"], [])],
            products=[item["product_name"] for item in products.get(row["profile_id"], [])],
        )
        for row in found["totals"]
    ]
