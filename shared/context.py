"""Who is asking: tenant and request id, bound for one request and carried to every call and task made in it."""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec

TENANT_HEADER = "x-atelier-tenant"
REQUEST_ID_HEADER = "x-request-id"
INTERNAL_TOKEN_HEADER = "x-atelier-internal-token"  # noqa: S105  (a header's name)
TRACEPARENT_HEADER = "traceparent"
KEY_ID_HEADER = "x-atelier-key-id"


class CallContext(msgspec.Struct, frozen=True):
    """The context of one request or task."""

    tenant: str
    request_id: str
    service: str = ""
    key_id: str = ""


_current: ContextVar[CallContext | None] = ContextVar("atelier_call_context", default=None)


@contextmanager
def bound(context: CallContext) -> Iterator[CallContext]:
    """Make `context` the current one inside the block, and part of its log lines; restores the outer one."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def current() -> CallContext | None:
    """The context of the running request or task, None outside of one."""
    return _current.get()


def logged(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog: each line says whose request it belongs to. What a line says itself stays."""
    context = _current.get()
    if context is not None:
        for name in context.__struct_fields__:
            if (value := getattr(context, name)) and name not in line:
                line[name] = value
    return line


def tenant() -> str:
    """The tenant of the running request or task.

    Raises:
        RuntimeError: called outside of one; a programming error, never a caller's.
    """
    context = _current.get()
    if context is None or not context.tenant:
        raise RuntimeError("no tenant is bound")
    return context.tenant
