"""HTTP in, contract out: monitors of models."""

from typing import Annotated

from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, Parameter

from services.training.monitoring.service import MonitorService
from shared.context import tenant
from shared.contracts.monitoring import DriftReports, LoopEvents, Monitor, MonitorList, MonitorState


class MonitorController(Controller):
    """Monitors."""

    path = "/monitors"

    @get()
    async def monitors(self, monitors: NamedDependency[MonitorService]) -> MonitorList:
        """All monitors."""
        return await monitors.monitors(tenant())

    @put("/{model_key:str}")
    async def put(
        self, model_key: FromPath[str], data: JSONBody[Monitor], monitors: NamedDependency[MonitorService]
    ) -> MonitorState:
        """Store a monitor."""
        del model_key  # the gateway sees to it that it is the body's
        return await monitors.put(tenant(), data)

    @get("/{model_key:str}")
    async def monitor(self, model_key: FromPath[str], monitors: NamedDependency[MonitorService]) -> MonitorState:
        """One monitor."""
        return await monitors.monitor(tenant(), model_key)

    @delete("/{model_key:str}")
    async def delete(self, model_key: FromPath[str], monitors: NamedDependency[MonitorService]) -> None:
        """Watch no longer."""
        await monitors.delete(tenant(), model_key)

    @post("/{model_key:str}/check", status_code=202)
    async def check(self, model_key: FromPath[str], monitors: NamedDependency[MonitorService]) -> MonitorState:
        """Queue a check."""
        return await monitors.ask(tenant(), model_key)

    @get("/{model_key:str}/reports")
    async def reports(
        self,
        model_key: FromPath[str],
        monitors: NamedDependency[MonitorService],
        cursor: FromQuery[str | None] = None,
        limit: Annotated[int, Parameter(ge=1, le=200)] = 50,
    ) -> DriftReports:
        """Reports, newest first."""
        return await monitors.reports(tenant(), model_key, cursor, limit)

    @get("/{model_key:str}/events")
    async def events(
        self,
        model_key: FromPath[str],
        monitors: NamedDependency[MonitorService],
        cursor: FromQuery[str | None] = None,
        limit: Annotated[int, Parameter(ge=1, le=200)] = 50,
    ) -> LoopEvents:
        """What followed, newest first."""
        return await monitors.events(tenant(), model_key, cursor, limit)
