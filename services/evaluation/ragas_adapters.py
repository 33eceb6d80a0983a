"""RAGAS on the suite's own parts: its embeddings are retrieval's, its model is the judge.

Importing it takes seconds and 200 MB, so only the worker does, and only when a run needs it.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError
from ragas.embeddings.base import BaseRagasEmbedding
from ragas.llms.base import InstructorBaseRagasLLM

from services.evaluation import ragas_telemetry
from services.evaluation.judge import BINARY, Judge, JudgeError, tightened
from services.evaluation.spending import Spent
from shared.clients.retrieval import RetrievalClient
from shared.contracts.retrieval import EmbedRequest

__all__ = ["JudgeModel", "KnownVectors", "ServiceVectors", "ragas_telemetry"]


class KnownVectors(BaseRagasEmbedding):
    """Vectors that were asked for beforehand, all texts of a batch in one call."""

    def __init__(self, vectors: Mapping[str, list[float]]) -> None:
        super().__init__()
        self._vectors = vectors

    def embed_text(self, text: str, **_: Any) -> list[float]:
        """The vector of a known text."""
        return self._vectors[text]

    async def aembed_text(self, text: str, **_: Any) -> list[float]:
        """The same."""
        return self._vectors[text]


class ServiceVectors(BaseRagasEmbedding):
    """Vectors of the text model that search uses."""

    def __init__(self, retrieval: RetrievalClient) -> None:
        super().__init__()
        self._retrieval = retrieval

    def embed_text(self, text: str, **_: Any) -> list[float]:
        """RAGAS asks this only where it is not asynchronous, which is nowhere here."""
        raise NotImplementedError

    async def aembed_text(self, text: str, **_: Any) -> list[float]:
        """One vector."""
        return (await self.aembed_texts([text]))[0]

    async def aembed_texts(self, texts: list[str], **_: Any) -> list[list[float]]:
        """Vectors in the order of the texts."""
        return (await self._retrieval.embed(EmbedRequest(texts=texts))).embeddings


class JudgeModel(InstructorBaseRagasLLM):
    """The judge as RAGAS sees it: a prompt and a pydantic model in, an answer that keeps to the model out."""

    def __init__(self, judge: Judge, seed: int, spent: Spent) -> None:
        self._judge = judge
        self._seed = seed
        self._spent = spent

    def generate(self, prompt: str, response_model: type[Any]) -> Any:
        """RAGAS asks this only where it is not asynchronous, which is nowhere here."""
        raise NotImplementedError

    async def agenerate(self, prompt: str, response_model: type[BaseModel]) -> Any:
        """One answer.

        Raises:
            JudgeError: there is none that can be used.
        """
        text = await self._judge.ask(prompt, _schema(response_model), self._seed, self._spent)
        try:
            answer = response_model.model_validate_json(text)
        except ValidationError as error:
            raise JudgeError("invalid_answer") from error
        _check(answer)
        return answer


@lru_cache(maxsize=64)
def _schema(response_model: type[BaseModel]) -> dict[str, Any]:
    return dict(tightened(response_model.model_json_schema()))


def _check(part: Any) -> None:
    """RAGAS takes any number for a verdict, and makes a score out of no answers at all."""
    if isinstance(part, list):
        if not part:
            raise JudgeError("empty_answer")
        for one in part:
            _check(one)
    elif isinstance(part, BaseModel):
        for name in type(part).model_fields:
            value = getattr(part, name)
            if name in BINARY and value not in (0, 1):
                raise JudgeError("verdict_out_of_range")
            _check(value)
    elif isinstance(part, str) and not part.strip():
        raise JudgeError("empty_answer")
