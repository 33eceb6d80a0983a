"""The wiring of features."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar

from services.features.controllers import FeatureController
from services.features.online import OnlineStore
from services.features.service import FeatureService
from services.features.settings import FeaturesSettings
from services.features.streaming import GROUP, Counter
from shared.clients.bundle import Clients
from shared.clients.stream import event_stream
from shared.clients.tasks import TaskSender, create_celery
from shared.contracts.features import OnlineQuery
from shared.settings import Settings, read_env
from shared.web.app import build_app
from shared.web.background import background, every
from shared.web.database import Database
from shared.web.edge import Edge
from shared.web.express import Express

_WATCH_SECONDS = 1.0


def create_app(settings: Settings, clients: Clients) -> Edge:
    """The features app; it counts the stream of accepted events, and reads past ones through events."""
    own = read_env(FeaturesSettings)
    database = Database(settings)
    store = OnlineStore(settings.redis_url)
    tasks = TaskSender(create_celery(settings.redis_url))
    features = FeatureService(database.engine, store, clients.events, tasks, own, settings.atelier_data)
    stream = event_stream(settings.features_broker_url or settings.redis_url)
    counter = Counter(store, tasks)
    stream.subscribe(GROUP, f"{socket.gethostname()}-{os.getpid()}", counter.count, own.features_stream_messages)

    @asynccontextmanager
    async def counting(_: Litestar) -> AsyncIterator[None]:
        if own.features_consume:
            await stream.open()
            async with background(every(_WATCH_SECONDS, stream.watch, "features.stream_failed", at_once=True)):
                yield
            await stream.close()
        else:
            yield
        await store.close()

    return build_app(
        "features",
        settings,
        [FeatureController],
        dependencies={"features": features},
        lifespan=[database.lifespan, counting],
        required={"online": store.check},
        optional={"database": database.check},
        express={"/online": Express(OnlineQuery, features.asked)},
    )
