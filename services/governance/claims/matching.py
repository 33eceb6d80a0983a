"""Does the record say what a figure says? Role, unit, bound and head word must fit, not the digits alone. Pure."""

import datetime as dt
from collections.abc import Callable, Sequence
from decimal import Decimal

from services.governance.claims import calendar
from services.governance.claims.figures import Figure, is_share
from services.governance.claims.numbers import SHARED
from services.governance.claims.record import Record, Stated
from services.governance.claims.verdict import UNSUPPORTED, Verdict

_ROLES = {"percent": ("discount", "share"), "price": ("discount", "spend", "price", "bundle", "unit", "was"), "number": ("quantity", "uses", "get", "left"),
          "duration": ("left",)}  # fmt: skip
# What a figure without a role may be: a bare price is the price, never the saving or the spend.
_BARE = {"percent": ("discount",), "price": ("price", "bundle")}
# A minimum may be told as "over" or "at least", a maximum as "up to"; the other way about turns it round.
_TURNED = {
    "spend": {"under", "at_most", "nearly"},
    "quantity": {"under", "at_most", "nearly"},
    "uses": {"over", "at_least"},
}
_HEDGED = {"at_most", "under", "about", "nearly"}
_PAIR = 2
_SENT = {"shipping", "delivery", "postage", "ship", "shipped", "delivered"}
_YEARS = (1900, 2100)
_CLOSE = Decimal("0.05")
_THIRD = Decimal("0.34")
# What a bound makes of "the record's value r against the claim's value c".
_HOLDS: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "": lambda r, c: r == c,
    "at_most": lambda r, c: r == c,
    "at_least": lambda r, c: r >= c,
    "over": lambda r, c: r > c,
    "under": lambda r, c: c / 2 <= r < c,
    "about": lambda r, c: abs(r - c) <= _CLOSE * r,
    "nearly": lambda r, c: r <= c <= r * (1 + _CLOSE),
}


def same_unit(claimed: str, stated: str) -> bool:
    """Is it the same currency or unit, where a sign may stand for several?"""
    return claimed == stated or stated in SHARED.get(claimed, ()) or claimed in SHARED.get(stated, ()) or not stated


def figure(found: Figure, known: Record, now: dt.datetime | None, beside: Sequence[Figure] = ()) -> Verdict:
    """The record's verdict on one figure; `beside`: the other figures of its section."""
    if found.kind == "date":
        return calendar.verdict(found, known, now)
    if found.kind in {"time", "multi_buy"}:
        return calendar.clock(found, known) if found.kind == "time" else _multi_buy(found, known)
    if found.kind == "duration" and found.value is not None:
        return _duration(found, found.value, known, now)
    return _of_amount(found, known, beside)


def _of_amount(found: Figure, known: Record, beside: Sequence[Figure]) -> Verdict:
    """A percentage, price or number; what could not be read needs the record's very words."""
    if found.value is None:
        said = known.says(found.words, turned=False) if found.words else None
        return Verdict("supported", said[0]) if said and said[1] else UNSUPPORTED
    if _buys_bundle(found, known, beside):
        return Verdict("supported", "offer.discount.buyQuantity")
    by_role = _by_role(found, found.value, known, beside)
    if by_role is not None and by_role.status == "supported":
        return by_role
    by_text = _by_text(found, found.value, known)
    return by_text if by_text and (by_text.status == "supported" or not by_role) else by_role or UNSUPPORTED


def _duration(found: Figure, value: Decimal, known: Record, now: dt.datetime | None) -> Verdict:
    by_text = _by_text(found, value, known)
    if by_text is not None and by_text.status == "supported":
        return by_text
    if "left" in found.roles and now is not None:
        left = calendar.remaining(found, known, now)
        if left is not None:
            return left
    if found.gain and "left" not in found.roles and calendar.lasts(found, known):
        return Verdict("supported", "offer.endDate")
    return by_text or UNSUPPORTED


def _by_role(found: Figure, value: Decimal, known: Record, beside: Sequence[Figure]) -> Verdict | None:
    """By the fields of the figure's role; without a role by those that a bare figure of its kind may be of."""
    allowed = _ROLES.get(found.kind, ())
    if "voucher" in found.roles and known.words & {"coupon", "voucher"}:
        found = found._replace(roles=(*found.roles, "discount"))
    if {"other", "voucher"} & set(found.roles) and "discount" not in found.roles:
        return None
    roles = [role for role in found.roles if role in allowed]
    if found.kind == "percent" and not roles and found.head and found.head[0] not in known.product:
        return None  # "20% more", "100% cotton": no discount
    if found.unit and found.kind == "number":
        return None  # a measure is nothing's
    if "price" in roles or (found.kind == "price" and "from" in found.roles):
        roles += ["price", "bundle"]
    if "from" in found.roles and known.offer.discount.kind == "free_shipping" and found.near & _SENT:
        roles.insert(0, "spend")  # "free delivery from $75"
    if "unit" in roles:
        roles = [role for role in roles if role not in {"price", "bundle"}]
    if not roles and not known.covered:
        # Roles cannot be read in this language: any may be meant, so none is contradicted.
        verdict = _by_fields(found, value, list(allowed), known, beside)
        return verdict if verdict and verdict.status == "supported" else None
    if not roles and found.kind == "price" and found.bound in {"over", "at_least"}:
        roles = ["spend"]  # "free delivery over $75"
    return _by_fields(found, value, roles or list(_BARE.get(found.kind, ())), known, beside)


def _by_fields(
    found: Figure, value: Decimal, roles: list[str], known: Record, beside: Sequence[Figure]
) -> Verdict | None:
    contradiction = None
    for role in roles:
        stated = known.roles.get((found.kind, role), [])
        for one in stated:
            if _holds(found, value, one, role) and (role != "bundle" or _with_quantity(known, beside)):
                return Verdict("supported", one.field)
        if stated and contradiction is None:
            contradiction = _against(stated[0])
    return contradiction


def _buys_bundle(found: Figure, known: Record, beside: Sequence[Figure]) -> bool:
    """Is it how many a bundle's price buys, told beside that price ("two packs, 5 euros in all")?"""
    discount = known.offer.discount
    told = any(one.kind == "price" and one.value == discount.value for one in beside)
    return (
        discount.kind == "multi_buy"
        and found.kind == "number"
        and not found.unit
        and found.value == discount.buy_quantity
        and told
    )


def _with_quantity(known: Record, beside: Sequence[Figure]) -> bool:
    """A bundle's price is told with how many it buys."""
    wanted = known.offer.discount.buy_quantity
    return any(
        (one.kind == "number" and one.value == wanted) or (wanted == _PAIR and "pair" in one.near) for one in beside
    )


def _holds(found: Figure, value: Decimal, one: Stated, role: str) -> bool:
    if is_share(found):
        return abs(value - one.value) < _THIRD  # "a third off" is 33 as well as 33.33
    if found.bound in _TURNED.get(role, ()):
        return False
    # "Orders over $75" is how a limit of 75 is told, no claim that the limit lies above it.
    bound = "" if role in _TURNED else found.bound
    return same_unit(found.unit, one.unit) and _HOLDS[bound](one.value, value)


def _against(one: Stated) -> Verdict:
    expected = f"{one.value.normalize():f} {one.unit}".strip()
    return Verdict("contradicted", one.field, expected, f"the record has {expected}")


def _by_text(found: Figure, value: Decimal, known: Record) -> Verdict | None:
    """By the same figure in one of the record's texts, said of the same thing."""
    other = None
    if any(found.bound in _TURNED[role] for role in found.roles if role in _TURNED):
        return None
    bound = "" if set(_TURNED) & set(found.roles) else found.bound
    for stated, field in known.figures:
        if stated.kind != found.kind or stated.value is None or not same_unit(found.unit, stated.unit):
            continue
        shared = _same_thing(found, stated, known)
        same = bound == stated.bound and value == stated.value
        # What the record bounds ("up to 12 hours") is not said plain.
        plain = stated.bound not in _HEDGED and _HOLDS[bound](stated.value, value)
        if (shared or _bare(found, stated)) and (same or plain):
            return Verdict("supported", field)
        if shared and other is None:
            other = _against(Stated(stated.value, stated.unit, field))
    return other


def _same_thing(found: Figure, stated: Figure, known: Record) -> bool:
    """Do both figures tell of the same: by the words behind them, a measure by its unit, a span of time by what it promises?"""
    if found.kind == "number" and found.unit:
        return True
    heads = set(stated.head)
    if set(found.head) & heads:
        return True
    if found.kind == "duration":
        promised = known.own.promises
        near = found.near | {other for word in found.near for other in known.own.same.get(word, ())}
        if heads & promised or near & promised:
            return bool(heads & near)
        return not heads or bool(heads & near)
    if found.kind in {"percent", "price"} and set(found.roles) & set(stated.roles):
        return True
    year = found.kind == "number" and _YEARS[0] <= (found.value or 0) <= _YEARS[1]
    return (not found.head and bool(heads & found.near)) or (year and bool(found.near & stated.near))


def _bare(found: Figure, stated: Figure) -> bool:
    """Does the figure stand alone, in the copy or in the record's text?"""
    alone = not (found.head or found.roles) or not (stated.head or stated.roles)
    return alone and found.kind == "number" and not found.bound and bool(found.near & stated.near)


def _multi_buy(found: Figure, known: Record) -> Verdict:
    """Buy `value`, get so many free: the record's quantities, or the same words in a text."""
    discount = known.offer.discount
    share, _, got = found.words.partition(":")
    if discount.kind == "free_item" and discount.buy_quantity and share == "free":
        right = found.value == discount.buy_quantity and got == str(discount.get_quantity or 1)
        expected = f"buy {discount.buy_quantity}, get {discount.get_quantity or 1} free"
        if right:
            return Verdict("supported", "offer.discount")
        return Verdict("contradicted", "offer.discount", expected, f"the record has {expected}")
    for stated, field in known.figures:
        if stated.kind == "multi_buy" and (stated.value, stated.words) == (found.value, found.words):
            return Verdict("supported", field)
    return UNSUPPORTED
