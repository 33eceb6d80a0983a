"""The use cases of experiments."""

import math
import time
from collections.abc import Sequence
from typing import cast

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.experiments import layers, readout
from services.experiments.errors import BadExperimentError, LayerFullError, NotADraftError, UnknownExperimentError
from services.experiments.repository import ExperimentRepository, Stored
from services.experiments.settings import ExperimentsSettings
from shared.context import tenant
from shared.contracts import assignment
from shared.contracts.base import FieldError
from shared.contracts.experiments import (
    ActiveAnswer,
    Arm,
    AssignAnswer,
    AssignRequest,
    Experiment,
    HoldoutSettings,
    Observation,
    ObservationsStored,
    Readout,
    RunningExperiment,
)
from shared.db.engine import transaction
from shared.fields import has_nul

HOLDOUT = "holdout"
_LARGEST = 1e12  # squares of sums of more overflow, and a readout would be lost to one absurd value
_SMALLEST_SHARE = 1e-6
_HOLDOUT_ARMS = [Arm(key="held_out"), Arm(key="treated")]

log = structlog.get_logger()


class ExperimentService:
    """Runs experiments."""

    def __init__(self, engine: AsyncEngine, own: ExperimentsSettings) -> None:
        self._engine = engine
        self._own = own
        self._active: dict[str, tuple[float, ActiveAnswer]] = {}

    async def active(self, tenant: str) -> ActiveAnswer:
        """What runs now."""
        checked, known = self._active.get(tenant, (-self._own.experiments_cache_seconds, None))
        if known is None or time.monotonic() - checked > self._own.experiments_cache_seconds:
            async with transaction(self._engine) as connection:
                repository = ExperimentRepository(connection)
                running = [s for s in await repository.all(tenant) if s.experiment.status == "running"]
                known = ActiveAnswer(holdout=await repository.holdout(tenant), experiments=list(map(_running, running)))
            self._active[tenant] = time.monotonic(), known
        return known

    async def asked(self, request: AssignRequest) -> AssignAnswer:
        """A unit's arms for the tenant whose request is running."""
        return await self.assign(tenant(), request.unit)

    async def assign(self, tenant: str, unit: str) -> AssignAnswer:
        """A unit's arms; somebody held out is in no experiment."""
        return assignment.assign(tenant, await self.active(tenant), unit)

    async def _change(self, tenant: str, key: str, new: Experiment | None, status: str | None) -> Experiment:
        async with transaction(self._engine) as connection:
            repository = ExperimentRepository(connection)
            await repository.lock(tenant)
            every = await repository.all(tenant)
            known = next((s for s in every if s.experiment.experiment_key == key), None)
            stored = _edited(known, new) if new is not None else _moved(known, key, status or "", every)
            await repository.save(tenant, stored)
        self._active.pop(tenant, None)
        return stored.experiment

    async def put(self, tenant: str, key: str, experiment: Experiment) -> Experiment:
        """Create or change a draft.

        Raises:
            NotADraftError: it runs or has run.
            BadExperimentError: two arms of one key, or a reserved key.
        """
        if key != experiment.experiment_key:
            raise _bad("experimentKey", "is not the key in the path", experiment.experiment_key)
        check(experiment)
        return await self._change(tenant, experiment.experiment_key, experiment, None)

    async def start(self, tenant: str, key: str) -> Experiment:
        """Give a draft its part of the layer, which it keeps until it ends.

        Raises:
            UnknownExperimentError: none of this key.
            NotADraftError: it runs or has run.
            LayerFullError: there is no room in the layer.
        """
        return await self._change(tenant, key, None, "running")

    async def stop(self, tenant: str, key: str) -> Experiment:
        """End an experiment; its part of the layer is free again."""
        return await self._change(tenant, key, None, "stopped")

    async def all(self, tenant: str) -> list[Experiment]:
        """All experiments."""
        async with transaction(self._engine) as connection:
            return [stored.experiment for stored in await ExperimentRepository(connection).all(tenant)]

    async def get(self, tenant: str, key: str) -> Experiment:
        """One experiment; `holdout` is always there."""
        if key == HOLDOUT:
            async with transaction(self._engine) as connection:
                settings = await ExperimentRepository(connection).holdout(tenant)
            held = max(settings.percent, 1e-6)
            arms = [msgspec.structs.replace(_HOLDOUT_ARMS[0], weight=held),
                    msgspec.structs.replace(_HOLDOUT_ARMS[1], weight=100 - held)]  # fmt: skip
            return Experiment(experiment_key=HOLDOUT, layer=HOLDOUT, variants=arms, status="running")
        found = next((e for e in await self.all(tenant) if e.experiment_key == key), None)
        if found is None:
            message = f"No experiment {key[:200]!r}."
            raise UnknownExperimentError(message)
        return found

    async def holdout(self, tenant: str) -> HoldoutSettings:
        """The holdout."""
        async with transaction(self._engine) as connection:
            return await ExperimentRepository(connection).holdout(tenant)

    async def put_holdout(self, tenant: str, settings: HoldoutSettings) -> HoldoutSettings:
        """Change the holdout."""
        async with transaction(self._engine) as connection:
            await ExperimentRepository(connection).save_holdout(tenant, settings)
        self._active.pop(tenant, None)
        return settings

    async def observe(self, tenant: str, rows: Sequence[Observation]) -> ObservationsStored:
        """Store observations; the same idempotency key twice counts once; the bad ones are named."""
        arms = {e.experiment_key: {arm.key for arm in e.variants} for e in await self.all(tenant)}
        arms[HOLDOUT] = {arm.key for arm in _HOLDOUT_ARMS}
        good: dict[tuple[str, str], Observation] = {}
        errors: list[FieldError] = []
        repeated = 0
        for index, row in enumerate(rows):
            error = _refusal(row, arms)
            if error is not None:
                errors.append(msgspec.structs.replace(error, field=f"observations[{index}].{error.field}"))
                continue
            repeated += (row.experiment_key, row.idempotency_key) in good
            good.setdefault((row.experiment_key, row.idempotency_key), row)
        stored = 0
        if good:
            async with transaction(self._engine) as connection:
                stored = await ExperimentRepository(connection).observe(tenant, list(good.values()))
        duplicates = len(good) - stored + repeated
        return ObservationsStored(stored=stored, duplicates=duplicates, rejected=len(errors), errors=errors)

    async def readout(self, tenant: str, key: str) -> Readout:
        """What an experiment says so far."""
        experiment = await self.get(tenant, key)
        async with transaction(self._engine) as connection:
            repository = ExperimentRepository(connection)
            wanted = {experiment.primary_metric, *(g.metric for g in experiment.guardrail_metrics)}
            metrics = sorted(wanted | set(await repository.metrics(tenant, key)))
            sums = {metric: await repository.sums(tenant, key, metric) for metric in metrics}
            exposed = {arm: found.n for arm, found in sums[metrics[0]].items()}
            if key == HOLDOUT and (since := await repository.holdout_since(tenant)) is not None:
                # Who came in under another percentage was drawn with other shares: they prove nothing about these.
                exposed = await repository.exposed(tenant, key, since)
        return readout.read(experiment, sums, exposed)

    async def check(self, tenant: str, key: str) -> Readout:
        """Stop the arms whose guardrails broke."""
        found = await self.readout(tenant, key)
        broken = readout.broken_arms(found)
        if not broken or found.status != "running" or key == HOLDOUT:
            return found
        async with transaction(self._engine) as connection:
            repository = ExperimentRepository(connection)
            await repository.lock(tenant)
            stored = next(s for s in await repository.all(tenant) if s.experiment.experiment_key == key)
            arms = sorted({*stored.experiment.stopped_arms, *broken})
            changed = msgspec.structs.replace(stored.experiment, stopped_arms=arms)
            await repository.save(tenant, msgspec.structs.replace(stored, experiment=changed))
        self._active.pop(tenant, None)
        log.warning("experiments.arms_stopped", experiment=key, arms=broken)
        return msgspec.structs.replace(found, stopped_arms=arms)

    async def check_all(self) -> None:
        """Look at the guardrails of everything that runs."""
        async with transaction(self._engine) as connection:
            running = await ExperimentRepository(connection).running()
        for owner, key in running:
            try:
                await self.check(owner, key)
            except Exception as error:  # one experiment's trouble leaves no other one unguarded
                log.warning("experiments.check_failed", tenant=owner, experiment=key, kind=type(error).__name__)

    async def erase(self, tenant: str, unit: str) -> int:
        """Delete a unit's observations; how many there were."""
        async with transaction(self._engine) as connection:
            return await ExperimentRepository(connection).erase(tenant, unit)


def check(experiment: Experiment) -> None:
    """Refuse what cannot be run.

    Raises:
        BadExperimentError: names the field.
    """
    keys = [arm.key for arm in experiment.variants]
    if experiment.experiment_key == HOLDOUT:
        raise _bad("experimentKey", "is reserved", HOLDOUT)
    if len(set(keys)) < len(keys):
        raise _bad("variants", "two arms of one key", ", ".join(keys))
    if not all(math.isfinite(arm.weight) for arm in experiment.variants):
        raise _bad("variants", "a weight is not a finite number", None)
    if min(arm.weight for arm in experiment.variants) < _SMALLEST_SHARE * sum(a.weight for a in experiment.variants):
        raise _bad("variants", f"a weight is less than {_SMALLEST_SHARE:g} of all", None)
    if has_nul(msgspec.to_builtins(experiment)):
        raise _bad("body", "contains a NUL character", None)


def _running(stored: Stored) -> RunningExperiment:
    one = {name: getattr(stored.experiment, name) for name in Experiment.__struct_fields__}
    return RunningExperiment(**one, first_bucket=stored.first_bucket or 0, end_bucket=stored.end_bucket or 0)


def _bad(field: str, message: str, given: str | None) -> BadExperimentError:
    error = FieldError(field=field, message=message, given=given)
    return BadExperimentError(f"{field}: {message}", errors=[error])


def _edited(known: Stored | None, new: Experiment) -> Stored:
    if known is not None and known.experiment.status != "draft":
        message = f"Experiment {new.experiment_key!r} is {known.experiment.status}; only a draft may be changed."
        raise NotADraftError(message)
    return Stored(msgspec.structs.replace(new, status="draft", stopped_arms=[]), None, None)


def _moved(known: Stored | None, key: str, status: str, every: Sequence[Stored]) -> Stored:
    if known is None:
        message = f"No experiment {key[:200]!r}."
        raise UnknownExperimentError(message)
    one = known.experiment
    if status == "stopped":
        return Stored(msgspec.structs.replace(one, status="stopped"), None, None)
    if one.status != "draft":
        message = f"Experiment {key!r} is {one.status}; only a draft can be started."
        raise NotADraftError(message)
    taken = [(cast(int, s.first_bucket), cast(int, s.end_bucket)) for s in every
             if s.experiment.layer == one.layer and s.experiment.status == "running"]  # fmt: skip
    room = layers.free_range(taken, one.traffic_percent)
    if room is None:
        message = f"Layer {one.layer!r} has no room for {one.traffic_percent:g} % of its people in one piece."
        raise LayerFullError(message)
    return Stored(msgspec.structs.replace(one, status="running"), *room)


def _refusal(row: Observation, arms: dict[str, set[str]]) -> FieldError | None:
    if row.experiment_key not in arms:
        return FieldError(field="experimentKey", message="no such experiment", given=row.experiment_key)
    if row.arm not in arms[row.experiment_key]:
        allowed = ", ".join(sorted(arms[row.experiment_key]))
        return FieldError(field="arm", message="no such arm", given=row.arm, allowed=allowed)
    if has_nul(row.metric):
        return FieldError(field="metric", message="contains a NUL character")
    if not abs(row.value) <= _LARGEST:
        return FieldError(field="value", message="is too large", given=str(row.value), allowed=f"up to {_LARGEST:g}")
    return None
