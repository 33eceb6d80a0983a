"""The use cases of features."""

import asyncio
import datetime as dt
import time
from pathlib import Path

import uuid_utils
from sqlalchemy.ext.asyncio import AsyncEngine

from services.features import backends, frames
from services.features.errors import BadLabelsError, UnknownRunError
from services.features.kernel import FloatArray
from services.features.materialising import default_views
from services.features.online import OnlineStore, microseconds
from services.features.plan import SLACK, EntityPlan, Plan, check, compile_plan, resolved
from services.features.repository import FeatureRepository, StoredViews
from services.features.settings import FeaturesSettings
from shared.clients.events import EventsClient
from shared.clients.tasks import TaskSender
from shared.context import tenant
from shared.contracts.base import FieldError
from shared.contracts.features import (
    FeatureRun,
    FeatureViews,
    FrameAnswer,
    FrameRequest,
    MaterialiseRequest,
    OnlineAnswer,
    OnlineQuery,
    ViewsAnswer,
)
from shared.contracts.tasks import MaterialiseFeatures
from shared.db.engine import transaction
from shared.errors import InvalidInputError


class FeatureService:
    """Views, online values, frames."""

    def __init__(
        self, engine: AsyncEngine, store: OnlineStore, events: EventsClient, tasks: TaskSender, settings: FeaturesSettings,
        data_dir: Path,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._store = store
        self._events = events
        self._tasks = tasks
        self._settings = settings
        self._data = data_dir

    async def _stored(self, tenant: str) -> StoredViews:
        async with transaction(self._engine) as connection:
            return await FeatureRepository(connection).views(tenant) or StoredViews(default_views())

    async def views(self, tenant: str) -> ViewsAnswer:
        """The views as stored, and what serves."""
        stored = await self._stored(tenant)
        state = await self._store.state(tenant, again=True)
        version = compile_plan(resolved(stored.views, stored.tops or {})).version
        live = state.live
        return ViewsAnswer(
            views=stored.views, stored_version=version, version=live.plan.version if live else "",
            features=live.plan.infos(live.views) if live else [], computed_at=state.computed_at,
        )  # fmt: skip

    async def put_views(self, tenant: str, given: FeatureViews) -> ViewsAnswer:
        """Replace the views and compute them; the ones before serve until that is done.

        Raises:
            BadViewError: one cannot be computed; nothing is stored.
        """
        check(given.views)
        async with transaction(self._engine) as connection:
            await FeatureRepository(connection).save(tenant, StoredViews(given.views))
        await self.materialise(tenant, MaterialiseRequest())
        return await self.views(tenant)

    async def materialise(self, tenant: str, request: MaterialiseRequest) -> FeatureRun:
        """Queue a computation of everything."""
        one = FeatureRun(run_id=str(uuid_utils.uuid7()), state="queued")
        async with transaction(self._engine) as connection:
            await FeatureRepository(connection).save_run(tenant, one)
        task = MaterialiseFeatures(tenant=tenant, run_id=one.run_id, asked_at=time.time(), top=request.top)
        self._tasks.send(task)
        return one

    async def run(self, tenant: str, run_id: str) -> FeatureRun:
        """How far a computation is.

        Raises:
            UnknownRunError: this tenant has none of this id.
        """
        async with transaction(self._engine) as connection:
            found = await FeatureRepository(connection).run(tenant, run_id)
        if found is None:
            message = f"there is no computation of features {run_id[:80]!r}"
            raise UnknownRunError(message)
        return found

    async def asked(self, query: OnlineQuery) -> OnlineAnswer:
        """Online values for the tenant whose request is running; see `online`."""
        return await self.online(tenant(), query)

    async def online(self, tenant: str, query: OnlineQuery) -> OnlineAnswer:
        """The features of entities as of a moment, the events of the last milliseconds included.

        Raises:
            UnknownFeatureError: one asked for is none of the entity's.
            InvalidInputError: the moment lies before what is kept online.
            OnlineStoreDownError: Redis does not answer.
        """
        live, values = await self._store.read(tenant, query.entity, query.ids, query.at)
        if live is None:
            return OnlineAnswer(version="", names=[], values=[])
        plan = live.plan.of(query.entity)
        if query.at is not None and plan.horizon is not None:
            await self._check_reach(tenant, query.at)
        if not query.features:
            return OnlineAnswer(version=live.plan.version, names=plan.names, values=values.tolist())
        chosen = plan.select(query.features)
        return OnlineAnswer(version=live.plan.version, names=query.features, values=values[:, chosen].tolist())

    async def _check_reach(self, tenant: str, at: dt.datetime) -> None:
        computed = (await self._store.state(tenant)).computed_at
        if computed is not None and microseconds(at) < microseconds(computed) - SLACK:
            first = (computed - dt.timedelta(microseconds=SLACK)).isoformat()
            error = FieldError(
                field="at", message="lies before what is kept online", given=at.isoformat(), allowed=first
            )
            message = f"at {at.isoformat()} lies before what is kept online ({first}); ask for a frame instead"
            raise InvalidInputError(message, errors=[error])

    async def erase(self, tenant: str, profile_id: str) -> int:
        """Remove a person's features, and what the stream still holds for them."""
        return await self._store.forget(tenant, profile_id)

    async def frame(self, tenant: str, request: FrameRequest) -> FrameAnswer:
        """Add the features of labelled moments to the labels.

        Raises:
            BadLabelsError: the labels cannot be read, or lack a column, or have gaps.
            UnknownFeatureError: one asked for is none of the entity's.
            BackendError: the engine of the settings cannot be used.
        """
        path = self._below(request.labels)
        labels = await asyncio.to_thread(frames.read_labels, path)
        whole = await self._plan(tenant)
        plan = whole.of(request.entity).part(request.features)
        values = await self._framed(tenant, plan, labels)
        out = self._data / "features" / tenant / "frames" / f"{uuid_utils.uuid7()}.parquet"
        await asyncio.to_thread(frames.write, labels, plan, values, out)
        return FrameAnswer(path=str(out.relative_to(self._data)), rows=len(labels.at), features=plan.names,
                           version=whole.version)  # fmt: skip

    async def _plan(self, tenant: str) -> Plan:
        """What serves; before anything does, the views without those that need the most frequent values."""
        live = (await self._store.state(tenant)).live
        if live is not None:
            return live.plan
        stored = await self._stored(tenant)
        empty: dict[str, list[str]] = {view.name: [] for view in stored.views}
        return compile_plan(resolved(stored.views, empty | (stored.tops or {})))

    async def _framed(self, tenant: str, plan: EntityPlan, labels: frames.Labels) -> FloatArray:
        if self._settings.features_backend != "duckdb":
            return await asyncio.to_thread(self._framed_elsewhere, tenant, plan, labels)
        exported = await self._events.export()
        path = self._data / exported.path
        try:
            return await asyncio.to_thread(self._framed_here, path, plan, labels)
        finally:
            path.unlink(missing_ok=True)

    def _framed_here(self, path: Path, plan: EntityPlan, labels: frames.Labels) -> FloatArray:
        with backends.duckdb(self._settings, path.parent) as connection:
            return frames.here(plan, connection.read_parquet(path), labels)

    def _framed_elsewhere(self, tenant: str, plan: EntityPlan, labels: frames.Labels) -> FloatArray:
        with backends.elsewhere(self._settings) as connection:
            events = connection.table(self._settings.features_events_table)
            if "tenant" in events.columns:
                events = events.filter(events.tenant == tenant)
            return frames.there(plan, connection, events, labels)

    def _below(self, given: str) -> Path:
        """A path below ATELIER_DATA; nothing else may be read on somebody's word."""
        path = self._data if "\0" in given else (self._data / given).resolve()
        if path == self._data or not path.is_relative_to(self._data.resolve()):
            error = FieldError(
                field="labels", message="lies elsewhere", given=given[:120], allowed="below ATELIER_DATA"
            )
            raise BadLabelsError("labels: the file must lie below ATELIER_DATA", errors=[error])
        return path
