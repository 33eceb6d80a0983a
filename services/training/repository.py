"""Every query of training."""

import datetime as dt
from typing import Any

import msgspec
from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.training.models import job, stage_change, version
from shared.contracts.training import (
    Figure,
    JobState,
    ModelCard,
    ModelState,
    ModelVersion,
    Stage,
    StageChange,
    TrainingJob,
    TrainingRequest,
)

RUNNING: tuple[JobState, ...] = ("pending", "in progress")
_JOB = tuple(name for name in TrainingJob.__struct_fields__ if name != "request")
_CHANGE = StageChange.__struct_fields__


class TrainingRepository:
    """Jobs and versions within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add_job(self, tenant: str, one: TrainingJob) -> bool:
        """Store a new job; False when one of this model waits or runs."""
        values = {
            "tenant": tenant,
            **{name: getattr(one, name) for name in _JOB},
            "request": msgspec.to_builtins(one.request),
        }
        query = upsert(job).values(values).on_conflict_do_nothing().returning(job.c.job_id)
        return (await self._connection.execute(query)).scalar_one_or_none() is not None

    async def lose_silent(self, tenant: str, model_key: str, before: dt.datetime) -> None:
        """Jobs of a model that gave no sign of life since a time have failed."""
        query = update(job).where(
            job.c.tenant == tenant, job.c.model_key == model_key, job.c.state.in_(RUNNING), job.c.updated_at < before
        )
        await self._connection.execute(
            query.values(state="failed", problem="it gave no sign of life: its worker was lost")
        )

    async def job(self, tenant: str, job_id: str, *, lock: bool = False) -> TrainingJob | None:
        """A job; locked, nobody else changes it until the transaction ends."""
        query = select(job).where(job.c.tenant == tenant, job.c.job_id == job_id)
        row = (await self._connection.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
        return _job(row) if row else None

    async def running(self, tenant: str, model_key: str) -> TrainingJob | None:
        """The job of a model that waits or runs."""
        query = select(job).where(job.c.tenant == tenant, job.c.model_key == model_key, job.c.state.in_(RUNNING))
        row = (await self._connection.execute(query)).mappings().one_or_none()
        return _job(row) if row else None

    async def jobs(self, tenant: str, cursor: str | None, limit: int) -> list[TrainingJob]:
        """Jobs, newest first (their ids are ordered in time)."""
        query = select(job).where(job.c.tenant == tenant).order_by(job.c.job_id.desc()).limit(limit)
        if cursor:
            query = query.where(job.c.job_id < cursor)
        return [_job(row) for row in (await self._connection.execute(query)).mappings()]

    async def change_job(self, tenant: str, job_id: str, **values: Any) -> JobState:
        """Set fields of a job that waits or runs; its state afterwards, which another may have made `cancelled`."""
        query = update(job).where(job.c.tenant == tenant, job.c.job_id == job_id, job.c.state.in_(RUNNING))
        await self._connection.execute(query.values(**values, updated_at=func.now()))
        found = select(job.c.state).where(job.c.tenant == tenant, job.c.job_id == job_id)
        state: JobState = (await self._connection.execute(found)).scalar_one()
        return state

    async def add_version(self, tenant: str, card: ModelCard, stage: Stage, change: StageChange) -> None:
        """Store a version with its first step."""
        line = card.lineage
        values = {
            "tenant": tenant, "model_key": card.model_key, "version": card.version, "objective": card.objective, "stage": stage,
            "run_id": line.run_id, "model_hash": line.model_hash, "scorer_id": line.scorer_id,
            "beats_baseline": card.beats_baseline, "created_at": card.created_at, "card": msgspec.to_builtins(card),
        }  # fmt: skip
        await self._connection.execute(insert(version).values(values))
        await self._step(tenant, card.model_key, card.version, change)

    async def _step(self, tenant: str, model_key: str, number: int, change: StageChange) -> None:
        values = {"tenant": tenant, "model_key": model_key, "version": number, **msgspec.structs.asdict(change)}
        await self._connection.execute(insert(stage_change).values(values))

    async def version(self, tenant: str, model_key: str, number: int, *, lock: bool = False) -> ModelVersion | None:
        """A version with its history."""
        query = select(version).where(
            version.c.tenant == tenant, version.c.model_key == model_key, version.c.version == number
        )
        row = (await self._connection.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
        return _version(row, await self._history(tenant, model_key, number)) if row else None

    async def _history(self, tenant: str, model_key: str, number: int) -> list[StageChange]:
        query = (
            select(*[stage_change.c[name] for name in _CHANGE])
            .where(
                stage_change.c.tenant == tenant, stage_change.c.model_key == model_key, stage_change.c.version == number
            )
            .order_by(stage_change.c.number)
        )
        return [StageChange(**row) for row in (await self._connection.execute(query)).mappings()]

    async def versions(self, tenant: str, model_key: str) -> list[ModelVersion]:
        """All versions of a model, newest first, without history."""
        query = select(version).where(version.c.tenant == tenant, version.c.model_key == model_key)
        rows = await self._connection.execute(query.order_by(version.c.version.desc()))
        return [_version(row, []) for row in rows.mappings()]

    async def card(self, tenant: str, model_key: str, number: int) -> ModelCard | None:
        """A version's card."""
        query = select(version.c.card).where(
            version.c.tenant == tenant, version.c.model_key == model_key, version.c.version == number
        )
        found = (await self._connection.execute(query)).scalar_one_or_none()
        return msgspec.convert(found, ModelCard) if found else None

    async def live(self, tenant: str, model_key: str) -> int | None:
        """The live version's number, its row locked."""
        query = select(version.c.version).where(
            version.c.tenant == tenant, version.c.model_key == model_key, version.c.stage == "live"
        )
        return (await self._connection.execute(query.with_for_update())).scalar_one_or_none()

    async def move(self, tenant: str, model_key: str, number: int, change: StageChange) -> None:
        """Set a version's stage and add the step."""
        query = update(version).where(
            version.c.tenant == tenant, version.c.model_key == model_key, version.c.version == number
        )
        await self._connection.execute(query.values(stage=change.after))
        await self._step(tenant, model_key, number, change)

    async def models(self, tenant: str) -> list[ModelState]:
        """Every model with a version or a job, in the order of their keys."""
        newest = (
            select(version.c.model_key, version.c.objective, version.c.version,
                   func.max(version.c.version).filter(version.c.stage == "live").over(partition_by=version.c.model_key).label("live"))
            .where(version.c.tenant == tenant).order_by(version.c.model_key, version.c.version.desc())
        )  # fmt: skip
        last = (
            select(job.c.model_key, job.c.objective, job.c.state)
            .where(job.c.tenant == tenant).order_by(job.c.model_key, job.c.job_id.desc()).ext(distinct_on(job.c.model_key))
        )  # fmt: skip
        found: dict[str, ModelState] = {}
        for row in await self._connection.execute(newest):
            found.setdefault(row.model_key, ModelState(model_key=row.model_key, objective=row.objective, currently_deployed_model=row.live,
                                                       newest_version=row.version, last_training_job=None))  # fmt: skip
        for job_row in await self._connection.execute(last):
            known = found.setdefault(job_row.model_key, ModelState(model_key=job_row.model_key, objective=job_row.objective, newest_version=0,
                                                               currently_deployed_model=None, last_training_job=None))  # fmt: skip
            known.last_training_job = job_row.state
        return [found[key] for key in sorted(found)]


def _job(row: RowMapping) -> TrainingJob:
    return TrainingJob(**{name: row[name] for name in _JOB}, request=msgspec.convert(row["request"], TrainingRequest))


def _version(row: RowMapping, history: list[StageChange]) -> ModelVersion:
    return ModelVersion(
        model_key=row["model_key"], version=row["version"], objective=row["objective"], stage=row["stage"], model_hash=row["model_hash"],
        scorer_id=row["scorer_id"], beats_baseline=row["beats_baseline"], created_at=row["created_at"],
        figures=msgspec.convert(row["card"]["figures"], list[Figure]), history=history,
    )  # fmt: skip
