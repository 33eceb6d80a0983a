"""The use cases of monitors: store them, check what is due, tell what was found and what followed."""

import datetime as dt
from typing import ClassVar

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.training import plans
from services.training.alone import alone
from services.training.errors import UnknownMonitorError
from services.training.monitor_repository import Kept, MonitorRepository
from services.training.monitoring import columns
from services.training.monitoring.checking import Checked, Checker
from services.training.monitoring.loop import RetrainingLoop
from services.training.moving import now
from services.training.service import TrainingService
from shared import telemetry
from shared.clients.bundle import Clients
from shared.clients.tasks import TaskSender
from shared.contracts.base import FieldError
from shared.contracts.monitoring import DriftReport, DriftReports, LoopEvents, Monitor, MonitorList, MonitorState
from shared.contracts.tasks import CheckMonitor
from shared.db.engine import transaction
from shared.errors import InvalidInputError

_LOST = dt.timedelta(minutes=10)  # a check that was queued and never done is asked for again

log = structlog.get_logger()


class MonitorService:
    """Monitors of models."""

    _counted: ClassVar[dict[tuple[str, str], int]] = {}  # alarms in the counter, which a process has one of

    def __init__(self, engine: AsyncEngine, clients: Clients, tasks: TaskSender, training: TrainingService) -> None:
        self._engine = engine
        self._clients = clients
        self._tasks = tasks
        self._checker = Checker(clients, training)
        self.loop = RetrainingLoop(engine, clients, training)

    async def put(self, tenant: str, monitor: Monitor) -> MonitorState:
        """Store a model's monitor; its first check is due at once.

        Raises:
            InvalidInputError: a column that the log does not have, or a retraining that cannot be submitted.
            UnavailableError: decisions, who know the columns, do not answer.
        """
        _check(monitor)
        columns.check(monitor.columns, await self._clients.decisions.policy())
        before = await self._kept(tenant, monitor.model_key)
        same = before is not None and (before.monitor.reference, before.monitor.stream_delta) == (
            monitor.reference, monitor.stream_delta
        )  # fmt: skip
        async with transaction(self._engine) as connection:
            await MonitorRepository(connection).put(tenant, monitor, now(), keep_stream=same)
        return await self.monitor(tenant, monitor.model_key)

    async def monitor(self, tenant: str, model_key: str) -> MonitorState:
        """A model's monitor.

        Raises:
            UnknownMonitorError: it has none.
        """
        found = await self._kept(tenant, model_key)
        if found is None:
            raise UnknownMonitorError(f"No monitor of model {model_key[:80]!r}.")
        return found.state

    async def monitors(self, tenant: str) -> MonitorList:
        """All of the tenant."""
        async with transaction(self._engine) as connection:
            return MonitorList(monitors=await MonitorRepository(connection).monitors(tenant))

    async def delete(self, tenant: str, model_key: str) -> None:
        """Watch no longer; reports and steps stay.

        Raises:
            UnknownMonitorError: it has none.
        """
        async with transaction(self._engine) as connection:
            if not await MonitorRepository(connection).delete(tenant, model_key):
                raise UnknownMonitorError(f"No monitor of model {model_key[:80]!r}.")

    async def ask(self, tenant: str, model_key: str) -> MonitorState:
        """Queue a check now.

        Raises:
            UnknownMonitorError: it has none.
        """
        found = await self.monitor(tenant, model_key)
        self._tasks.send(CheckMonitor(tenant=tenant, model_key=model_key, asked=True))
        return found

    async def reports(self, tenant: str, model_key: str, cursor: str | None, limit: int) -> DriftReports:
        """Reports of a model, newest first."""
        async with transaction(self._engine) as connection:
            found = await MonitorRepository(connection).reports(tenant, model_key, cursor, limit)
        return DriftReports(reports=found, cursor=found[-1].report_id if len(found) == limit else None)

    async def events(self, tenant: str, model_key: str, cursor: str | None, limit: int) -> LoopEvents:
        """What followed, newest first."""
        async with transaction(self._engine) as connection:
            found = await MonitorRepository(connection).events(tenant, model_key, cursor, limit)
        return LoopEvents(events=found, cursor=found[-1].event_id if len(found) == limit else None)

    async def sweep(self) -> int:
        """Queue the check of every monitor that is due; how many."""
        moment = now()
        async with transaction(self._engine) as connection:
            due = await MonitorRepository(connection).take_due(moment, moment - _LOST)
        for tenant, model_key in due:
            self._tasks.send(CheckMonitor(tenant=tenant, model_key=model_key))
        return len(due)

    async def look(self, tenant: str, model_key: str, *, asked: bool = False) -> DriftReport | None:
        """Carry on a retraining that has ended; check the windows if that is due or asked for. None where nothing was checked:
        another process is at it, it is not due, or there is no such monitor.
        """
        async with alone(self._engine, f"monitor:{tenant}:{model_key}") as mine:
            kept = await self._kept(tenant, model_key) if mine else None
            if kept is None:
                return None
            await self.loop.follow(tenant, kept)
            kept = await self._kept(tenant, model_key)
            if kept is None or not (asked or kept.state.next_check_at <= now()):
                await self._change(tenant, model_key, asked_at=None)
                return None
            checked = await self._checker.check(tenant, kept, "manual" if asked else "schedule")
            await self._keep(tenant, kept, checked)
            await self._act(tenant, kept, checked.report)
            return checked.report

    async def _keep(self, tenant: str, kept: Kept, checked: Checked) -> None:
        """The report and where the stream stands, in one step: a check that is cut off before took no reward."""
        report = checked.report
        pause = dt.timedelta(minutes=0 if checked.behind else kept.monitor.every_minutes)
        async with transaction(self._engine) as connection:
            repository = MonitorRepository(connection)
            await repository.add_report(tenant, report)
            await repository.change_check(tenant, report.model_key, report.time + pause, checked.stream)
        log.info("training.monitored", model_key=report.model_key, verdict=report.verdict, said=report.said)

    async def _act(self, tenant: str, kept: Kept, report: DriftReport) -> None:
        monitor, state = kept.monitor, kept.state
        alarmed = report.verdict == "drift"
        if alarmed:
            await self.loop.note(tenant, monitor.model_key, "alarm", report.said, report_id=report.report_id)
        if alarmed and monitor.on_alarm == "retrain":
            await self.loop.retrain(tenant, kept, "drift", report.report_id)
        elif monitor.retrain_hours is not None:
            last = state.last_retrained_at or state.created_at
            if now() - last >= dt.timedelta(hours=monitor.retrain_hours):
                await self.loop.retrain(tenant, kept, "schedule", report.report_id)

    async def count(self) -> None:
        """Bring this process's counter of alarms up to what the table says: checks are done by workers, which nobody scrapes."""
        async with transaction(self._engine) as connection:
            totals = await MonitorRepository(connection).alarms()
        for (tenant, model_key), total in totals.items():
            fresh = total - self._counted.get((tenant, model_key), 0)
            if fresh > 0:
                telemetry.DRIFT_ALARMS.labels(tenant, model_key).inc(fresh)
                self._counted[tenant, model_key] = total

    async def _kept(self, tenant: str, model_key: str) -> Kept | None:
        async with transaction(self._engine) as connection:
            return await MonitorRepository(connection).monitor(tenant, model_key)

    async def _change(self, tenant: str, model_key: str, **values: object) -> None:
        async with transaction(self._engine) as connection:
            await MonitorRepository(connection).change(tenant, model_key, **values)


def _check(monitor: Monitor) -> None:
    """Does it fit together?

    Raises:
        InvalidInputError: no; it names the fields.
    """
    faults = []
    if (monitor.window.rows is None) == (monitor.window.hours is None):
        faults.append(FieldError(field="window", message="needs one of rows and hours", allowed="rows or hours"))
    if monitor.reference and monitor.reference.start >= monitor.reference.end:
        faults.append(
            FieldError(field="reference.end", message="is not after start", given=monitor.reference.end.isoformat())
        )
    request = monitor.training
    if request is None and (monitor.on_alarm == "retrain" or monitor.retrain_hours is not None):
        faults.append(FieldError(field="training", message="is needed to retrain", allowed="a training request"))
    if request is not None and request.model_key != monitor.model_key:
        faults.append(FieldError(field="training.modelKey", message="is another model", given=request.model_key,
                                 allowed=monitor.model_key))  # fmt: skip
    if request is not None and request.dataset.source != "decisions":
        faults.append(FieldError(field="training.dataset.source", message="has no new data to retrain on",
                                 given=request.dataset.source, allowed="decisions"))  # fmt: skip
    if request is not None and request.dataset.hash:
        faults.append(FieldError(field="training.dataset.hash", message="pins data that new ones cannot be",
                                 given=request.dataset.hash, allowed="none"))  # fmt: skip
    if faults:
        raise InvalidInputError("; ".join(f"{one.field} {one.message}" for one in faults), errors=faults)
    if request is not None:
        plans.check(request)
