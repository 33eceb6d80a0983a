"""Who is asking: tenant and request id, bound for one request and carried to every call and task made in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec
import structlog

TENANT_HEADER = "x-atelier-tenant"
REQUEST_ID_HEADER = "x-request-id"
INTERNAL_TOKEN_HEADER = "x-atelier-internal-token"  # noqa: S105  (a header's name)
TRACEPARENT_HEADER = "traceparent"


class CallContext(msgspec.Struct, frozen=True):
    """The context of one request or task."""

    tenant: str
    request_id: str


_current: ContextVar[CallContext | None] = ContextVar("atelier_call_context", default=None)


@contextmanager
def bound(context: CallContext) -> Iterator[CallContext]:
    """Make `context` the current one inside the block, and part of its log lines; restores the outer one.

    In-process calls nest, so the log's variables are bound for the block and never cleared.
    """
    known = {name: value for name, value in msgspec.structs.asdict(context).items() if value}
    token = _current.set(context)
    try:
        with structlog.contextvars.bound_contextvars(**known):
            yield context
    finally:
        _current.reset(token)


def current() -> CallContext | None:
    """The context of the running request or task, None outside of one."""
    return _current.get()


def tenant() -> str:
    """The tenant of the running request or task.

    Raises:
        RuntimeError: called outside of one; a programming error, never a caller's.
    """
    context = _current.get()
    if context is None or not context.tenant:
        raise RuntimeError("no tenant is bound")
    return context.tenant
