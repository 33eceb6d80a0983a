"""The one way to the judge: an OpenAI-compatible server that may answer anything. What is unusable has a reason class.

Answers are asked for as JSON of a schema (structured output), with every list and text in it bounded, so that a small
model cannot ramble; nothing is asked twice.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Self

import httpx2
import openai

from services.evaluation.settings import EvaluationSettings
from services.evaluation.spending import Spent
from shared import telemetry
from shared.settings import Settings

# Fields of RAGAS's answers that say yes or no.
BINARY = ("verdict", "attributed", "noncommittal")
_MOST_BYTES = 200_000
_MOST_CHARS = 20_000
_MOST_TOKENS = 1_000_000
_MOST_ITEMS, _MOST_LETTERS = 12, 300


class JudgeError(Exception):
    """The judge gave nothing that can be used; `reason` is a class of reasons, never its words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _TooLargeError(Exception):
    """A body without end."""


class _Capped(httpx2.AsyncByteStream):
    """A body that is given up once it is larger than any answer can be."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = 0
        async for piece in self._inner:
            total += len(piece)
            if total > _MOST_BYTES:
                raise _TooLargeError
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()


class _CappedTransport(httpx2.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        response.stream = _Capped(response.stream)
        return response


class Judge:
    """Asks. One a run and worker; `given_up` once too many calls in a row did not get through."""

    def __init__(self, settings: Settings, own: EvaluationSettings) -> None:
        url, self.model, key = own.judge_of(settings)
        self._own = own
        self._client = openai.AsyncOpenAI(
            base_url=url or "http://127.0.0.1:9/v1", api_key=key or "none", max_retries=0,
            http_client=httpx2.AsyncClient(
                transport=_CappedTransport(), timeout=own.evaluation_judge_seconds, trust_env=False
            ),
        )  # fmt: skip
        self._failures = 0
        self.given_up = not url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def ask(self, prompt: str, schema: dict[str, Any], seed: int, spent: Spent) -> str:
        """The text of an answer, which should be JSON of the schema.

        Args:
            prompt: the whole prompt.
            schema: JSON schema of the answer, see `tightened`.
            seed: same seed, same answer, as far as the server keeps to it.
            spent: what it cost is added here, failures included.

        Raises:
            JudgeError: no usable answer; the reason is one of judge_unavailable, timeout, unreachable, http_STATUS,
                too_long, invalid_response, empty_answer, truncated.
        """
        if self.given_up:
            raise JudgeError("judge_unavailable")
        started = time.perf_counter()
        spent.calls += 1
        try:
            with telemetry.span(
                f"judge {self.model}", {"gen_ai.operation.name": "chat", "gen_ai.request.model": self.model}
            ):
                async with asyncio.timeout(self._own.evaluation_judge_seconds):
                    answer = await self._client.chat.completions.create(**self._request(prompt, schema, seed))
        except Exception as error:
            reason = reason_of(error)
            self._missed(reason)
            raise JudgeError(reason) from error
        finally:
            spent.seconds += time.perf_counter() - started
        self._failures = 0
        return _text(answer, spent)

    def _request(self, prompt: str, schema: dict[str, Any], seed: int) -> dict[str, Any]:
        wanted = {"name": "answer", "schema": schema, "strict": True}
        # As a part of the body that the client does not look at: it would walk through the schema with every call.
        form = {"response_format": {"type": "json_schema", "json_schema": wanted}}
        return {
            "model": self.model, "messages": [{"role": "user", "content": prompt}], "seed": seed, "temperature": 0.0,
            "max_tokens": self._own.evaluation_judge_max_tokens, "extra_body": form,
        }  # fmt: skip

    def _missed(self, reason: str) -> None:
        """Only what says that the server is not there counts: a refused request says that it is."""
        absent = reason in {"timeout", "unreachable"} or reason.startswith("http_5")
        self._failures = self._failures + 1 if absent else 0
        self.given_up = self._failures >= self._own.evaluation_judge_give_up


def reason_of(error: Exception) -> str:
    """The class of a failed call."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _TooLargeError):
            return "too_long"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, TimeoutError | openai.APITimeoutError):
        return "timeout"
    if isinstance(error, openai.APIStatusError):
        return f"http_{error.status_code}"
    if isinstance(error, openai.APIConnectionError | httpx2.HTTPError):
        return "unreachable"
    return "invalid_response"


def _text(answer: Any, spent: Spent) -> str:
    """The words of the first choice; whatever shape the server gave its answer."""
    try:
        used = answer.usage
        if used is not None:
            spent.prompt_tokens += min(max(0, int(used.prompt_tokens)), _MOST_TOKENS)
            spent.completion_tokens += min(max(0, int(used.completion_tokens)), _MOST_TOKENS)
        choice = answer.choices[0]
        text, ended = choice.message.content, choice.finish_reason
    except Exception as error:
        raise JudgeError("invalid_response") from error
    if not isinstance(text, str) or not text.strip():
        raise JudgeError("empty_answer")
    if ended == "length":
        raise JudgeError("truncated")
    if len(text) > _MOST_CHARS:
        raise JudgeError("too_long")
    return text


def tightened(schema: Any) -> Any:
    """The schema with closed objects, bounded lists and texts, and only 0 and 1 where RAGAS asks for yes or no."""
    if isinstance(schema, list):
        return [tightened(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: tightened(part) for name, part in schema.items()}
    if made.get("type") == "object":
        made["additionalProperties"] = False
        made["properties"] = {
            name: {**part, "enum": [0, 1]} if name in BINARY else part for name, part in made["properties"].items()
        }
    elif made.get("type") == "array":
        made.setdefault("maxItems", _MOST_ITEMS)
    elif made.get("type") == "string" and "enum" not in made:
        made.setdefault("maxLength", _MOST_LETTERS)
    return made
