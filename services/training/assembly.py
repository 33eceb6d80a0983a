"""The service with its parts: the app, the worker and the command make it alike."""

from sqlalchemy.ext.asyncio import AsyncEngine

from services.training.monitoring.service import MonitorService
from services.training.registry import Registry, tracking_url
from services.training.service import TrainingService
from services.training.settings import TrainingSettings
from shared.clients.bundle import Clients
from shared.clients.tasks import TaskSender
from shared.settings import Settings, read_env


def assemble(settings: Settings, engine: AsyncEngine, clients: Clients, tasks: TaskSender) -> TrainingService:
    """The service of one process."""
    own = read_env(TrainingSettings)
    registry = Registry(
        own.registry_url or tracking_url(settings.database_url), settings.atelier_data / "models" / "registry"
    )
    return TrainingService(engine, registry, clients, tasks, own)


def watch(training: TrainingService, engine: AsyncEngine, clients: Clients, tasks: TaskSender) -> MonitorService:
    """What watches the models of a process's service."""
    return MonitorService(engine, clients, tasks, training)
