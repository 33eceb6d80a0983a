"""What experiments are told: who was exposed to which arm, and what came of it. Repeating it changes nothing."""

import asyncio
import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence

import structlog
import uuid_utils

from services.decisions.records import Entry
from services.decisions.rewarding import StoredOutcome, reaches
from shared.clients.experiments import ExperimentsClient
from shared.context import CallContext, bound
from shared.contracts.experiments import Observation, ObservationBatch
from shared.contracts.policies import RewardPlan
from shared.errors import AtelierError, UnavailableError

_BATCH = 1000
_SECONDS = 2.0  # the journal waits for it

log = structlog.get_logger()


def arms(entry: Entry) -> list[tuple[str, str]]:
    """(experiment, arm) of a decision; the holdout is one of them where there is one."""
    return [(a.experiment_key, a.arm) for a in entry.experiments]


def exposures(entry: Entry) -> list[Observation]:
    """The person of this decision was exposed to these arms."""
    time = dt.datetime.fromtimestamp(entry.at, dt.UTC)
    return [
        Observation(experiment_key=key, unit=entry.inputs.person.profile_id, arm=arm, metric="exposure", value=1.0, time=time,
                    idempotency_key=f"exposure:{entry.id}")
        for key, arm in arms(entry)
    ]  # fmt: skip


def observations(entry: Entry, row: StoredOutcome, plan: RewardPlan) -> list[Observation]:
    """An outcome as metrics: `display`, `interact`, `dismiss` and `reward` count once an item, `convert` and `value` (money)
    once an order; the keys say so.
    """
    item = f"{row.decision_id}:{row.slot}"
    order = f"{item}:{hashlib.sha256(row.order_id.encode()).hexdigest()[:32]}" if row.order_id else item
    metrics = {row.kind: (1.0, order if row.kind == "convert" else item)}
    if row.value is not None:
        metrics["value"] = row.value, order
    if reaches(row.kind, plan):
        metrics["reward"] = 1.0, item
    return [
        Observation(experiment_key=key, unit=entry.inputs.person.profile_id, arm=arm, metric=metric, value=value,
                    time=row.time, idempotency_key=f"{metric}:{of}")
        for key, arm in arms(entry) for metric, (value, of) in metrics.items()
    ]  # fmt: skip


class Observer:
    """Tells the experiments service."""

    def __init__(self, experiments: ExperimentsClient) -> None:
        self._experiments = experiments

    async def exposed(self, rows: Sequence[tuple[str, Entry]]) -> bool:
        """Everybody in these decisions (with their tenants) who is in an experiment was exposed; False: tell it again."""
        tenants: dict[str, list[Observation]] = {}
        for tenant, entry in rows:
            tenants.setdefault(tenant, []).extend(exposures(entry))
        told = [await self.tell(tenant, found) for tenant, found in tenants.items()]
        return all(told)

    async def tell(self, tenant: str, found: Iterable[Observation]) -> bool:
        """Pass observations on; False when they could not be passed on and should be told again. Refused ones are not."""
        listed = list(found)
        try:
            with bound(CallContext(tenant=tenant, request_id=str(uuid_utils.uuid7()))):
                for start in range(0, len(listed), _BATCH):
                    async with asyncio.timeout(_SECONDS):
                        await self._experiments.observe(ObservationBatch(observations=listed[start : start + _BATCH]))
        except (UnavailableError, TimeoutError) as error:
            log.warning("decisions.observations_wait", tenant=tenant, kind=type(error).__name__, count=len(listed))
            return False
        except AtelierError as error:
            log.error("decisions.observations_refused", tenant=tenant, detail=str(error)[:200], count=len(listed))
        return True
