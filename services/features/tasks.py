"""Celery shells of features."""

from typing import Any

import uuid_utils
from celery import Celery

from services.features.errors import AlreadyComputingError
from services.features.materialising import Materialiser
from services.features.online import OnlineStore
from services.features.settings import FeaturesSettings
from shared.contracts.features import FeatureRun, FeaturesErased
from shared.contracts.tasks import ForgetFeatures, MaterialiseFeatures
from shared.errors import UnavailableError
from shared.settings import read_env
from shared.worker import WorkerRuntime

_AGAIN_SECONDS = 5
_TRIES = 400


def register(celery: Celery, runtime: WorkerRuntime) -> None:
    """Register this room's tasks."""

    async def materialise(payload: MaterialiseFeatures) -> FeatureRun:
        store = OnlineStore(runtime.settings.redis_url, seconds=30)
        try:
            work = Materialiser(runtime.engine, runtime.clients.events, store, read_env(FeaturesSettings),
                                runtime.settings.atelier_data)  # fmt: skip
            run_id = payload.run_id or str(uuid_utils.uuid7())
            return await work.run(payload.tenant, run_id, payload.asked_at, top=payload.top)
        finally:
            await store.close()

    async def forget(payload: ForgetFeatures) -> FeaturesErased:
        return await runtime.clients.features.erase(payload.profile_id)

    @celery.task(
        name=MaterialiseFeatures.task, autoretry_for=(AlreadyComputingError, UnavailableError), max_retries=_TRIES,
        default_retry_delay=_AGAIN_SECONDS,
    )  # fmt: skip
    def materialise_features(raw: dict[str, Any]) -> Any:
        return runtime.run(MaterialiseFeatures, raw, materialise)

    @celery.task(name=ForgetFeatures.task, autoretry_for=(UnavailableError,), max_retries=20, default_retry_delay=30)
    def forget_features(raw: dict[str, Any]) -> Any:
        return runtime.run(ForgetFeatures, raw, forget)
