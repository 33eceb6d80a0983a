"""The base of the service clients: headers, deadlines, decoding, errors. One pool per client, made once."""

from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from shared import telemetry
from shared.clients.local import LateApp, Reply
from shared.context import (
    INTERNAL_TOKEN_HEADER,
    KEY_ID_HEADER,
    REQUEST_ID_HEADER,
    TENANT_HEADER,
    TRACEPARENT_HEADER,
    current,
)
from shared.contracts.base import FieldError, Health, Problem
from shared.errors import AtelierError, UnavailableError

AnswerT = TypeVar("AnswerT")
_SERVER_ERROR = 500
_CLIENT_ERROR = 400
_HEALTH_SECONDS = 1.5


class RemoteProblemError(AtelierError):
    """Another service refused the request; its problem document is passed on as it is."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail, errors=[msgspec.structs.replace(e) for e in problem.errors])
        self.status, self.title, self._code = problem.status, problem.title, problem.code

    @property
    def code(self) -> str:
        """The code the other service gave."""
        return self._code


def segment(value: str) -> str:
    """One path segment, quoted."""
    return quote(value, safe="")


class ServiceClient:
    """Calls one service as the current tenant. 4xx come back as the same problem; anything else as unavailable.

    Args:
        name: the service, for error texts.
        http: a client whose base URL or ASGI transport leads to the service.
        internal_token: the suite's shared secret.
        local: the service's app when it runs in this process; then no HTTP client is in between.
    """

    def __init__(self, name: str, http: httpx.AsyncClient, internal_token: str, local: LateApp | None = None) -> None:
        self._local = local
        self._name = name
        self._http = http
        self._token = internal_token

    def headers(self) -> dict[str, str]:
        """What every call carries: token, tenant, request id, the public key that asked, trace context."""
        context = current()
        if context is None or not context.tenant:
            message = f"call to {self._name} outside of a tenant's request"
            raise RuntimeError(message)
        headers = {
            INTERNAL_TOKEN_HEADER: self._token,
            TENANT_HEADER: context.tenant,
            REQUEST_ID_HEADER: context.request_id,
            "content-type": "application/json",
        }
        if context.key_id:
            headers[KEY_ID_HEADER] = context.key_id
        if parent := telemetry.traceparent():
            headers[TRACEPARENT_HEADER] = parent
        return headers

    async def call(
        self,
        method: str,
        path: str,
        answer: type[AnswerT],
        *,
        body: msgspec.Struct | list[Any] | dict[str, Any] | None = None,
        params: dict[str, Any] | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109  (httpx's own deadline, seconds)
    ) -> AnswerT:
        """One call, decoded into `answer`.

        Raises:
            RemoteProblemError: the service refused the request (4xx).
            UnavailableError: it could not be reached, failed or did not answer in time.
        """
        if self._local is not None and method == "POST" and self._local.takes(path):
            found: AnswerT = await self._ask(self._local, path, body)
            return found
        content = msgspec.json.encode(body) if body is not None else None
        response = await self.send(method, path, content=content, params=params, timeout=timeout)
        if answer is type(None):
            return None
        return msgspec.json.decode(response.content, type=answer)

    async def _ask(self, local: LateApp, path: str, body: Any) -> Any:
        """An express route of this process: the contracts themselves are handed over, nothing is encoded."""
        status, answer = await local.ask(path, body)
        if status >= _CLIENT_ERROR:
            self._raise_for(Reply(status, {}, answer))
        return answer

    async def send(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        content_type: str = "application/json",
        params: dict[str, Any] | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109  (httpx's own deadline, seconds)
    ) -> httpx.Response | Reply:
        """One call of bytes for bytes; raises as `call` does."""
        given = {k: v for k, v in (params or {}).items() if v is not None}
        headers = self.headers() | {"content-type": content_type}
        if self._local is not None:
            reply = await self._local.request(method, path, content=content or b"", params=given, headers=headers)
            self._raise_for(reply)
            return reply
        try:
            response = await self._http.request(
                method, path, content=content, params=given, headers=headers, timeout=timeout
            )
        except httpx.HTTPError as error:
            message = f"The {self._name} service does not answer ({type(error).__name__})."
            raise UnavailableError(message, retry_after=2) from error
        self._raise_for(response)
        return response

    async def health(self) -> str:
        """How the service says it is: "ok", else what is wrong; raises httpx.HTTPError when it does not answer."""
        path = "/health/ready"
        response = (
            await self._http.get(path, timeout=_HEALTH_SECONDS)
            if self._local is None
            else await self._local.request("GET", path, content=b"", params={}, headers={})
        )
        found = msgspec.json.decode(response.content, type=Health)
        wrong = [f"{name}: {said}" for name, said in found.checks.items() if said != "ok"]
        return "; ".join([found.status, *wrong]) if wrong else "ok"

    def _raise_for(self, response: httpx.Response | Reply) -> None:
        if response.status_code < _CLIENT_ERROR:
            return
        try:
            problem = msgspec.json.decode(response.content, type=Problem)
        except msgspec.DecodeError:
            problem = Problem(type="about:blank", title="Error", status=response.status_code, detail="", code="error",
                              errors=[FieldError(field="", message="no problem document")])  # fmt: skip
        if response.status_code >= _SERVER_ERROR:
            message = f"The {self._name} service failed: {problem.detail or response.status_code}"
            raise UnavailableError(message, retry_after=2)
        raise RemoteProblemError(problem)
