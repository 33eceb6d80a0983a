"""Every query of evaluation."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, cast

import msgspec
from sqlalchemy import and_, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.evaluation.errors import LeaseLostError
from services.evaluation.models import COUNTS, cache, calibration, result, run, sample
from services.evaluation.scores import Score
from services.evaluation.spending import Spent
from shared.contracts.evaluation import Calibration, EvaluationRequest, SampleResult

ACTIVE = ("queued", "running")
# A run that waits in the queue is asked for again later than one whose worker died.
_WAITING = 3


class Row(msgspec.Struct, frozen=True):
    """A result to be stored."""

    sample_id: str
    metric: str
    score: Score


class Kept(msgspec.Struct, frozen=True):
    """A judge's answer to be kept under the hash of all that it depends on."""

    key: str
    sample_id: str
    score: Score


class Lease(msgspec.Struct, frozen=True):
    """A worker's hold on a run."""

    tenant: str
    run_id: str
    name: str


def _ago(seconds: float) -> Any:
    return func.now() - dt.timedelta(seconds=seconds)


class EvaluationRepository:
    """Runs, results, kept answers, calibrations within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def create(self, tenant: str, run_id: str, request: EvaluationRequest) -> None:
        """A run that waits for a worker."""
        counts = dict.fromkeys((*COUNTS, "judge_seconds", "stage_before", "stage_done", "done", "turn", "attempts"), 0)
        await self._connection.execute(
            run.insert().values(
                tenant=tenant, run_id=run_id, state="queued", request=msgspec.to_builtins(request), stage="selecting",
                figures={}, notes=[], heartbeat=func.now(), created_at=func.now(), **counts,
            )
        )  # fmt: skip

    async def get(self, tenant: str, run_id: str) -> dict[str, Any] | None:
        """One run."""
        found = (await self._connection.execute(select(run).where(*_is(tenant, run_id)))).mappings().one_or_none()
        return dict(found) if found else None

    async def page(self, tenant: str, before: tuple[dt.datetime, str] | None, limit: int) -> list[dict[str, Any]]:
        """Runs, newest first."""
        query = select(run).where(run.c.tenant == tenant)
        if before is not None:
            query = query.where(tuple_(run.c.created_at, run.c.run_id) < before)
        query = query.order_by(run.c.created_at.desc(), run.c.run_id.desc()).limit(limit)
        return [dict(row) for row in (await self._connection.execute(query)).mappings()]

    async def cancel(self, tenant: str, run_id: str) -> bool:
        """End a run that has not ended; nothing is stored for it from here on."""
        ended = {"state": "cancelled", "finished_at": func.now(), "lease": None}
        query = update(run).where(*_is(tenant, run_id), run.c.state.in_(ACTIVE)).values(ended)
        return (await self._connection.execute(query)).rowcount > 0

    async def take(self, lease: Lease, turn: int, stale: float) -> dict[str, Any] | None:
        """Take a run for this turn, unless it has ended, the turn is over, or a living worker is on it."""
        free = or_(run.c.lease.is_(None), run.c.heartbeat < _ago(stale))
        taken = {
            "lease": lease.name, "heartbeat": func.now(), "state": "running", "turn": run.c.turn + 1,
            "started_at": func.coalesce(run.c.started_at, func.now()),
            "stage_before": run.c.stage_done, "stage_started_at": func.now(),
        }  # fmt: skip
        query = update(run).where(*_is(lease.tenant, lease.run_id), run.c.state.in_(ACTIVE), run.c.turn == turn, free)
        found = (await self._connection.execute(query.values(taken).returning(run))).mappings().one_or_none()
        return dict(found) if found else None

    async def holds(self, lease: Lease) -> bool:
        """Does this worker still hold the run?"""
        query = select(run.c.run_id).where(*_held(lease))
        return (await self._connection.execute(query)).one_or_none() is not None

    async def change(self, held: Lease, /, **values: Any) -> None:
        """Change the run, and say that its worker lives.

        Raises:
            LeaseLostError: it is this worker's no more.
        """
        query = update(run).where(*_held(held)).values({"heartbeat": func.now(), **values})
        if not (await self._connection.execute(query)).rowcount:
            raise LeaseLostError

    async def enter(self, lease: Lease, stage: str, total: int, done: int) -> None:
        """Begin, or go on with, a stage of which `done` units of `total` are there."""
        await self.change(lease, stage=stage, stage_total=total, stage_done=done, stage_before=done,
                          stage_started_at=func.now())  # fmt: skip

    async def stale(self, seconds: float) -> list[tuple[str, str, int]]:
        """(tenant, run, turn) of runs that nobody has worked on for too long; each is given out once in that time."""
        dead = and_(run.c.lease.is_not(None), run.c.heartbeat < _ago(seconds))
        waiting = and_(run.c.lease.is_(None), run.c.heartbeat < _ago(seconds * _WAITING))
        query = update(run).where(run.c.state.in_(ACTIVE), or_(dead, waiting))
        query = query.values(heartbeat=func.now(), lease=None).returning(run.c.tenant, run.c.run_id, run.c.turn)
        return [(row.tenant, row.run_id, row.turn) for row in await self._connection.execute(query)]

    async def add_samples(self, lease: Lease, ids: Sequence[str]) -> None:
        """What the run looks at."""
        if ids:
            rows = [{"tenant": lease.tenant, "run_id": lease.run_id, "sample_id": key, "stage": 0} for key in ids]
            await self._connection.execute(upsert(sample).values(rows).on_conflict_do_nothing())

    async def samples(self, lease: Lease, *, below: int | None = None, limit: int | None = None) -> list[str]:
        """The run's samples in the order of their ids; `below`: only those whose stage is not reached yet."""
        query = select(sample.c.sample_id).where(sample.c.tenant == lease.tenant, sample.c.run_id == lease.run_id)
        if below is not None:
            query = query.where(sample.c.stage < below)
        return list((await self._connection.execute(query.order_by(sample.c.sample_id).limit(limit))).scalars())

    async def reached(self, lease: Lease, ids: Sequence[str], stage: int) -> None:
        """These samples are through with a stage."""
        query = update(sample).where(*_of(sample, lease.tenant, lease.run_id, ids)).values(stage=stage)
        await self._connection.execute(query)

    async def drop(self, lease: Lease, ids: Sequence[str]) -> int:
        """These samples are gone: so is what was found out about them; how many results that were."""
        await self._connection.execute(delete(sample).where(*_of(sample, lease.tenant, lease.run_id, ids)))
        query = delete(result).where(*_of(result, lease.tenant, lease.run_id, ids))
        return (await self._connection.execute(query)).rowcount

    async def known(self, lease: Lease, ids: Sequence[str]) -> set[tuple[str, str]]:
        """(sample, metric) of what is stored."""
        query = select(result.c.sample_id, result.c.metric).where(*_of(result, lease.tenant, lease.run_id, ids))
        return {(row.sample_id, row.metric) for row in await self._connection.execute(query)}

    async def store(
        self, lease: Lease, rows: Sequence[Row], spent: Spent | None = None, answers: Sequence[Kept] = ()
    ) -> None:
        """Keep results and what they cost; what is there already stays. Copy that was forgotten meanwhile gets none.

        Raises:
            LeaseLostError: it is this worker's run no more, nothing is stored.
        """
        ids = sorted({row.sample_id for row in rows})
        # Locked against `forget`: it waits until these results are there to be deleted, or nothing is stored for its copy.
        query = (
            select(sample.c.sample_id).where(*_of(sample, lease.tenant, lease.run_id, ids)).order_by(sample.c.sample_id)
        )
        there = set((await self._connection.execute(query.with_for_update(read=True, key_share=True))).scalars())
        values = [
            {"tenant": lease.tenant, "run_id": lease.run_id, "sample_id": row.sample_id, "metric": row.metric,
             **msgspec.structs.asdict(row.score)}
            for row in rows if row.sample_id in there
        ]  # fmt: skip
        new = 0
        for start in range(0, len(values), 2000):  # Postgres takes 65,535 parameters at most
            made = upsert(result).values(values[start : start + 2000]).on_conflict_do_nothing()
            new += len((await self._connection.execute(made.returning(result.c.metric))).all())
        await self.keep(lease.tenant, [one for one in answers if one.sample_id in there])
        await self.advance(lease, new, spent or Spent())

    async def advance(self, lease: Lease, units: int, spent: Spent, *, counted: bool = True) -> None:
        """Count units and costs; the run has got somewhere, so earlier failures are forgiven.

        Not `counted`: units of the stage that are none of the run's (questions of a calibration).
        """
        added = {name: run.c[name] + getattr(spent, name) for name in COUNTS}
        await self.change(lease, done=run.c.done + (units if counted else 0), stage_done=run.c.stage_done + units,
                          attempts=0, judge_seconds=run.c.judge_seconds + spent.seconds, **added)  # fmt: skip

    async def cached(self, tenant: str, keys: Sequence[str]) -> dict[str, Score]:
        """Kept answers by key."""
        query = select(cache).where(cache.c.tenant == tenant, cache.c.key.in_(keys))
        rows = await self._connection.execute(query)
        return {row.key: Score(row.value, row.status, row.reason, row.basis) for row in rows}

    async def keep(self, tenant: str, answers: Sequence[Kept]) -> None:
        """Keep a judge's answers."""
        if answers:
            values = [
                {"tenant": tenant, "key": one.key, "sample_id": one.sample_id, "created_at": func.now(),
                 **msgspec.structs.asdict(one.score)}
                for one in sorted(answers, key=lambda one: one.key)
            ]  # fmt: skip
            await self._connection.execute(upsert(cache).values(values).on_conflict_do_nothing())

    async def results(
        self, tenant: str, run_id: str, *, metric: str | None, status: str | None, after: tuple[str, str] | None,
        limit: int,
    ) -> list[SampleResult]:  # fmt: skip
        """Results in the order of sample and metric."""
        query = select(result).where(result.c.tenant == tenant, result.c.run_id == run_id)
        if metric is not None:
            query = query.where(result.c.metric == metric)
        if status is not None:
            query = query.where(result.c.status == status)
        if after is not None:
            query = query.where(tuple_(result.c.sample_id, result.c.metric) > after)
        rows = await self._connection.execute(query.order_by(result.c.sample_id, result.c.metric).limit(limit))
        names = SampleResult.__struct_fields__
        return [SampleResult(**{name: row[name] for name in names}) for row in rows.mappings()]

    async def outcomes(self, tenant: str, run_id: str) -> list[tuple[str, Score]]:
        """(metric, score) of all results, in the order of sample and metric."""
        query = select(result).where(result.c.tenant == tenant, result.c.run_id == run_id)
        rows = await self._connection.execute(query.order_by(result.c.sample_id, result.c.metric))
        return [(row.metric, Score(row.value, row.status, row.reason, row.basis)) for row in rows]

    async def counts(
        self, tenant: str, run_id: str
    ) -> list[tuple[str, str, str | None, str | None, int, float | None]]:
        """(metric, status, reason, basis, how many, mean) of what is there so far."""
        keys = (result.c.metric, result.c.status, result.c.reason, result.c.basis)
        query = select(*keys, func.count(), func.avg(result.c.value)).where(*_results(tenant, run_id)).group_by(*keys)
        return [cast(Any, tuple(row)) for row in await self._connection.execute(query.order_by(*keys))]

    async def summarised(self, tenant: str, run_id: str, found: list[dict[str, Any]], results: int) -> None:
        """Keep the summaries of a run that has ended, unless it has other results by now than these many."""
        count = select(func.count()).where(*_results(tenant, run_id)).select_from(result).scalar_subquery()
        ended = run.c.state.not_in(ACTIVE)
        await self._connection.execute(
            update(run).where(*_is(tenant, run_id), ended, count == results).values(summaries=found)
        )

    async def forget(self, tenant: str, ids: Sequence[str]) -> int:
        """Delete everything about these pieces of copy; how many results and kept answers went."""
        query = delete(sample).where(sample.c.tenant == tenant, sample.c.sample_id.in_(ids)).returning(sample.c.run_id)
        touched = sorted(set((await self._connection.execute(query)).scalars()))
        rows = 0
        for table in (result, cache):
            gone = delete(table).where(table.c.tenant == tenant, table.c.sample_id.in_(ids))
            rows += (await self._connection.execute(gone)).rowcount
        again = update(run).where(run.c.tenant == tenant, run.c.run_id.in_(touched)).values(summaries=None)
        await self._connection.execute(again)
        return rows

    async def tenants(self) -> list[str]:
        """Every tenant whose copy was looked at."""
        return list((await self._connection.execute(select(run.c.tenant).distinct().order_by(run.c.tenant))).scalars())

    async def looked_at(self, tenant: str, after: str, limit: int) -> list[str]:
        """Ids of copy that some run looks or looked at, in order."""
        query = select(sample.c.sample_id).where(sample.c.tenant == tenant, sample.c.sample_id > after).distinct()
        return list((await self._connection.execute(query.order_by(sample.c.sample_id).limit(limit))).scalars())

    async def calibration(self, judge: str) -> Calibration | None:
        """How this judge did."""
        found = await self._connection.execute(select(calibration.c.body).where(calibration.c.judge == judge))
        body = found.scalar_one_or_none()
        return msgspec.convert(body, Calibration) if body else None

    async def put_calibration(self, judge: str, made: Calibration) -> None:
        """Keep how this judge did."""
        values = {"judge": judge, "body": msgspec.to_builtins(made), "created_at": made.created_at}
        made_row = upsert(calibration).values(values)
        await self._connection.execute(made_row.on_conflict_do_update(index_elements=["judge"], set_=values))

    async def calibrations(self) -> list[Calibration]:
        """All of them, newest first."""
        query = select(calibration.c.body).order_by(calibration.c.created_at.desc(), calibration.c.judge)
        return [msgspec.convert(body, Calibration) for body in (await self._connection.execute(query)).scalars()]


def _is(tenant: str, run_id: str) -> tuple[Any, Any]:
    return run.c.tenant == tenant, run.c.run_id == run_id


def _held(lease: Lease) -> tuple[Any, ...]:
    return *_is(lease.tenant, lease.run_id), run.c.lease == lease.name, run.c.state == "running"


def _results(tenant: str, run_id: str) -> tuple[Any, Any]:
    return result.c.tenant == tenant, result.c.run_id == run_id


def _of(table: Any, tenant: str, run_id: str, ids: Sequence[str]) -> tuple[Any, ...]:
    return table.c.tenant == tenant, table.c.run_id == run_id, table.c.sample_id.in_(ids)
