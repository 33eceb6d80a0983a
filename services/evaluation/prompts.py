"""What the judge is asked, from the files in prompts/evaluation."""

from pathlib import Path
from typing import Any, Literal

import msgspec

from services.evaluation.judge import Judge, JudgeError, tightened
from services.evaluation.spending import Spent
from shared.prompts import Head, PromptFile


class JudgeHead(Head, frozen=True, forbid_unknown_fields=True):
    """A prompt of the judge; `output` is the JSON schema of its answer."""

    output: dict[str, Any]


class _Verdict(msgspec.Struct, forbid_unknown_fields=True):
    faithful: Literal["yes", "no"]


class _Better(msgspec.Struct, forbid_unknown_fields=True):
    better: Literal["A", "B"]


class JudgePrompts:
    """The prompts of a folder.

    Raises:
        PromptError: one is missing or wrong.
    """

    def __init__(self, folder: Path) -> None:
        own = folder / "evaluation"
        self._question = PromptFile(own / "question.md", Head)
        self._verdict = PromptFile(own / "verdict.md", JudgeHead)
        self._pair = PromptFile(own / "pair.md", JudgeHead)
        self.version = ",".join(prompt.version for prompt in (self._question, self._verdict, self._pair))

    def question(self, *, product: str) -> str:
        """What a piece of copy about a product answers."""
        return self._question.render(product=_data(product))

    async def verdict(self, judge: Judge, record: list[str], message: str, seed: int, spent: Spent) -> bool:
        """Does the judge find the message faithful?

        Raises:
            JudgeError: no usable answer.
        """
        prompt = self._verdict.render(record=_data("\n".join(record)), message=_data(message))
        answer: _Verdict = _read(await judge.ask(prompt, tightened(self._verdict.head.output), seed, spent), _Verdict)
        return answer.faithful == "yes"

    async def first_is_better(
        self, judge: Judge, record: list[str], first: str, second: str, seed: int, spent: Spent
    ) -> bool:
        """Does the judge prefer the first of two messages?

        Raises:
            JudgeError: no usable answer.
        """
        prompt = self._pair.render(record=_data("\n".join(record)), first=_data(first), second=_data(second))
        answer: _Better = _read(await judge.ask(prompt, tightened(self._pair.head.output), seed, spent), _Better)
        return answer.better == "A"


def _data(text: str) -> str:
    """Nothing in it can close a tag."""
    return text.replace("<", " ").replace(">", " ")


def _read(text: str, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise JudgeError("invalid_answer") from error
