"""The sink of profile imports."""

from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from services.profiles.online import OnlineProfiles
from services.profiles.service import ProfileService
from shared.clients.bundle import Clients
from shared.clients.tasks import TaskSender, create_celery
from shared.contracts.imports import ImportKind
from shared.contracts.profiles import ProfileUpsert
from shared.ingest.importer import Written
from shared.settings import Settings


class ProfileSink:
    """Merges batches of profiles, as PUT does one by one."""

    contract = ProfileUpsert

    def __init__(self, profiles: ProfileService, tenant: str) -> None:
        self._profiles = profiles
        self._tenant = tenant

    async def write(self, rows: list[ProfileUpsert]) -> Written:
        """One batch, one transaction."""
        changed, unchanged, refused = await self._profiles.write_batch(self._tenant, rows)
        return Written(stored=changed, duplicates=unchanged, rejected=refused)


def create_sink(
    kind: ImportKind, engine: AsyncEngine, settings: Settings, tenant: str, images: Path | None = None
) -> ProfileSink:
    """The sink for profiles; images are not needed here, every room's function takes the same."""
    del kind, images
    clients = Clients(settings)
    tasks = TaskSender(create_celery(settings.redis_url))
    return ProfileSink(ProfileService(engine, clients, tasks, OnlineProfiles(settings.redis_url)), tenant)
