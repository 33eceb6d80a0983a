"""From what became of an item to its reward, its value, and what rests. Pure."""

import datetime as dt

import msgspec

from services.decisions.bandit import Lesson
from services.decisions.records import Entry
from shared.contracts.catalog import Offer
from shared.contracts.policies import Policy, RewardPlan


class StoredOutcome(msgspec.Struct):
    """One outcome as it is stored. `rests`: counter -> until when something rests after it; `done`: all that follows from
    it has happened.
    """

    idempotency_key: str
    decision_id: str
    slot: int
    offer_id: str
    kind: str
    time: dt.datetime
    value: float | None
    order_id: str = ""
    rests: dict[str, int] | None = None
    rest_until: int | None = None
    done: bool = True


def reaches(kind: str, plan: RewardPlan) -> bool:
    """Does this outcome reach the plan's objective? Who converts has interacted."""
    return kind == plan.objective or (kind == "convert" and plan.objective == "interact")


def reward(row: StoredOutcome, before: tuple[float, float] | None, plan: RewardPlan) -> tuple[float, float] | None:
    """(reward, value) after an outcome; None when nothing is known yet (a display waits for what follows)."""
    reached = reaches(row.kind, plan)
    earned, value = before or (0.0, 0.0)
    if row.kind == "convert":
        value += row.value or 0.0
    if reached:
        earned = 1.0
    if before is None and not reached and row.kind != "dismiss" and not value:
        return None
    return earned, value


def lesson(entry: Entry, slot: int, seq: int, earned: float, first: bool) -> Lesson | None:  # noqa: FBT001
    """A ledger line; None for what nobody learns from: fallbacks, and policies that do not learn."""
    item = entry.items[slot]
    if not entry.space or item.pick.fallback:
        return None
    return Lesson(seq, item.offer_id, first, earned, item.offset, entry.x)


def rests(policy: Policy, offer: Offer | None, kind: str, at: dt.datetime) -> dict[str, int]:
    """Counter -> epoch seconds until which an offer (or its category) rests after an outcome."""
    found: dict[str, int] = {}
    for rule in policy.contact.suppressions:
        if offer is not None and rule.after == kind:
            name = f"s|g|{offer.category or offer.offer_id}" if rule.scope == "category" else f"s|o|{offer.offer_id}"
            until = int(at.timestamp() + rule.days * 86_400)
            found[name] = max(until, found.get(name, 0))
    return found
