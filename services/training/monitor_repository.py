"""Every query on monitors, their reports and the steps of the loop."""

import datetime as dt
from typing import Any

import msgspec
from sqlalchemy import RowMapping, delete, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.training.models import drift_report, job, loop_event, monitor
from services.training.monitoring.stream import RewardStream
from services.training.repository import RUNNING
from shared.contracts.monitoring import DriftReport, LoopEvent, Monitor, MonitorState

_STATE = tuple(name for name in MonitorState.__struct_fields__ if name != "monitor")


class Kept(msgspec.Struct):
    """A monitor as it is stored: its state, where its stream stands, the report that its retraining follows from."""

    state: MonitorState
    stream: RewardStream | None
    report_id: str | None

    @property
    def monitor(self) -> Monitor:
        """What it is."""
        return self.state.monitor


class MonitorRepository:
    """Monitors within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def put(self, tenant: str, one: Monitor, now: dt.datetime, *, keep_stream: bool) -> None:
        """Store a monitor; what stands there of its model is changed, and its next check is due."""
        values: dict[str, Any] = {
            "monitor": msgspec.to_builtins(one),
            "updated_at": now,
            "next_check_at": now,
            "asked_at": None,
        }
        query = upsert(monitor).values(tenant=tenant, model_key=one.model_key, created_at=now, **values)
        if not keep_stream:
            values["stream"] = None
        await self._connection.execute(query.on_conflict_do_update(index_elements=["tenant", "model_key"], set_=values))

    async def monitor(self, tenant: str, model_key: str) -> Kept | None:
        """A model's monitor."""
        query = select(monitor).where(monitor.c.tenant == tenant, monitor.c.model_key == model_key)
        row = (await self._connection.execute(query)).mappings().one_or_none()
        return _kept(row) if row else None

    async def monitors(self, tenant: str) -> list[MonitorState]:
        """All of a tenant, by model."""
        query = select(monitor).where(monitor.c.tenant == tenant).order_by(monitor.c.model_key)
        return [_kept(row).state for row in (await self._connection.execute(query)).mappings()]

    async def delete(self, tenant: str, model_key: str) -> bool:
        """Remove a monitor; False where there was none."""
        query = delete(monitor).where(monitor.c.tenant == tenant, monitor.c.model_key == model_key)
        return (await self._connection.execute(query.returning(monitor.c.model_key))).scalar_one_or_none() is not None

    async def change(self, tenant: str, model_key: str, **values: Any) -> None:
        """Set columns of a monitor."""
        query = update(monitor).where(monitor.c.tenant == tenant, monitor.c.model_key == model_key)
        await self._connection.execute(query.values(**values))

    async def change_check(
        self, tenant: str, model_key: str, next_check_at: dt.datetime, stream: RewardStream | None = None
    ) -> None:
        """A check is done: when the next one is due, and where the stream of rewards stands."""
        values: dict[str, Any] = {"stream": msgspec.to_builtins(stream)} if stream else {}
        await self.change(tenant, model_key, next_check_at=next_check_at, asked_at=None, **values)

    async def take_due(self, now: dt.datetime, lost_before: dt.datetime) -> list[tuple[str, str]]:
        """(tenant, model) of all whose check is due or whose retraining has ended, and that were not asked for since.

        They count as asked for from now on.
        """
        ended = select(job.c.job_id).where(
            job.c.tenant == monitor.c.tenant, job.c.job_id == monitor.c.job_id, job.c.state.not_in(RUNNING)
        )
        query = (
            update(monitor)
            .where(or_(monitor.c.next_check_at <= now, ended.exists()))
            .where(or_(monitor.c.asked_at.is_(None), monitor.c.asked_at < lost_before))
            .values(asked_at=now)
        )
        rows = await self._connection.execute(query.returning(monitor.c.tenant, monitor.c.model_key))
        return [(row.tenant, row.model_key) for row in rows]

    async def alarms(self) -> dict[tuple[str, str], int]:
        """How many alarms each monitor of each tenant had."""
        rows = await self._connection.execute(select(monitor.c.tenant, monitor.c.model_key, monitor.c.alarms))
        return {(row.tenant, row.model_key): row.alarms for row in rows}

    async def add_report(self, tenant: str, one: DriftReport) -> None:
        """Store a report."""
        values = {"tenant": tenant, "model_key": one.model_key, "report_id": one.report_id}
        await self._connection.execute(insert(drift_report).values(**values, report=msgspec.to_builtins(one)))

    async def reports(self, tenant: str, model_key: str, cursor: str | None, limit: int) -> list[DriftReport]:
        """Reports, newest first (their ids are ordered in time)."""
        query = select(drift_report.c.report).where(
            drift_report.c.tenant == tenant, drift_report.c.model_key == model_key
        )
        if cursor:
            query = query.where(drift_report.c.report_id < cursor)
        rows = await self._connection.execute(query.order_by(drift_report.c.report_id.desc()).limit(limit))
        return [msgspec.convert(row.report, DriftReport) for row in rows]

    async def add_event(self, tenant: str, one: LoopEvent) -> None:
        """Store a step; an alarm is counted."""
        values = {"tenant": tenant, "model_key": one.model_key, "event_id": one.event_id}
        await self._connection.execute(insert(loop_event).values(**values, event=msgspec.to_builtins(one)))
        if one.step == "alarm":
            await self.change(tenant, one.model_key, alarms=monitor.c.alarms + 1)

    async def events(self, tenant: str, model_key: str, cursor: str | None, limit: int) -> list[LoopEvent]:
        """Steps, newest first (their ids are ordered in time)."""
        query = select(loop_event.c.event).where(loop_event.c.tenant == tenant, loop_event.c.model_key == model_key)
        if cursor:
            query = query.where(loop_event.c.event_id < cursor)
        rows = await self._connection.execute(query.order_by(loop_event.c.event_id.desc()).limit(limit))
        return [msgspec.convert(row.event, LoopEvent) for row in rows]

    async def waits_already(self, tenant: str, model_key: str, job_id: str, reason: str) -> bool:
        """Is it told already that this job's version waits for this reason?"""
        query = select(func.count()).where(
            loop_event.c.tenant == tenant, loop_event.c.model_key == model_key, loop_event.c.event["jobId"].astext == job_id,
            loop_event.c.event["step"].astext == "waiting", loop_event.c.event["reason"].astext == reason,
        )  # fmt: skip
        return bool((await self._connection.execute(query)).scalar_one())


def _kept(row: RowMapping) -> Kept:
    state = MonitorState(**{name: row[name] for name in _STATE}, monitor=msgspec.convert(row["monitor"], Monitor))
    stream = msgspec.convert(row["stream"], RewardStream) if row["stream"] else None
    return Kept(state, stream, row["report_id"])
