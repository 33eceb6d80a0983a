"""Between Adobe's Edge messages and our contracts. Pure."""

import base64
import binascii
from typing import Any

import msgspec

from shared.contracts.base import FieldError
from shared.contracts.decisions import PAGE_LENGTH, Decision, DecisionRequest
from shared.contracts.edge import EdgeHandle, EdgeWarning, InteractRequest
from shared.contracts.events import EventsIngested
from shared.errors import InvalidInputError

_OUTCOMES = {"decisioning.propositionDisplay", "decisioning.propositionInteract", "decisioning.propositionDismiss"}
_OURS = "atelier"
_REFUSED = 422


def is_outcome(request: InteractRequest) -> bool:
    """Does the event say what became of propositions?"""
    kind = request.event.xdm.get("eventType")
    return isinstance(kind, str) and kind in _OUTCOMES


def as_event(request: InteractRequest, request_id: str) -> dict[str, Any]:
    """The XDM event with the id that makes repeating it harmless."""
    return {"_id": request.event.xdm.get("_id") or request_id, **request.event.xdm}


def scope_name(raw: str) -> str:
    """A plain scope as it is; of a legacy scope (base64 of JSON) its placement."""
    try:
        found = msgspec.json.decode(base64.b64decode(raw, validate=True))
        return str(found["placementId"]) if isinstance(found, dict) and found.get("placementId") else raw
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return raw


def as_request(request: InteractRequest) -> DecisionRequest | None:
    """The decision asked for; None when no scope is.

    Raises:
        InvalidInputError: the identity map or a scope is not well formed.
    """
    wanted = request.query.personalization
    scopes = [*wanted.decision_scopes, *wanted.surfaces] if wanted else []
    if not scopes:
        return None
    xdm, ours = request.event.xdm, request.event.data.get(_OURS)
    own = ours if isinstance(ours, dict) else {}
    web = xdm.get("web") if isinstance(xdm.get("web"), dict) else {}
    page = (web.get("webPageDetails") or {}) if isinstance(web, dict) else {}
    fields = {
        "identityMap": xdm.get("identityMap") or {},
        "scopes": list(dict.fromkeys(scope_name(scope) for scope in scopes)),
        "channel": "web",
        "limit": 1,
        "page": _page(page.get("URL") if isinstance(page, dict) else None),
        **own,
    }
    if xdm.get("timestamp"):
        fields["at"] = xdm["timestamp"]
    try:
        return msgspec.convert(fields, DecisionRequest)
    except msgspec.ValidationError as error:
        message = f"event or query: {error}"
        raise InvalidInputError(message, errors=[FieldError(field="event", message=str(error))]) from error


def _page(url: Any) -> Any:
    """Addresses may be longer than a decision needs: query strings of campaigns."""
    return url[:PAGE_LENGTH] if isinstance(url, str) else url


def warnings(ingested: EventsIngested) -> list[EdgeWarning]:
    """What of an event was refused, each with its field."""
    return [
        EdgeWarning(type="urn:atelier:problem:outcome-refused", status=_REFUSED, title="Outcome refused",
                    detail=" ".join(filter(None, [error.field, error.message])))
        for error in ingested.errors
    ]  # fmt: skip


def handles(decision: Decision) -> list[EdgeHandle]:
    """The propositions, in Adobe's envelope."""
    payload = [msgspec.to_builtins(proposition) for proposition in decision.propositions if proposition.items]
    return [EdgeHandle(type="personalization:decisions", payload=payload)]
