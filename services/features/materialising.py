"""Computing everybody's features from all events, beside the stream, and letting them serve in one step.

1. An epoch begins: from now on the stream keeps its messages aside as well as counting them.
2. All events are read in one snapshot of the database.
3. The snapshot is made known: the stream counts into both epochs, into the new one only what the snapshot does not hold.
4. Keys are filled from the snapshot; then what was kept aside is added, where the snapshot does not hold it.
5. The new epoch serves, the old one's keys are removed.

So every event is in the new epoch once: out of the snapshot, out of what was kept aside, or counted by the stream.
"""

import asyncio
import datetime as dt
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.features import backends, packing, tables
from services.features.errors import AlreadyComputingError
from services.features.online import OnlineStore, microseconds
from services.features.plan import DAY, EntityPlan, Plan, compile_plan, resolved, tops
from services.features.repository import FeatureRepository, StoredViews
from services.features.settings import FeaturesSettings
from services.features.streaming import Recorder
from services.features.tenants import Epoch, snapshot
from shared.clients.events import EventsClient
from shared.contracts.features import FeatureRun, FeatureView
from shared.contracts.stream import decode
from shared.db.engine import transaction
from shared.errors import AtelierError, UnavailableError

log = structlog.get_logger()

_PART = 20_000


def default_views() -> list[FeatureView]:
    """The views of a tenant that put none."""
    return msgspec.yaml.decode(
        files("services.features").joinpath("default_views.yaml").read_bytes(), type=list[FeatureView]
    )


class Materialiser:
    """Computes the features of one tenant at a time."""

    def __init__(
        self, engine: AsyncEngine, events: EventsClient, store: OnlineStore, settings: FeaturesSettings, data_dir: Path
    ) -> None:
        self._engine = engine
        self._events = events
        self._store = store
        self._settings = settings
        self._data = data_dir

    async def run(self, tenant: str, run_id: str, asked_at: float, *, top: bool = False) -> FeatureRun:
        """Compute, unless a computation that serves began after this one was asked for (epoch seconds).

        Raises:
            AlreadyComputingError: another run does just now; to be asked again.
        """
        async with self._store.lock(tenant, run_id) as taken:
            one = FeatureRun(run_id=run_id, state="running", started_at=_now())
            if not taken:
                message = "The features of this tenant are being computed; this run waits for that one."
                await self._save(tenant, msgspec.structs.replace(one, state="queued", step="waits for another run"))
                raise AlreadyComputingError(message, retry_after=10)
            state = await self._store.state(tenant, again=True)
            if state.began_at > asked_at and not top and state.live:
                one.state, one.finished_at, one.version = "done", _now(), state.live.plan.version
                return await self._save(tenant, one)
            return await self._computed(tenant, one, top=top)

    async def _computed(self, tenant: str, one: FeatureRun, *, top: bool) -> FeatureRun:
        state = [self._store.key(tenant, name) for name in ("state", "epochs", "aside")]
        epoch, before = await self._store.run("BEGIN", state, [])
        try:
            if before:
                await self._store.drop_epoch(tenant, int(before))
            await self._build(tenant, int(epoch), one, top=top)
        except Exception as error:
            await self._store.run("ABORT", [state[0], state[2]], [epoch])
            await self._store.drop_epoch(tenant, int(epoch))
            one.state, one.finished_at = "failed", _now()
            one.problem = error.detail if isinstance(error, AtelierError) else f"{type(error).__name__}: {error}"[:500]
            await self._save(tenant, one)
            raise
        one.state, one.step, one.finished_at = "done", "", _now()
        log.info("features.computed", tenant=tenant, events=one.events, entities=one.done, version=one.version)
        return await self._save(tenant, one)

    async def _build(self, tenant: str, number: int, one: FeatureRun, *, top: bool) -> None:
        await self._tell(tenant, one, "read events", 0, 0)
        began = _now().timestamp()
        taken_at = int((await cast(Any, self._store.redis.time()))[0]) * 1000
        exported = await self._events.export()
        path = self._data / exported.path
        one.events = exported.rows
        state = [self._store.key(tenant, "state"), self._store.key(tenant, "aside")]
        try:
            with backends.duckdb(self._settings, path.parent) as connection:
                events = await asyncio.to_thread(connection.read_parquet, path)
                views, plan = await self._planned(tenant, events, top=top)
                one.version = plan.version
                epoch = Epoch(number, plan, views, snapshot(exported.snapshot))
                wire = msgspec.json.encode(views)
                if await self._store.run("FIX", state[:1], [number, exported.snapshot, wire, plan.version]):
                    raise UnavailableError("more events came in than can be kept aside; try again")
                await self._fill(tenant, epoch, events, one, taken_at)
        finally:
            path.unlink(missing_ok=True)
        await self._add_aside(tenant, epoch, taken_at)
        old = await self._store.run("SWAP", state, [number, int(_now().timestamp() * 1000), began])
        if old == -1:
            raise UnavailableError("another computation of the features has begun")
        if old:
            await self._store.drop_epoch(tenant, int(old))

    async def _planned(self, tenant: str, events: Any, *, top: bool) -> tuple[list[FeatureView], Plan]:
        """The views that are to serve, with their most frequent values, looked up if they never were or if asked."""
        async with transaction(self._engine) as connection:
            stored = await FeatureRepository(connection).views(tenant) or StoredViews(default_views())
        wanted = tops(stored.views)
        if wanted and (top or not stored.tops or set(stored.tops) != set(wanted)):
            found = await asyncio.to_thread(most_frequent, stored.views, events)
            # Views without a single value are looked up again next time: the tenant has no such events yet.
            stored.tops = found
            if all(found.values()):
                async with transaction(self._engine) as connection:
                    await FeatureRepository(connection).save(tenant, stored)
        views = resolved(stored.views, stored.tops or {})
        return views, compile_plan(views)

    async def _fill(self, tenant: str, epoch: Epoch, events: Any, one: FeatureRun, taken_at: int) -> None:
        at = microseconds(_now())
        for kind, plan in epoch.plan.entities.items():
            step = f"{kind} features"
            await self._tell(tenant, one, step, one.done, one.total)
            heads, rows = await asyncio.to_thread(computed, plan, epoch.plan.version, events, at)
            one.total += len(heads)
            for part in _parts(bodies(plan, heads, rows), _PART):
                one.done += await self._store.fill(tenant, epoch, kind, part, taken_at)
                await self._tell(tenant, one, step, one.done, one.total)

    async def _add_aside(self, tenant: str, epoch: Epoch, taken_at: int) -> None:
        recorder = Recorder()
        raw: list[bytes] = await cast(Any, self._store.redis.lrange(self._store.key(tenant, "aside"), 0, -1))
        for message in map(decode, raw):
            if epoch.snapshot.holds(message.transaction):
                continue
            for kind, plan in epoch.plan.entities.items():
                empty = bytes(packing.head_size(plan))
                found = [(name, empty + body) for name, body in recorder.records(epoch, plan, message)]
                await self._store.fill(tenant, epoch, kind, found, max(taken_at, message.stored_at))

    async def _tell(self, tenant: str, one: FeatureRun, step: str, done: int, total: int) -> None:
        one.step, one.done, one.total = step, done, total
        await self._save(tenant, one)

    async def _save(self, tenant: str, one: FeatureRun) -> FeatureRun:
        async with transaction(self._engine) as connection:
            await FeatureRepository(connection).save_run(tenant, one)
        return one


def most_frequent(views: list[FeatureView], events: Any) -> dict[str, list[str]]:
    """View -> the most frequent values of its `each`, of those views that ask for them."""
    from services.features import expressions

    found = {}
    for view in views:
        if view.each and view.each.top:
            base = msgspec.structs.replace(view, each=None)
            condition = next(iter(compile_plan([base]).entities.values())).filters[0]
            table = expressions.most_frequent(events, condition, view.each.label, view.each.top).to_pyarrow()
            found[view.name] = table["value"].to_pylist()
    return found


def computed(
    plan: EntityPlan, version: str, events: Any, at: int
) -> tuple[dict[str, bytes], Iterator[tuple[str, bytes]]]:
    """(entity -> head, (entity, records) of each) as of `at`."""
    from services.features import expressions

    table = expressions.heads(plan, events, at).to_pyarrow()
    kept = tables.values(plan, table)
    positions = [i for i, feature in enumerate(plan.features) if feature.aggregate == "recency"]
    kept[:, positions] = (at - kept[:, positions] * DAY).round()
    found = packing.many_heads(plan, version, table["since"].to_numpy(), table["until"].to_numpy(), kept)
    rows = expressions.records(plan, events, at).order_by("entity").to_pyarrow()
    return dict(zip(table["entity"].to_pylist(), found, strict=True)), tables.records(plan, rows)


def bodies(plan: EntityPlan, heads: dict[str, bytes], rows: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """(entity, head and records) of every entity that has records."""
    empty = bytes(packing.head_size(plan))
    for name, records in rows:
        yield name, heads.get(name, empty) + records


def _parts(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    part: list[Any] = []
    for item in items:
        part.append(item)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
