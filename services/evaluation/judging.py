"""Asking the judge about many things at once: kept answers first, every new one stored as it comes."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from services.evaluation.repository import EvaluationRepository, Kept, Lease
from services.evaluation.scores import Score
from services.evaluation.settings import EvaluationSettings
from services.evaluation.spending import Spent
from shared.db.engine import transaction

# What the judge said will be the same the next time; that it was not there will not.
_PASSING = {"judge_unavailable", "timeout", "unreachable", "embedding_unavailable", "invalid_response", "metric_failed"}

# The server will refuse the same question again (it is too long, or the server cannot do what is asked).
_REFUSED = {"http_400", "http_413", "http_422"}


class Question(msgspec.Struct, frozen=True):
    """One thing to ask: `key` is the hash of all that the answer depends on."""

    key: str
    sample_id: str
    metric: str
    ask: Callable[[Spent], Awaitable[Score]]


class Answer(msgspec.Struct, frozen=True):
    """What came back, and what it cost."""

    question: Question
    score: Score
    spent: Spent


Store = Callable[[EvaluationRepository, Sequence[Answer], Sequence[Kept], Spent], Awaitable[None]]


def key_of(*parts: object) -> str:
    """A hash of everything that an answer depends on."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


class Judging:
    """Asks questions for a run until its time is over.

    Args:
        until: no question is begun after this moment of the monotonic clock.
        store: keeps answers within a transaction.
        insist: keep also what is worth asking again, for this run alone. Where answers have no other place, a run would
            ask a judge that is too slow for ever.
    """

    def __init__(
        self, engine: AsyncEngine, lease: Lease, own: EvaluationSettings, until: float, store: Store, *,
        insist: bool = False,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._insist = insist
        self._lease = lease
        self._slots = asyncio.Semaphore(own.evaluation_judge_concurrency)
        self._begun = 0
        self._least = own.evaluation_judge_concurrency
        self._until = until
        self._store = store
        self._ready: list[Answer] = []
        self._writing = asyncio.Lock()

    async def ask(self, questions: Sequence[Question]) -> tuple[list[Answer], bool]:
        """(answers in the order of the questions, whether that is all of them).

        Raises:
            LeaseLostError: the run is another worker's, or was cancelled.
        """
        known = await self.known(questions)
        await self._write(known)
        there = {id(answer.question) for answer in known}
        open_questions = [question for question in questions if id(question) not in there]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._one(question)) for question in open_questions]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        new = [answer for task in tasks if (answer := task.result()) is not None]
        by_question = {id(answer.question): answer for answer in [*known, *new]}
        found = [by_question[id(question)] for question in questions if id(question) in by_question]
        return found, len(found) == len(questions)

    async def known(self, questions: Sequence[Question]) -> list[Answer]:
        """What was answered before, in the order of the questions."""
        wanted = {question.key for question in questions}
        if self._insist:
            wanted |= {self._own_key(question) for question in questions}
        async with transaction(self._engine) as connection:
            kept = await EvaluationRepository(connection).cached(self._lease.tenant, sorted(wanted))
        found = [(question, kept.get(question.key) or kept.get(self._own_key(question))) for question in questions]
        return [Answer(question, score, Spent(cached=1)) for question, score in found if score is not None]

    def _own_key(self, question: Question) -> str:
        return key_of(self._lease.run_id, question.key)

    async def _one(self, question: Question) -> Answer | None:
        async with self._slots:
            # However short the time: each slice gets somewhere.
            if self._begun >= self._least and time.monotonic() > self._until:
                return None
            self._begun += 1
            spent = Spent()
            answer = Answer(question, await question.ask(spent), spent)
        await self._write([answer])
        return answer

    async def _write(self, answers: Sequence[Answer]) -> None:
        """Whoever gets the lock stores all that is ready: the faster answers come, the more go into one transaction."""
        self._ready += answers
        async with self._writing:
            batch, self._ready = self._ready, []
            if not batch:
                return
            total = Spent()
            for answer in batch:
                total.add(answer.spent)
            async with transaction(self._engine) as connection:
                await self._store(EvaluationRepository(connection), batch, self._to_keep(batch), total)

    def _to_keep(self, answers: Sequence[Answer]) -> list[Kept]:
        made = []
        for answer in answers:
            question, passing = answer.question, is_passing(answer.score)
            if not answer.spent.cached and (self._insist if passing else answer.spent.calls):
                key = self._own_key(question) if passing else question.key
                made.append(Kept(key, question.sample_id, answer.score))
        return made


def is_passing(score: Score) -> bool:
    """Is it worth asking again another time?"""
    reason = score.reason or ""
    return reason in _PASSING or (reason.startswith("http_") and reason not in _REFUSED)
