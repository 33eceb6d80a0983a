"""CloudEvents 1.0 and XDM experience events into native events. Pure; sources in docs/data-formats.md."""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from services.events.attribution import ORDER_CURRENCY, ORDER_VALUE
from services.events.errors import UnknownEventFormatError
from shared.contracts.events import Event

_XDM_KINDS = {
    "decisioning.propositionDisplay": "display",
    "decisioning.propositionInteract": "interact",
    "decisioning.propositionDismiss": "dismiss",
}


def native(item: Any) -> list[Event]:
    """The events one JSON item stands for; an XDM event with several product items becomes one event each.

    Raises:
        UnknownEventFormatError: the item is none of the known forms.
        msgspec.ValidationError: it is, and a field of it is wrong.
    """
    if not isinstance(item, dict):
        message = f"expected an object, got {type(item).__name__}"
        raise UnknownEventFormatError(message)
    if "specversion" in item:
        return list(_from_cloud_event(item))
    if "_id" in item or "xdm" in item or "identityMap" in item:
        return list(_from_xdm(item.get("xdm", item)))
    if "eventId" in item:
        return [msgspec.convert(item, Event)]
    message = "neither a CloudEvent (specversion), nor an XDM event (_id, identityMap), nor a native event (eventId)"
    raise UnknownEventFormatError(message)


def _from_cloud_event(item: dict[str, Any]) -> Iterator[Event]:
    data = item.get("data")
    if isinstance(data, dict) and ("identityMap" in data or "_experience" in data):
        yield from _from_xdm(
            {"_id": item.get("id"), "timestamp": item.get("time"), "eventType": item.get("type")} | data
        )
        return
    if data is not None and not isinstance(data, dict):
        message = "the data of a CloudEvent must be an object"
        raise UnknownEventFormatError(message)
    fields = {"eventId": item.get("id"), "profileId": item.get("subject"), "type": item.get("type"),
              "time": item.get("time")}  # fmt: skip
    known = {field.encode_name for field in msgspec.structs.fields(Event)}
    given = data or {}
    fields |= {key: value for key, value in given.items() if key in known and key not in fields}
    extra = {key: value for key, value in given.items() if key not in known}
    yield msgspec.convert(fields | {"properties": {**given.get("properties", {}), **extra}}, Event)


def _person(item: dict[str, Any]) -> Any:
    """The primary identity's id, else the first one's."""
    identities = [
        identity
        for entries in (item.get("identityMap") or {}).values()
        if isinstance(entries, list)
        for identity in entries
        if isinstance(identity, dict)
    ]
    chosen = next((i for i in identities if i.get("primary")), identities[0] if identities else {})
    return chosen.get("id")


def _from_xdm(item: dict[str, Any]) -> Iterator[Event]:
    base = {"eventId": item.get("_id"), "profileId": _person(item), "type": item.get("eventType"),
            "time": item.get("timestamp")}  # fmt: skip
    if isinstance(base["type"], str) and base["type"] in _XDM_KINDS:
        yield from _propositions(item, base)
        return
    products = [p for p in item.get("productListItems") or [] if isinstance(p, dict)]
    order = (item.get("commerce") or {}).get("order") or {}
    tokens = _texts(_action(item).get("tokens"))
    if not products:
        own = {"properties": {"tokens": tokens}} if tokens else {}
        money = _money(order.get("priceTotal"), order.get("currencyCode"))
        named = {"sessionId": order["purchaseID"]} if order.get("purchaseID") else {}
        yield msgspec.convert(base | money | named | own, Event, strict=False)
    for number, product in enumerate(products):
        fields = base | {
            "eventId": f"{base['eventId']}:{number}" if len(products) > 1 else base["eventId"],
            "productId": product.get("SKU"),
            "productName": product.get("name"),
            "quantity": product.get("quantity"),
            "sessionId": order.get("purchaseID"),
        }
        money = _money(product.get("priceTotal"), product.get("currencyCode") or order.get("currencyCode"))
        if tokens and number == 0:  # an order converts once, whatever number of lines it has
            fields["properties"] = {"tokens": tokens, **_order_money(order, products)}
        yield msgspec.convert({k: v for k, v in (fields | money).items() if v is not None}, Event, strict=False)


def _money(value: Any, currency: Any) -> dict[str, Any]:
    return {
        k: v for k, v in (("value", None if value is None else str(value)), ("currency", currency)) if v is not None
    }


def _order_money(order: dict[str, Any], products: list[dict[str, Any]]) -> dict[str, str]:
    """What the whole order is worth: its own total, else the sum of its lines where all are in one currency."""
    currencies = {p.get("currencyCode") or order.get("currencyCode") for p in products}
    currency = order.get("currencyCode") or (currencies.pop() if len(currencies) == 1 else None)
    total = order.get("priceTotal")
    if total is None and len(currencies) <= 1:
        try:
            total = sum(Decimal(str(p.get("priceTotal") or 0)) for p in products)
        except InvalidOperation:
            return {}
    if total is None or not isinstance(currency, str):
        return {}
    return {ORDER_VALUE: str(total), ORDER_CURRENCY: currency}


def _action(item: dict[str, Any]) -> dict[str, Any]:
    decisioning = (item.get("_experience") or {}).get("decisioning") or {}
    return decisioning.get("propositionAction") or {}


def _tokens(action: dict[str, Any], items: list[dict[str, Any]]) -> list[list[str]]:
    """The tokens of each item: those that the action names, else the items' own. A token that belongs to no item stands at
    its place where there are as many tokens as items, else with the first. None stands twice: each is one outcome.
    """
    own = [_texts((item.get("characteristics") or {}).get("tokens")) for item in items]
    listed = _texts(action.get("tokens"))
    if not listed:
        return own
    found = [[token for token in tokens if token in listed] for tokens in own]
    if not any(found) and len(listed) == len(items):
        return [[token] for token in listed]
    known = {token for tokens in own for token in tokens}
    found[0] = [*found[0], *(token for token in listed if token not in known)]
    return found


def _texts(value: Any) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    return [text for text in listed if isinstance(text, str)]


def _propositions(item: dict[str, Any], base: dict[str, Any]) -> Iterator[Event]:
    """Adobe's own pages name the list both `proposition` and `propositions`: both are read."""
    decisioning = (item.get("_experience") or {}).get("decisioning") or {}
    listed = decisioning.get("propositions") or decisioning.get("proposition") or []
    propositions = [p for p in (listed if isinstance(listed, list) else [listed]) if isinstance(p, dict)]
    action = _action(item)
    offers = [(p, i) for p in propositions for i in (p.get("items") or [{}]) if isinstance(i, dict)] or [({}, {})]
    tokens = _tokens(action, [shown for _, shown in offers])
    for number, (proposition, shown) in enumerate(offers):
        fields = base | {
            "eventId": f"{base['eventId']}:{number}" if len(offers) > 1 else base["eventId"],
            "offerId": shown.get("id"),
            "properties": {
                key: value
                for key, value in (
                    ("propositionId", proposition.get("id")),
                    ("scope", proposition.get("scope")),
                    ("kind", _XDM_KINDS[base["type"]]),
                    ("tokens", tokens[number] or None),
                    ("actionId", action.get("id")),
                )
                if value is not None
            },
        }
        yield msgspec.convert({k: v for k, v in fields.items() if v is not None}, Event)
