"""Adobe Edge Network server API, as far as personalization needs it. Fields it has and we do not use are passed over."""

from typing import Any

import msgspec

from shared.contracts.base import Contract


class _Tolerant(msgspec.Struct, rename="camel", kw_only=True):
    """A vendor's message: unknown fields are the vendor's business."""


class EdgeEvent(_Tolerant, kw_only=True):
    """The event: XDM, and free data."""

    xdm: dict[str, Any] = {}
    data: dict[str, Any] = {}


class EdgePersonalization(_Tolerant, kw_only=True):
    """What is asked for: plain names, or base64 of `{"activityId", "placementId"}`."""

    schemas: list[str] = []
    surfaces: list[str] = []
    decision_scopes: list[str] = []


class EdgeQuery(_Tolerant, kw_only=True):
    """The query."""

    personalization: EdgePersonalization | None = None


class InteractRequest(_Tolerant, kw_only=True):
    """`POST /ee/v2/interact`."""

    event: EdgeEvent = msgspec.field(default_factory=EdgeEvent)
    query: EdgeQuery = msgspec.field(default_factory=EdgeQuery)
    meta: dict[str, Any] = {}


class EdgeHandle(Contract, kw_only=True):
    """One answer; for `personalization:decisions` the payload is a list of propositions."""

    type: str
    payload: list[dict[str, Any]]


class EdgeWarning(Contract, kw_only=True):
    """Something that was not done, though the call was answered."""

    type: str
    status: int
    title: str
    detail: str


class InteractAnswer(Contract, kw_only=True):
    """The answers to one call, and what of it was refused."""

    request_id: str
    handle: list[EdgeHandle]
    warnings: list[EdgeWarning] = []
