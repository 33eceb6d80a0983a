"""Which households the demo shows, and why each: rules over a table of figures, the same ones every time. Pure."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from services.demo.figures import Figures


class Pick(msgspec.Struct, frozen=True):
    """One household of the story.

    Attributes:
        profile_id: who.
        role: its part in a few words ("Coupon lover").
        why: the figures it was picked for, in a sentence; for the person at the demo, never for the customer.
    """

    profile_id: str
    role: str
    why: str


class Role(msgspec.Struct, frozen=True):
    """One part in the story: who may play it, who plays it best (the largest), and why."""

    name: str
    fits: Callable[[Figures], bool]
    best: Callable[[Figures], float]
    why: Callable[[Figures], str]
    consented: bool = True


# Enough history for a rule to mean something.
_REGULAR = 40


def _regular(row: Figures) -> bool:
    return row.baskets >= _REGULAR


def _number(size: str) -> int:
    digits = "".join(c for c in size if c.isdigit())
    return int(digits) if digits else 0


# In this order: a household plays one part only, so the rare characters choose first.
ROLES: tuple[Role, ...] = (
    Role("Coupon lover", lambda r: r.redemptions > 0, lambda r: r.redemptions,
         lambda r: f"redeemed {r.redemptions} coupons, more than anybody else"),
    Role("Big trolley", lambda r: _regular(r) and _number(r.household_size) >= 5, lambda r: r.lines_per_basket,  # noqa: PLR2004
         lambda r: f"household of {r.household_size}, {r.lines_per_basket:.0f} lines in an average basket"),
    Role("Single, small baskets", lambda r: _regular(r) and r.household_size == "1", lambda r: -r.lines_per_basket,
         lambda r: f"household of one, {r.baskets} baskets of {r.lines_per_basket:.1f} lines"),
    Role("Yogurt regular", lambda r: r.yogurt_baskets >= _REGULAR, lambda r: r.yogurt_baskets / r.baskets,
         lambda r: f"yogurt in {r.yogurt_baskets} of {r.baskets} baskets"),
    Role("Pays the shelf price", lambda r: _regular(r) and not r.redemptions, lambda r: -r.discounted_share,
         lambda r: f"only {r.discounted_share:.0%} of {r.lines} lines were discounted, no coupon ever"),
    Role("Gave up a favourite", lambda r: r.lapsed_category is not None and r.silent_days <= 14, lambda r: r.lapsed_baskets,  # noqa: PLR2004
         lambda r: f"bought {r.lapsed_category} {r.lapsed_baskets} times, not for {r.lapsed_weeks} weeks"),
    Role("Gone quiet", lambda r: _regular(r) and r.silent_days >= 28, lambda r: r.silent_days,  # noqa: PLR2004
         lambda r: f"{r.baskets} baskets, then nothing for {r.silent_days} days"),
    Role("Newcomer", lambda r: r.baskets >= 5, lambda r: -r.history_days,  # noqa: PLR2004
         lambda r: f"first seen {r.history_days} days ago, {r.baskets} baskets since"),
    Role("Rare guest", lambda r: r.baskets <= 3, lambda r: r.lines,  # noqa: PLR2004
         lambda r: f"only {r.baskets} baskets in {r.history_days} days"),
    Role("Pet owner", _regular, lambda r: r.pet_baskets / r.baskets,
         lambda r: f"pet food or supplies in {r.pet_baskets} of {r.baskets} baskets"),
    Role("Fresh produce", _regular, lambda r: r.produce_share,
         lambda r: f"{r.produce_share:.0%} of {r.lines} lines are fruit and vegetables"),
    Role("Store-brand fan", _regular, lambda r: r.store_brand_share,
         lambda r: f"{r.store_brand_share:.0%} of {r.lines} lines are the store's own brand"),
    Role("Never any alcohol", lambda r: _regular(r) and not r.alcohol_baskets, lambda r: r.baskets,
         lambda r: f"{r.baskets} baskets and never beer, wine or liquor: must not be offered any"),
    Role("Buys for a baby", _regular, lambda r: r.infant_baskets / r.baskets,
         lambda r: f"baby products in {r.infant_baskets} of {r.baskets} baskets: known, never spoken of"),
    Role("No personalisation", lambda r: _regular(r) and r.email and not r.personalize, lambda r: r.baskets,
         lambda r: f"{r.baskets} baskets, but personalisation is refused: none of them may be used", consented=False),
    Role("No e-mail", lambda r: _regular(r) and r.personalize and not r.email, lambda r: r.baskets,
         lambda r: f"{r.baskets} baskets, but e-mail is refused: nothing may be sent", consented=False),
)  # fmt: skip


def pick_households(figures: Iterable[Figures], roles: Sequence[Role] = ROLES) -> list[Pick]:
    """One household for each role that anybody fits, none twice, in the order of the roles.

    Args:
        figures: one row a household, in any order; ties go to the smaller id.
        roles: the parts to fill. A household plays a `consented` part only if personalisation and e-mail are allowed.
    """
    rows = sorted(figures, key=lambda row: row.profile_id)
    taken: set[str] = set()
    picks: list[Pick] = []
    for role in roles:
        able = [row for row in rows if row.profile_id not in taken and role.fits(row)
                and (not role.consented or (row.personalize and row.email))]  # fmt: skip
        if able:
            chosen = max(able, key=role.best)  # the first of equals, so the smaller id
            taken.add(chosen.profile_id)
            picks.append(Pick(chosen.profile_id, role.name, role.why(chosen)))
    return picks
