"""From purchases and attributes to typed facts that explain themselves. Pure; "today" is an argument."""

import datetime as dt
import itertools
import statistics
from collections.abc import Iterator, Mapping

import msgspec

from services.profiles.clean import words
from services.profiles.sensitive import attribute_is_sensitive, category_tag
from shared.contracts.events import CategoryActivity, PurchaseActivity
from shared.contracts.profiles import MODEL_SOURCE, Attribute, Fact

_DAYS_PER_MONTH = 30.44


class Thresholds(msgspec.Struct, frozen=True):
    """Every number the rules use."""

    favourites: int = 5
    lapsed: int = 3
    brands: int = 1
    min_category_baskets: int = 3
    min_history_days: int = 28
    lapsed_factor: float = 3.0
    lapsed_min_days: int = 28
    due_low: float = 0.8
    due_high: float = 1.5
    due: int = 3
    high_discount_share: float = 0.5
    low_discount_share: float = 0.2
    coupon_lover: int = 5
    brand_share: float = 0.6
    regular_spread: float = 0.6
    attributes: int = 10


RULES = Thresholds()


def _recency(activity: PurchaseActivity, today: dt.date) -> Iterator[Fact]:
    if not activity.basket_days:
        return
    days = (today - activity.basket_days[-1]).days
    when = "today" if days == 0 else "yesterday" if days == 1 else f"{days} days ago"
    yield Fact(name="recency", kind="recency", value=days, unit="days", text=f"Last shopped {when}",
               explanation="days from the last purchase to the day the facts are of")  # fmt: skip


def _frequency(activity: PurchaseActivity, today: dt.date) -> Iterator[Fact]:
    days = activity.basket_days
    if len(days) < 2:  # noqa: PLR2004
        return
    months = max((today - days[0]).days, RULES.min_history_days) / _DAYS_PER_MONTH
    rate = round(activity.baskets / months, 1)
    yield Fact(name="frequency", kind="frequency", value=rate, unit="baskets per month",
               text=f"Shops about {rate:g} times a month",
               explanation=f"{activity.baskets} baskets in {months:.1f} months since the first purchase")  # fmt: skip
    gaps = [(b - a).days for a, b in itertools.pairwise(days)]
    median = statistics.median(gaps)
    spread = statistics.pstdev(gaps) / statistics.fmean(gaps) if statistics.fmean(gaps) else 0.0
    how = "Shops regularly," if spread <= RULES.regular_spread else "Usually shops"
    every = "every day" if median == 1 else f"about every {median:g} days"
    yield Fact(name="rhythm", kind="rhythm", value=median, unit="days",
               text=f"{how} {every}",
               explanation=f"median gap between {len(days)} shopping days, spread {spread:.2f} of the mean")  # fmt: skip


def _monetary(activity: PurchaseActivity) -> Iterator[Fact]:
    if activity.baskets and activity.spend > 0:
        mean = round(float(activity.spend) / activity.baskets, 2)
        unit = activity.currency or ""
        # Money spent is a financial matter: it ranks and segments, it is not spoken of.
        yield Fact(name="average_basket", kind="monetary", value=mean, unit=unit, sensitive=True,
                   text=f"Spends {mean:.2f} {unit} on an average basket".strip(),
                   explanation=f"{activity.spend:.2f} over {activity.baskets} baskets")  # fmt: skip


def _rhythm_days(category: CategoryActivity) -> float:
    return (category.last_time - category.first_time).days / max(category.baskets - 1, 1)


def _spoken(category: CategoryActivity) -> tuple[str | None, bool]:
    """The category's name fit for a sentence, and whether it is sensitive."""
    return words(category.category), category_tag(category.category) is not None


def _favourites(activity: PurchaseActivity, today: dt.date) -> Iterator[Fact]:
    """The most often bought categories that are still bought, with their share and rhythm."""
    alive = [
        c for c in activity.categories
        if c.baskets >= RULES.min_category_baskets and not _has_lapsed(c, today)
    ]  # fmt: skip
    ordinary = [c for c in alive if not _spoken(c)[1]][: RULES.favourites]
    for category in [c for c in alive if c in ordinary or _spoken(c)[1]]:
        name, sensitive = _spoken(category)
        if name is None:
            continue
        rhythm = max(round(_rhythm_days(category)), 1)
        share = round(category.baskets / activity.baskets, 3) if activity.baskets else 0.0
        every = "every day" if rhythm == 1 else f"about every {rhythm} days"
        yield Fact(name=f"favourite_category:{name}", kind="category", value=share, unit="share of baskets", subject=name,
                   sensitive=sensitive, text=f"Buys {name} {every}", general=f"Buys {name} often",
                   explanation=f"in {category.baskets} of {activity.baskets} baskets")  # fmt: skip


def _silence(category: CategoryActivity, today: dt.date) -> int:
    return (today - category.last_time.date()).days


def _has_lapsed(category: CategoryActivity, today: dt.date) -> bool:
    rhythm = _rhythm_days(category)
    limit = max(RULES.lapsed_factor * rhythm, RULES.lapsed_min_days)
    return category.baskets >= RULES.min_category_baskets and _silence(category, today) > limit


def _lapsed(activity: PurchaseActivity, today: dt.date) -> Iterator[Fact]:
    gone = sorted((c for c in activity.categories if _has_lapsed(c, today)), key=lambda c: (-c.baskets, c.category))
    for category in gone[: RULES.lapsed]:
        name, sensitive = _spoken(category)
        if name is None:
            continue
        weeks = _silence(category, today) // 7
        yield Fact(name=f"lapsed_category:{name}", kind="lapsed", value=weeks, unit="weeks", subject=name,
                   sensitive=sensitive, text=f"Used to buy {name}, not for {weeks} weeks", general=f"Used to buy {name}",
                   explanation=f"bought {category.baskets} times about every {_rhythm_days(category):.0f} days, "
                   f"silent for {_silence(category, today)} days")  # fmt: skip


def _due(activity: PurchaseActivity, today: dt.date) -> Iterator[Fact]:
    """Categories whose own rhythm says that they are about to be bought again."""
    due = [
        c for c in activity.categories
        if c.baskets > RULES.min_category_baskets and _rhythm_days(c) >= 2  # noqa: PLR2004
        and RULES.due_low <= _silence(c, today) / _rhythm_days(c) <= RULES.due_high
    ]  # fmt: skip
    for category in due[: RULES.due]:
        name, sensitive = _spoken(category)
        if name is not None:
            yield Fact(name=f"due_category:{name}", kind="rhythm", value=_silence(category, today), unit="days",
                       subject=name, sensitive=sensitive, text=f"Is about due to buy {name} again",
                       general=f"Is about due to buy {name} again",
                       explanation=f"rhythm {_rhythm_days(category):.0f} days, last bought "
                       f"{_silence(category, today)} days ago")  # fmt: skip


def _price_sensitivity(activity: PurchaseActivity) -> Iterator[Fact]:
    if activity.lines < RULES.min_category_baskets:
        return
    share = activity.discounted_lines / activity.lines
    coupons = activity.redemptions
    high = share >= RULES.high_discount_share or coupons >= RULES.coupon_lover
    level = "high" if high else "low" if share <= RULES.low_discount_share and not coupons else "medium"
    text = {
        "high": "Often buys products on offer",
        "medium": "Sometimes buys products on offer",
        "low": "Rarely buys products on offer",
    }[level]
    yield Fact(name="price_sensitivity", kind="price_sensitivity", value=level, text=text, general=text,
               explanation=f"{share:.0%} of {activity.lines} lines were discounted, {coupons} coupons redeemed")  # fmt: skip


def _brands(activity: PurchaseActivity) -> Iterator[Fact]:
    total = sum(b.baskets for b in activity.brands)
    for brand in activity.brands[: RULES.brands]:
        name = words(brand.brand)
        if name and total and brand.baskets / total >= RULES.brand_share:
            label = {"national": "well-known brands", "private": "the store's own brand"}.get(name.lower(), name)
            yield Fact(name=f"favourite_brand:{name}", kind="brand", value=round(brand.baskets / total, 3), subject=label,
                       unit="share of purchases", text=f"Mostly buys {label}", general=f"Mostly buys {label}",
                       explanation=f"{brand.baskets} of {total} basket and brand pairs")  # fmt: skip


def _attributes(attributes: Mapping[str, Attribute]) -> Iterator[Fact]:
    for key in sorted(attributes)[: RULES.attributes * 3]:
        attribute = attributes[key]
        name = words(key)
        listed = attribute.value if isinstance(attribute.value, list) else [attribute.value]
        spoken = [words(str(v)) for v in listed if v is not None]
        if name is None or not spoken or None in spoken or key in {"firstName", "lastName", "email", "phone"}:
            continue
        if attribute.source.startswith(MODEL_SOURCE):  # a guess: nobody is to be told what was guessed of them
            continue
        yield Fact(name=f"attribute:{name}", kind="attribute", value=attribute.value, subject=name,
                   sensitive=attribute_is_sensitive(key), text=f"{name}: {', '.join(map(str, spoken))}",
                   explanation=f"given by {attribute.source}")  # fmt: skip


def compute(
    activity: PurchaseActivity | None, attributes: Mapping[str, Attribute], as_of: dt.datetime | None
) -> list[Fact]:
    """All facts of one person, sensitive ones marked, in a stable order.

    Args:
        activity: what was bought up to `as_of`; None when nothing was.
        attributes: what is stored about the person.
        as_of: the moment that counts as now (for a historic data set its newest event); None without any event.
    """
    facts: list[Fact] = []
    if activity is not None and activity.lines and as_of is not None:
        today = as_of.date()
        facts += _recency(activity, today)
        facts += _frequency(activity, today)
        facts += _favourites(activity, today)
        facts += _due(activity, today)
        facts += _lapsed(activity, today)
        facts += _price_sensitivity(activity)
        facts += _brands(activity)
        facts += _monetary(activity)
    facts += _attributes(attributes)
    return [msgspec.structs.replace(fact, as_of=as_of) for fact in facts]
