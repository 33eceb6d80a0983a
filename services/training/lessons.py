"""Approved and rejected answers as lessons for the chat model: what may be learnt from, and what is tried on later. Pure.

Only neutral text goes in: what was approved for everybody. What looks like a customer's data is refused, not cleaned: a model
learns by heart what it is shown often enough.
"""

import hashlib
import re
from collections.abc import Sequence

import msgspec
import numpy as np

from services.training.errors import BadDataError
from shared.contracts.base import FieldError

LEAST_APPROVED, LEAST_SUBJECTS, MOST = 20, 8, 2000
_LONGEST_PROMPT, _LONGEST_ANSWER = 12_000, 1_000
_DUPLICATES, _TEST_SHARE = 0.5, 0.25
_PRIVATE = {
    "an e-mail address": re.compile(r"[^\s@]+@[^\s@]+\.[a-z]{2,}", re.IGNORECASE),
    "a telephone or card number": re.compile(r"(?:\d[ ().-]?){7,}"),
    "a link": re.compile(r"https?://|\bwww\.", re.IGNORECASE),
}
_FIGURE = re.compile(r"\d")


class Message(msgspec.Struct, frozen=True, order=True):
    """One message of a chat."""

    role: str
    content: str


class Example(msgspec.Struct, frozen=True):
    """What the model is asked, an answer, and whether a person or a check approved it. `subject`: the offer that it is of."""

    subject: str
    messages: tuple[Message, ...]
    answer: str
    approved: bool


class Lessons(msgspec.Struct, frozen=True):
    """Examples that may be learnt from. `held`: the offers that training never sees."""

    examples: tuple[Example, ...]
    held: frozenset[str]
    notes: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 over all of them, in their order."""
        return hashlib.sha256(msgspec.json.encode(self.examples)).hexdigest()

    def approved(self, *, held: bool) -> list[Example]:
        """The approved ones of the offers that are held back, or of the others."""
        return [one for one in self.examples if one.approved and (one.subject in self.held) == held]

    def pairs(self, *, held: bool) -> list[tuple[Example, Example]]:
        """(approved, rejected) answers to the same question, each rejected one once."""
        chosen: dict[tuple[Message, ...], list[Example]] = {}
        for one in self.approved(held=held):
            chosen.setdefault(one.messages, []).append(one)
        found, taken = [], dict.fromkeys(chosen, 0)
        for one in self.examples:
            if not one.approved and one.messages in chosen:
                better = chosen[one.messages]
                found.append((better[taken[one.messages] % len(better)], one))
                taken[one.messages] += 1
        return found


def examine(given: Sequence[Example], seed: int) -> Lessons:
    """What may be learnt from, and which offers are held back for the figures (a quarter, by seed).

    Raises:
        BadDataError: too few approved answers or offers, mostly duplicates, the same answer both approved and rejected, or
            something that is no answer of the writer or looks like a customer's data.
    """
    for one in given:
        _look_at(one)
    unique = list(dict.fromkeys(sorted(given, key=lambda e: (e.subject, e.messages, e.answer, e.approved))))
    doubles = len(given) - len(unique)
    if given and doubles / len(given) > _DUPLICATES:
        raise _bad("answer", f"{doubles} of {len(given)} examples are duplicates")
    verdicts: dict[tuple[tuple[Message, ...], str], bool] = {}
    for one in unique:
        if verdicts.setdefault((one.messages, one.answer), one.approved) != one.approved:
            raise _bad("approved", f"the same answer about {one.subject!r} is both approved and rejected")
    approved = [one for one in unique if one.approved]
    subjects = sorted({one.subject for one in approved})
    if len(approved) < LEAST_APPROVED or len(subjects) < LEAST_SUBJECTS:
        raise _bad("dataset", f"{len(approved)} different approved answers about {len(subjects)} offers; "
                              f"{LEAST_APPROVED} about {LEAST_SUBJECTS} are needed")  # fmt: skip
    if len(unique) > MOST:
        raise _bad("dataset", f"{len(unique)} examples; {MOST} at most")
    order = np.random.default_rng([seed, 11]).permutation(len(subjects))
    held = frozenset(subjects[k] for k in order[: max(2, round(_TEST_SHARE * len(subjects)))])
    notes = (f"{doubles} duplicates left out",) if doubles else ()
    return Lessons(tuple(unique), held, notes)


def _look_at(one: Example) -> None:
    if not one.messages or sum(len(m.content) for m in one.messages) > _LONGEST_PROMPT:
        raise _bad("prompt", f"the prompt about {one.subject!r} is empty or longer than {_LONGEST_PROMPT} characters")
    try:
        said = msgspec.json.decode(one.answer, type=dict[str, str]) if len(one.answer) <= _LONGEST_ANSWER else {}
    except msgspec.DecodeError:
        said = {}
    if not said or not all(said.values()):
        raise _bad(
            "answer", f"the answer about {one.subject!r} is not a JSON object of texts of the writer's", one.answer
        )
    texts = [*said.values(), *(m.content for m in one.messages)]
    for what, pattern in _PRIVATE.items():
        if any(pattern.search(text) for text in texts):
            raise _bad("answer", f"the answer or the prompt about {one.subject!r} holds {what}", one.answer)
    if one.approved and any(_FIGURE.search(text) for text in said.values()):
        raise _bad(
            "answer", f"the approved answer about {one.subject!r} holds a figure, which code fills in", one.answer
        )


def _bad(field: str, message: str, given: str | None = None) -> BadDataError:
    fault = FieldError(field=field, message=message, given=given[:80] if given else None)
    return BadDataError(f"{field}: {message}", errors=[fault])
