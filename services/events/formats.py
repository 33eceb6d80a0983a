"""CloudEvents 1.0 and XDM experience events into native events. Pure; sources in docs/data-formats.md."""

from collections.abc import Iterator
from typing import Any

import msgspec

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
    if base["type"] in _XDM_KINDS:
        yield from _propositions(item, base)
        return
    products = [p for p in item.get("productListItems") or [] if isinstance(p, dict)]
    order = (item.get("commerce") or {}).get("order") or {}
    if not products:
        yield msgspec.convert(base | _money(order.get("priceTotal"), order.get("currencyCode")), Event, strict=False)
    for number, product in enumerate(products):
        fields = base | {
            "eventId": f"{base['eventId']}:{number}" if len(products) > 1 else base["eventId"],
            "productId": product.get("SKU"),
            "productName": product.get("name"),
            "quantity": product.get("quantity"),
            "sessionId": order.get("purchaseID"),
        }
        money = _money(product.get("priceTotal"), product.get("currencyCode") or order.get("currencyCode"))
        yield msgspec.convert({k: v for k, v in (fields | money).items() if v is not None}, Event, strict=False)


def _money(value: Any, currency: Any) -> dict[str, Any]:
    return {
        k: v for k, v in (("value", None if value is None else str(value)), ("currency", currency)) if v is not None
    }


def _propositions(item: dict[str, Any], base: dict[str, Any]) -> Iterator[Event]:
    """Adobe's own pages name the list both `proposition` and `propositions`: both are read."""
    decisioning = (item.get("_experience") or {}).get("decisioning") or {}
    listed = decisioning.get("propositions") or decisioning.get("proposition") or []
    propositions = [p for p in (listed if isinstance(listed, list) else [listed]) if isinstance(p, dict)]
    action = decisioning.get("propositionAction") or {}
    offers = [(p, i) for p in propositions for i in (p.get("items") or [{}]) if isinstance(i, dict)]
    for number, (proposition, shown) in enumerate(offers or [({}, {})]):
        fields = base | {
            "eventId": f"{base['eventId']}:{number}" if len(offers) > 1 else base["eventId"],
            "offerId": shown.get("id"),
            "properties": {
                key: value
                for key, value in (
                    ("propositionId", proposition.get("id")),
                    ("scope", proposition.get("scope")),
                    ("kind", _XDM_KINDS[base["type"]]),
                    ("tokens", action.get("tokens")),
                    ("actionId", action.get("id")),
                )
                if value is not None
            },
        }
        yield msgspec.convert({k: v for k, v in fields.items() if v is not None}, Event)
