"""The stream's consumer: accepted events become records of entities, in micro-batches, acknowledged in the same step."""

import contextlib
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from services.features import packing
from services.features.matching import Matcher
from services.features.online import OnlineStore, stream_keys
from services.features.plan import EntityPlan
from services.features.tenants import Epoch, TenantState
from shared.clients.stream import Delivery
from shared.clients.tasks import TaskSender
from shared.contracts.features import Entity
from shared.contracts.stream import PackedEvents, decode
from shared.contracts.tasks import MaterialiseFeatures
from shared.errors import UnavailableError

log = structlog.get_logger()

GROUP = "features"
_ASK_SECONDS = 60
_STEP_EVENTS = 4000  # one script works on so many at most: nobody else is answered meanwhile
_ATTEMPTS = 5


class Message(msgspec.Struct, frozen=True):
    """A delivery, decoded."""

    delivery: Delivery
    events: PackedEvents


class Recorder:
    """Turns messages into the records of entities; keeps what a plan is matched by."""

    def __init__(self) -> None:
        self._matchers: dict[tuple[str, Entity], Matcher] = {}

    def _matcher(self, version: str, plan: EntityPlan) -> Matcher:
        key = version, plan.entity
        if key not in self._matchers:
            self._matchers[key] = Matcher(plan)
        return self._matchers[key]

    def records(self, epoch: Epoch, plan: EntityPlan, events: PackedEvents) -> list[tuple[str, bytes]]:
        """(entity, records to add) of every entity of a kind that a message is about."""
        ids, rows = self._matcher(epoch.plan.version, plan).records(events)
        return packing.by_entity(ids, rows)

    def written(self, tenant: str, epoch: Epoch, events: PackedEvents) -> list[tuple[str, int, bytes]]:
        """(key, size of its head, records to add) of every entity of an epoch that a message is about."""
        found = []
        for kind, plan in epoch.plan.entities.items():
            size = packing.head_size(plan)
            found += [
                (OnlineStore.entity(tenant, epoch.number, kind, name), size, body)
                for name, body in self.records(epoch, plan, events)
            ]
        return found

    def prepared(self, tenant: str, state: TenantState, messages: Sequence[Message]) -> tuple[list[str], list[Any]]:
        """Keys and arguments of the script APPLY, for the tenant's state as it was read."""
        keys = stream_keys(tenant)
        args: list[Any] = [state.token, GROUP, len(messages)]
        for message in messages:
            events, delivery = message.events, message.delivery
            raw = delivery.body if state.waiting else b""
            entities: list[tuple[str, int, bytes]] = []
            for epoch in (state.live, None if state.waiting else state.building):
                if epoch is not None and not epoch.snapshot.holds(events.transaction):
                    entities += self.written(tenant, epoch, events)
            keys.append(OnlineStore.key(tenant, f"seen:{events.key}"))
            keys += [key for key, _, _ in entities]
            # Messages of several tenants share a partition, and each tenant's are counted apart.
            part = f"{delivery.part}:{tenant}" if delivery.part else ""
            args += [delivery.position, part, events.stored_at, raw, len(entities)]
            for _, size, records in entities:
                args += [size, records]
        return keys, args


class Counter:
    """Counts deliveries into the keys of their tenants."""

    def __init__(self, store: OnlineStore, tasks: TaskSender | None) -> None:
        self._store = store
        self._tasks = tasks
        self._recorder = Recorder()
        self._asked: dict[str, float] = {}
        self.events = 0

    async def count(self, deliveries: list[Delivery]) -> None:
        """Count messages and acknowledge them. One that cannot be read is dropped, with a word in the log."""
        by_tenant: dict[str, list[Message]] = {}
        for delivery in deliveries:
            try:
                events = decode(delivery.body)
            except msgspec.DecodeError as error:
                log.error("features.unreadable_message", position=delivery.position, detail=str(error)[:200])
                events = PackedEvents("", 0, 0, 0, [], b"", [])
            by_tenant.setdefault(events.tenant, []).append(Message(delivery, events))
        for tenant, messages in by_tenant.items():
            for part in _steps(messages):
                await self._apply(tenant, part)

    async def _apply(self, tenant: str, messages: list[Message]) -> None:
        for attempt in range(_ATTEMPTS):
            state = await self._store.state(tenant, again=attempt > 0)
            if tenant and state.live is None and state.building is None:
                state = await self._store.state(tenant, again=True)
                self._ask(tenant, state)
            keys, args = self._recorder.prepared(tenant, state, messages)
            if await self._store.run("APPLY", keys, args) != -1:
                self.events += sum(len(message.events.profile_id) for message in messages)
                return
        # Not counted and not acknowledged: it comes again, from Kafka as well.
        message = "the features of a tenant begin to be computed again and again; what came meanwhile waits"
        raise UnavailableError(message)

    def _ask(self, tenant: str, state: TenantState) -> None:
        """Nothing was ever computed for the tenant: what happened until now is in the table, so begin with that."""
        now = time.monotonic()
        if state.live or state.building or self._tasks is None or now - self._asked.get(tenant, -1e9) < _ASK_SECONDS:
            return
        self._asked[tenant] = now
        with contextlib.suppress(Exception):
            self._tasks.send(MaterialiseFeatures(tenant=tenant, request_id="features-stream", asked_at=time.time()))


def _steps(messages: list[Message]) -> list[list[Message]]:
    found: list[list[Message]] = [[]]
    size = 0
    for message in messages:
        if size and size + len(message.events.profile_id) > _STEP_EVENTS:
            found.append([])
            size = 0
        found[-1].append(message)
        size += len(message.events.profile_id)
    return found
