"""Events that carry tracking tokens, as outcomes of propositions. Pure."""

import hashlib
import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from shared.contracts.base import Money
from shared.contracts.events import Event
from shared.contracts.policies import Outcome, OutcomeKind

_KINDS: dict[str, OutcomeKind] = {
    "decisioning.propositionDisplay": "display",
    "decisioning.propositionInteract": "interact",
    "decisioning.propositionDismiss": "dismiss",
    "commerce.purchases": "convert",
}
ORDER_VALUE, ORDER_CURRENCY = "orderValue", "orderCurrency"
_MIN_TOKEN, _MAX_TOKEN, _MAX_TOKENS = 10, 200, 30
_ID = re.compile(r"[^\s\x00-\x1f/]{1,200}")


def outcomes(events: Iterable[Event]) -> list[Outcome]:
    """One outcome per token; the event's id makes repeating it harmless. A purchase is one order: the first of its tokens
    has its value, that of the whole order where the event says so.
    """
    found: list[Outcome] = []
    for event in events:
        kind = _KINDS.get(event.type)
        tokens = event.properties.get("tokens") if kind else None
        listed = [tokens] if isinstance(tokens, str) else tokens if isinstance(tokens, list) else []
        good = [t for t in listed if isinstance(t, str) and _MIN_TOKEN <= len(t) <= _MAX_TOKEN][:_MAX_TOKENS]
        order = _id(event.session_id or event.event_id) if kind == "convert" else None
        for number, token in enumerate(dict.fromkeys(good)):
            value = _value(event) if kind == "convert" and number == 0 else None
            key = _id(f"event:{event.event_id}:{number}")
            found.append(
                Outcome(
                    token=token,
                    kind=kind or "display",
                    idempotency_key=key,
                    time=event.time,
                    value=value,
                    order_id=order,
                )
            )
    return found


def _value(event: Event) -> Money | None:
    amount, currency = event.value, event.currency
    try:
        if ORDER_VALUE in event.properties:
            amount, currency = (
                Decimal(str(event.properties[ORDER_VALUE])),
                event.properties.get(ORDER_CURRENCY) or currency,
            )
    except InvalidOperation:
        return None
    return Money(amount=amount, currency=currency) if amount is not None and currency else None


def _id(text: str) -> str:
    """The text where it can be an id, else its hash: never a part of it, which another text may share."""
    return text if _ID.fullmatch(text) else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
