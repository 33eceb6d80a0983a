"""Every error leaves as RFC 9457 problem+json that names the field, what was given and what is allowed."""

from typing import Any

import msgspec
import redis.exceptions
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import Empty
from litestar.utils.scope.state import ScopeState
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.context import current
from shared.contracts.base import Problem
from shared.errors import AtelierError, InvalidInputError, TooLargeError, UnavailableError
from shared.fields import field_error, value_at

PROBLEM_JSON = "application/problem+json"
_STATUS_TOO_LARGE = 413
_SERVER_ERROR = 500

log = structlog.get_logger()


def problem_of(error: AtelierError) -> Problem:
    """The problem document of a named error, with the id of the running request."""
    context = current()
    return Problem(
        type=f"urn:atelier:problem:{error.code}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        code=error.code,
        request_id=context.request_id if context else None,
        errors=error.errors,
    )


def problem_response(error: AtelierError) -> Response[bytes]:
    """The HTTP answer for a named error."""
    headers = {"retry-after": str(error.retry_after)} if error.retry_after else {}
    return Response(
        msgspec.json.encode(problem_of(error)),
        status_code=error.status,
        media_type=PROBLEM_JSON,
        headers=headers,
    )


def _body_of(request: Request[Any, Any, Any]) -> Any:
    """The JSON body as Litestar has decoded it already; None when there was none."""
    decoded = ScopeState.from_scope(request.scope).json
    return None if decoded is Empty else decoded


def from_validation(request: Request[Any, Any, Any], error: ValidationException) -> Response[bytes]:
    """Litestar's validation errors, of bodies and of parameters."""
    extra = error.extra if isinstance(error.extra, list) else []
    body = _body_of(request)
    errors = []
    for item in extra:
        message, key = str(item.get("message", "")), str(item.get("key", ""))
        found = field_error(message, body)
        field = "body" if key == "data" else key or found.field
        errors.append(msgspec.structs.replace(found, field=field, given=found.given or value_at(body, field)))
    if not errors:
        errors = [field_error(str(error.__cause__ or error.detail), body)]
    summary = "; ".join(f"{e.field}: {e.message}" for e in errors[:5])
    return problem_response(InvalidInputError(summary, errors=errors))


def from_http(_: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Litestar's own HTTP errors: no such route, method not allowed, malformed JSON, too large, ..."""
    if error.status_code == _STATUS_TOO_LARGE:
        return problem_response(TooLargeError("The request body is larger than this endpoint accepts."))
    named = AtelierError(error.detail or "The request cannot be served.")
    named.status, named.title = error.status_code, type(error).__name__.removesuffix("Exception") or "Error"
    if error.status_code >= _SERVER_ERROR:
        log.error("web.http_error", status=error.status_code, exc_info=error)
    return problem_response(named)


def from_named(_: Request[Any, Any, Any], error: AtelierError) -> Response[bytes]:
    """Our own errors."""
    return problem_response(error)


def from_data_error(_: Request[Any, Any, Any], error: DataError) -> Response[bytes]:
    """Postgres refused a value (a NUL character in a text, a number out of range): the caller's input, no bug."""
    reason = str(error.orig).splitlines()[0] if error.orig else "value out of range"
    return problem_response(InvalidInputError(f"A value cannot be stored: {reason}"))


def from_depth(_: Request[Any, Any, Any], __: RecursionError) -> Response[bytes]:
    """A body nested deeper than any contract is."""
    return problem_response(InvalidInputError("The body is nested too deeply."))


def from_encoding(_: Request[Any, Any, Any], error: UnicodeDecodeError) -> Response[bytes]:
    """A text inside a body is not UTF-8; the JSON decoder says so with an error of its own that Litestar lets pass."""
    message = f"The body is not UTF-8: byte {error.object[error.start]:#04x} at position {error.start} of a text."
    return problem_response(InvalidInputError(message))


def from_outage(_: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A store is down."""
    log.warning("web.store_unavailable", kind=type(error).__name__)
    return problem_response(UnavailableError("A store this answer needs does not respond; try again.", retry_after=2))


def from_unexpected(_: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A bug: logged with its trace, told without it."""
    log.error("web.unexpected_error", exc_info=error)
    return problem_response(AtelierError("An unexpected error; the request id finds it in the log."))


def problem_to(error: Exception) -> Response[bytes]:
    """The answer to any error, for what the framework does not serve."""
    handler = next(EXCEPTION_HANDLERS[kind] for kind in type(error).__mro__ if kind in EXCEPTION_HANDLERS)
    response: Response[bytes] = handler(None, error)
    return response


EXCEPTION_HANDLERS: dict[Any, Any] = {
    AtelierError: from_named,
    ValidationException: from_validation,
    HTTPException: from_http,
    DataError: from_data_error,
    RecursionError: from_depth,
    UnicodeDecodeError: from_encoding,
    OperationalError: from_outage,
    InterfaceError: from_outage,
    PoolTimeoutError: from_outage,
    redis.exceptions.RedisError: from_outage,
    Exception: from_unexpected,
}
