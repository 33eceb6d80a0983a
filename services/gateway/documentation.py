"""What the generated OpenAPI document lacks: examples, problem answers, raw bodies."""

import asyncio
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
from litestar import Request
from litestar.openapi.spec import (
    Example,
    OpenAPI,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Reference,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

_PROBLEMS = {
    "400": "The body is not JSON.",
    "401": "No API key, or one that is unknown, expired or revoked.",
    "403": "The key lacks the scope.",
    "404": "This tenant has no such thing.",
    "409": "It contradicts what is stored or running.",
    "413": "The body is too large.",
    "422": "A field is wrong; `errors` names it, what was given and what is allowed.",
    "429": "Too many requests with this key; `Retry-After` says when to come back.",
    "503": "A part that this answer cannot do without is down; `Retry-After` says when to come back.",
}
_RAW = {
    ("PUT", "/v1/assets/{key}/image"): "A picture: PNG, JPEG, WebP, GIF, or SVG without scripts.",
    ("PUT", "/v1/batches/{batch_id}/audience"): "People: CSV, JSONL or Parquet with the column profileId.",
    ("PUT", "/v1/imports/{job_id}/file"): "The announced file: CSV, JSONL or Parquet, also gzipped.",
}
_METHODS = ("get", "put", "post", "delete")


class RequestExample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request: `operation` is method and path as the document has it, `path` its parameters; `empty`: the status where
    a tenant has nothing that it could be about, if that is not success.
    """

    operation: str
    request: Any
    path: dict[str, str] = {}
    empty: int | None = None

    @property
    def url(self) -> str:
        """The path with its parameters filled in."""
        return self.operation.partition(" ")[2].format(**self.path)

    @property
    def method(self) -> str:
        """GET, PUT, ..."""
        return self.operation.partition(" ")[0]


@cache
def request_examples() -> list[RequestExample]:
    """The examples, in an order in which they can be sent."""
    raw = files("services.gateway").joinpath("examples.yaml").read_bytes()
    return msgspec.yaml.decode(raw, type=list[RequestExample])


class Completion:
    """Completes the document for who first reads it: half a second that no start has to wait for."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._done = False

    async def before(self, request: Request[Any, Any, Any]) -> None:
        """Litestar's hook before each request for the document or its page."""
        async with self._lock:
            if not self._done:
                await asyncio.to_thread(lambda: complete(request.app.openapi_schema))
                self._done = True


def complete(document: OpenAPI) -> None:
    """Add examples of requests, problem answers and raw bodies, in place (Litestar keeps no schema given beforehand)."""
    if document.components:
        document.components.schemas = document.components.schemas | _problem_schema()
    examples = {example.operation: example for example in request_examples()}
    for path, item in (document.paths or {}).items():
        for method in _METHODS:
            operation: Operation | None = getattr(item, method)
            if operation is None:
                continue
            _add_problems(operation)
            if operation.description:  # the handler's docstring says more than its name
                operation.summary = operation.description.splitlines()[0].rstrip(".")
            name = f"{method.upper()} {path}"
            if name in examples and isinstance(operation.request_body, RequestBody):
                for media in operation.request_body.content.values():
                    media.examples = {"example": Example(value=examples[name].request)}
            if (method.upper(), path) in _RAW:
                operation.request_body = _raw_body(_RAW[method.upper(), path])


def _add_problems(operation: Operation) -> None:
    schema = Reference(ref="#/components/schemas/Problem")
    for status, description in _PROBLEMS.items():
        content = {"application/problem+json": OpenAPIMediaType(schema=schema)}
        operation.responses = (operation.responses or {}) | {
            status: OpenAPIResponse(description=description, content=content)
        }


def _raw_body(description: str) -> RequestBody:
    binary = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
    return RequestBody(content={"application/octet-stream": OpenAPIMediaType(schema=binary)}, description=description,
                       required=True)  # fmt: skip


def _problem_schema() -> dict[str, Schema]:
    """The component that the problem answers refer to, after RFC 9457."""
    text, number = Schema(type=OpenAPIType.STRING), Schema(type=OpenAPIType.INTEGER)
    field = Schema(type=OpenAPIType.OBJECT, required=["field", "message"],
                   properties={"field": text, "message": text, "given": text, "allowed": text})  # fmt: skip
    return {
        "Problem": Schema(
            type=OpenAPIType.OBJECT,
            description="RFC 9457 problem details; `code` is stable, `errors` names fields.",
            required=["type", "title", "status", "detail", "code"],
            properties={"type": text, "title": text, "status": number, "detail": text, "code": text, "requestId": text,
                        "errors": Schema(type=OpenAPIType.ARRAY, items=field)},
            examples=[{"type": "about:blank", "title": "Invalid input", "status": 422, "code": "invalid-input",
                       "detail": "limit: Expected `int` <= 30", "requestId": "019ab0c4",
                       "errors": [{"field": "limit", "message": "Expected `int` <= 30", "given": "400"}]}],
        )
    }  # fmt: skip
