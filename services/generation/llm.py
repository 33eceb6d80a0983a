"""The one way to the model server: deadline, limit of calls in flight, breaker, span, metrics. No retries here."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import msgspec
import openai
from prometheus_client import Counter, Histogram

from services.generation.breaker import Breaker
from services.generation.errors import AdapterMissingError, ModelError, TooSlowError
from services.generation.settings import GenerationSettings
from shared import telemetry
from shared.contracts.generation import Usage
from shared.settings import Settings

CALLS = Counter("atelier_model_calls_total", "Calls of the model server", ["outcome"])
TOKENS = Counter("atelier_model_tokens_total", "Tokens in and out of the model", ["direction"])
SECONDS = Histogram("atelier_model_seconds", "Time of a model call", buckets=(0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32))
_MAX_ANSWER = 20_000


class Answer(msgspec.Struct, frozen=True):
    """One candidate and its mean log-probability a token (0 where the server gives none)."""

    text: str
    fluency: float = 0.0


class Answers(msgspec.Struct):
    """What the model said, one answer a candidate, and what it cost."""

    candidates: list[Answer]
    usage: Usage


def messages(prompt: str) -> list[dict[str, str]]:
    """A prompt in the chat form in which the model gets it, in training too."""
    return [{"role": "user", "content": prompt}]


class ChatModel:
    """A chat model behind an OpenAI-compatible server (vLLM)."""

    def __init__(self, settings: Settings, own: GenerationSettings) -> None:
        self.name = settings.llm_model
        self._own = own
        self._configured = bool(settings.llm_base_url)
        self._client = openai.AsyncOpenAI(
            base_url=settings.llm_base_url or "http://127.0.0.1:9/v1",
            api_key=settings.llm_api_key,
            max_retries=0,
        )
        self._slots = asyncio.Semaphore(own.generation_concurrency)
        self.breaker = Breaker(own.generation_breaker_failures, own.generation_breaker_seconds)

    def version(self, adapter: str) -> str:
        """Which model wrote, adapter included."""
        return f"{self.name}+{adapter}" if adapter else self.name

    def _request(self, prompt: str, schema: dict[str, Any], seed: int, candidates: int, adapter: str) -> dict[str, Any]:
        return {
            "model": adapter or self.name,  # vLLM serves an adapter under a name of its own
            "messages": messages(prompt),
            "n": candidates,
            "seed": seed,
            "temperature": self._own.generation_temperature,
            "max_tokens": self._own.generation_max_tokens,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "copy", "schema": schema, "strict": True},
            },
        }

    def _admit(self) -> None:
        if not self._configured:
            raise ModelError("llm_unavailable: no model server is configured (LLM_BASE_URL)")
        if not self.breaker.admits():
            raise ModelError("llm_unavailable: the model server failed repeatedly, not asked again yet")

    async def complete(
        self, prompt: str, schema: dict[str, Any], *, seed: int, candidates: int, seconds: float, adapter: str = ""
    ) -> Answers:
        """Ask once.

        Args:
            prompt: the whole prompt.
            schema: JSON schema of the answer.
            seed: same seed, same answer on the same idle server.
            candidates: how many answers.
            seconds: deadline of the whole call, waiting for a slot included.
            adapter: the one of the model's adapters that answers; "" for the model as it is.

        Raises:
            AdapterMissingError: the server does not have it; the breaker is not told.
            TooSlowError: no answer in time; the breaker has been told.
            ModelError: down, or nothing usable in the answer; the breaker has been told.
        """
        self._admit()
        attributes: dict[str, str | int | float | bool] = {
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "vllm", "gen_ai.request.model": self.version(adapter),
            "gen_ai.request.seed": seed, "gen_ai.request.choice.count": candidates,
            "gen_ai.request.max_tokens": self._own.generation_max_tokens,
        }  # fmt: skip
        started = time.perf_counter()
        with telemetry.span(f"chat {self.name}", attributes) as span:
            try:
                async with asyncio.timeout(seconds), self._slots:
                    response = await self._client.chat.completions.create(
                        **self._request(prompt, schema, seed, candidates, adapter), logprobs=True
                    )
                answers = _answers(response)
            except (TimeoutError, openai.OpenAIError, httpx2.HTTPError, ValueError, AttributeError, TypeError) as error:
                self._missing(error, adapter)
                self.breaker.failed()
                CALLS.labels(type(error).__name__).inc()
                raise _failure(error, seconds) from error
            except asyncio.CancelledError:
                self.breaker.released()
                raise
            self.breaker.succeeded()
            CALLS.labels("ok").inc()
            SECONDS.observe(time.perf_counter() - started)
            TOKENS.labels("input").inc(answers.usage.prompt_tokens)
            TOKENS.labels("output").inc(answers.usage.completion_tokens)
            span.set_attribute("gen_ai.usage.input_tokens", answers.usage.prompt_tokens)
            span.set_attribute("gen_ai.usage.output_tokens", answers.usage.completion_tokens)
            return answers

    def _missing(self, error: Exception, adapter: str) -> None:
        """Says so when it was the adapter that the server did not know."""
        if adapter and isinstance(error, openai.NotFoundError):
            self.breaker.released()
            CALLS.labels("adapter_missing").inc()
            message = f"adapter_missing: the model server does not have {adapter}, written by {self.name} as it is"
            raise AdapterMissingError(message) from error

    async def stream(
        self, prompt: str, schema: dict[str, Any], *, seed: int, seconds: float, adapter: str = ""
    ) -> AsyncIterator[str]:
        """The pieces of one answer as they come. Leaving the loop ends the call.

        Raises:
            ModelError: as `complete`.
        """
        self._admit()
        total = 0
        try:
            async with asyncio.timeout(seconds), self._slots:
                request = self._request(prompt, schema, seed, 1, adapter)
                async with await self._client.chat.completions.create(**request, stream=True) as chunks:
                    async for chunk in chunks:
                        piece = chunk.choices[0].delta.content if chunk.choices else None
                        if piece:
                            total += len(piece)
                            if total > _MAX_ANSWER:
                                raise ValueError("the answer does not end")
                            yield piece
        except (TimeoutError, openai.OpenAIError, httpx2.HTTPError, ValueError, AttributeError, TypeError) as error:
            self._missing(error, adapter)
            self.breaker.failed()
            raise _failure(error, seconds) from error
        except (asyncio.CancelledError, GeneratorExit):
            self.breaker.released()
            raise
        self.breaker.succeeded()

    async def listed(self) -> str:
        """Health: "ok" when the server lists the model."""
        if not self._configured:
            return "no model server is configured"
        names = [model.id async for model in self._client.models.list()]
        return "ok" if self.name in names else f"the server has {', '.join(names)}, not {self.name}"

    async def close(self) -> None:
        """Close the pool."""
        await self._client.close()


def _answers(response: Any) -> Answers:
    said = [choice for choice in response.choices or [] if choice.message.content]
    if not said:
        raise ValueError("an empty answer")
    if max(len(choice.message.content) for choice in said) > _MAX_ANSWER:
        raise ValueError("an answer without end")
    used = response.usage
    return Answers(
        candidates=[Answer(choice.message.content, _fluency(choice)) for choice in said],
        usage=Usage(
            calls=1,
            prompt_tokens=used.prompt_tokens if used else 0,
            completion_tokens=used.completion_tokens if used else 0,
        ),
    )


def _fluency(choice: Any) -> float:
    tokens = choice.logprobs.content if choice.logprobs else None
    return float(sum(token.logprob for token in tokens) / len(tokens)) if tokens else 0.0


def _failure(error: Exception, seconds: float) -> ModelError:
    if isinstance(error, TimeoutError | openai.APITimeoutError):
        return TooSlowError(f"llm_unavailable: no answer within {seconds:.1f} s")
    if isinstance(error, openai.APIStatusError):
        return ModelError(f"llm_unavailable: the model server answered {error.status_code}")
    return ModelError(f"llm_unavailable: {type(error).__name__}")
