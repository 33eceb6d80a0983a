"""The use cases of evaluation runs, beside what the worker does."""

import asyncio
import datetime as dt

import structlog
import uuid_utils
from sqlalchemy.ext.asyncio import AsyncEngine

from services.evaluation import reporting
from services.evaluation.errors import BadEvaluationError, RunEndedError, UnknownRunError
from services.evaluation.metrics.registry import JUDGED
from services.evaluation.repository import EvaluationRepository
from services.evaluation.settings import EvaluationSettings
from shared.clients.governance import GovernanceClient
from shared.clients.tasks import TaskSender
from shared.context import CallContext, bound
from shared.contracts.approval import CopyQuery
from shared.contracts.base import FieldError
from shared.contracts.evaluation import (
    CalibrationList,
    EvaluationRequest,
    EvaluationResults,
    EvaluationRun,
    EvaluationRuns,
    ForgetResults,
    ResultQuery,
    ResultsForgotten,
)
from shared.contracts.tasks import RunEvaluation
from shared.db.engine import transaction
from shared.settings import Settings

_PAGE = 500

log = structlog.get_logger()


class RunService:
    """Starts, shows, cancels runs; sees to it that each goes on."""

    def __init__(
        self, engine: AsyncEngine, governance: GovernanceClient, tasks: TaskSender, settings: Settings,
        own: EvaluationSettings,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._governance = governance
        self._tasks = tasks
        self._settings = settings
        self._own = own

    async def create(self, tenant: str, request: EvaluationRequest) -> EvaluationRun:
        """A run, queued. If the queue does not answer, the run waits for `tend`.

        Raises:
            BadEvaluationError: a judge's metric without the judge, or no judge is configured.
        """
        check(request, judge=bool(self._own.judge_of(self._settings)[0]))
        run_id = str(uuid_utils.uuid7())
        async with transaction(self._engine) as connection:
            await EvaluationRepository(connection).create(tenant, run_id, request)
        await self._send(tenant, run_id, 0)
        return await self.get(tenant, run_id)

    async def _send(self, tenant: str, run_id: str, turn: int) -> None:
        try:
            await asyncio.to_thread(self._tasks.send, RunEvaluation(tenant=tenant, run_id=run_id, turn=turn))
        except Exception as error:
            log.warning("evaluation.not_queued", run=run_id, kind=type(error).__name__)

    async def get(self, tenant: str, run_id: str) -> EvaluationRun:
        """One run.

        Raises:
            UnknownRunError: the tenant has none of this id.
        """
        async with transaction(self._engine) as connection:
            repository = EvaluationRepository(connection)
            row = await repository.get(tenant, run_id)
            if row is None:
                raise _unknown(run_id)
            return await reporting.told(repository, row, self._own)

    async def page(self, tenant: str, cursor: str | None, limit: int) -> EvaluationRuns:
        """Runs, newest first."""
        before = _before(cursor) if cursor else None
        async with transaction(self._engine) as connection:
            repository = EvaluationRepository(connection)
            rows = await repository.page(tenant, before, limit + 1)
            runs = [await reporting.told(repository, row, self._own) for row in rows[:limit]]
        last = rows[limit - 1] if len(rows) > limit else None
        return EvaluationRuns(runs=runs, cursor=f"{last['created_at'].isoformat()}~{last['run_id']}" if last else None)

    async def results(self, tenant: str, run_id: str, query: ResultQuery) -> EvaluationResults:
        """Results of a run in the order of sample and metric.

        Raises:
            UnknownRunError: the tenant has none of this id.
        """
        after = _after(query.cursor) if query.cursor else None
        async with transaction(self._engine) as connection:
            repository = EvaluationRepository(connection)
            if await repository.get(tenant, run_id) is None:
                raise _unknown(run_id)
            found = await repository.results(
                tenant, run_id, metric=query.metric, status=query.status, after=after, limit=query.limit + 1
            )
        page = found[: query.limit]
        more = len(found) > query.limit
        return EvaluationResults(results=page, cursor=f"{page[-1].metric}~{page[-1].sample_id}" if more else None)

    async def cancel(self, tenant: str, run_id: str) -> EvaluationRun:
        """End a run; what it found so far stays. Its worker stops within a second.

        Raises:
            UnknownRunError: the tenant has none of this id.
            RunEndedError: it has ended.
        """
        async with transaction(self._engine) as connection:
            cancelled = await EvaluationRepository(connection).cancel(tenant, run_id)
        run = await self.get(tenant, run_id)
        if not cancelled and run.state != "cancelled":
            message = f"Run {run_id} is {run.state}; there is nothing to cancel."
            raise RunEndedError(message)
        return run

    async def forget(self, tenant: str, request: ForgetResults) -> ResultsForgotten:
        """Delete all that was found out about pieces of copy; running evaluations store nothing more about them."""
        async with transaction(self._engine) as connection:
            rows = await EvaluationRepository(connection).forget(tenant, request.copy_ids)
        return ResultsForgotten(rows=rows)

    async def calibrations(self) -> CalibrationList:
        """Every judge that was calibrated."""
        async with transaction(self._engine) as connection:
            return CalibrationList(calibrations=await EvaluationRepository(connection).calibrations())

    async def sweep(self) -> None:
        """What is gone from governance is forgotten here too, should nobody have said so."""
        async with transaction(self._engine) as connection:
            tenants = await EvaluationRepository(connection).tenants()
        for owner in tenants:
            with bound(CallContext(tenant=owner, request_id=str(uuid_utils.uuid7()), service="evaluation")):
                await self._sweep(owner)

    async def _sweep(self, tenant: str) -> None:
        after = ""
        while True:
            async with transaction(self._engine) as connection:
                ids = await EvaluationRepository(connection).looked_at(tenant, after, _PAGE)
            if not ids:
                return
            page = await self._governance.copies(CopyQuery(copy_ids=ids, limit=_PAGE))
            if gone := sorted(set(ids) - {copy.copy_id for copy in page.copies}):
                forgotten = await self.forget(tenant, ForgetResults(copy_ids=gone))
                log.info("evaluation.swept", copies=len(gone), rows=forgotten.rows)
            after = ids[-1]

    async def tend(self) -> None:
        """Queue again what nobody works on: its worker died, its task was lost, or a service was away."""
        async with transaction(self._engine) as connection:
            found = await EvaluationRepository(connection).stale(self._own.evaluation_stale_seconds)
        for tenant, run_id, turn in found:
            await self._send(tenant, run_id, turn)


def check(request: EvaluationRequest, *, judge: bool) -> None:
    """Refuse what cannot be run.

    Raises:
        BadEvaluationError: names the field.
    """
    asked = [name for name in request.metrics if name in JUDGED]
    if asked and not request.judge:
        raise _bad("metrics", f"{', '.join(asked)} need a judge", "judge: true, or other metrics")
    if request.judge and not judge:
        raise _bad(
            "judge", "no judge is configured", "EVALUATION_JUDGE_BASE_URL or LLM_BASE_URL of the evaluation service"
        )
    outside = [gate.metric for gate in request.gates if request.metrics and gate.metric not in request.metrics]
    outside += [gate.metric for gate in request.gates if gate.metric in JUDGED and not request.judge]
    if outside:
        raise _bad("gates", f"{', '.join(sorted(set(outside)))} would not be measured", "metrics of this run")


def _bad(field: str, message: str, allowed: str) -> BadEvaluationError:
    return BadEvaluationError(f"{field}: {message}", errors=[FieldError(field=field, message=message, allowed=allowed)])


def _unknown(run_id: str) -> UnknownRunError:
    return UnknownRunError(f"No evaluation {run_id[:200]!r}.")


def _before(cursor: str) -> tuple[dt.datetime, str]:
    """The cursor of a listing of runs."""
    time, _, run_id = cursor.partition("~")
    try:
        return dt.datetime.fromisoformat(time), run_id
    except ValueError:
        raise _bad("cursor", "is not one of this listing", "the cursor of the page before") from None


def _after(cursor: str) -> tuple[str, str]:
    """The cursor of a listing of results."""
    metric, mark, sample_id = cursor.partition("~")
    if not mark or "\x00" in cursor:
        raise _bad("cursor", "is not one of this listing", "the cursor of the page before")
    return sample_id, metric
