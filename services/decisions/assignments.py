"""Which experiments a person is in, and what that changes: from what runs, as last seen, and a hash of the person."""

import asyncio
import time
from typing import Any

import msgspec

from services.decisions.patches import merge_patch
from shared.clients.experiments import ExperimentsClient
from shared.contracts.assignment import assign
from shared.contracts.decisions import ArmAssignment
from shared.contracts.experiments import ActiveAnswer
from shared.contracts.profiles import ProfileContext
from shared.errors import AtelierError

HOLDOUT = "holdout"
_PAUSE_SECONDS = 1.0


class Assigned(msgspec.Struct):
    """The arms, the changed policy (a merge patch), the prompt version to serve, what the held-out get."""

    arms: list[ArmAssignment] = []
    patch: dict[str, Any] = {}
    prompt_version: str | None = None
    holdout: str = ""
    degraded: list[str] = []


class Seen(msgspec.Struct):
    """What runs for a tenant, when it was asked for, and when the last time did not work."""

    active: ActiveAnswer
    asked_at: float
    failed: bool = False


class Assignments:
    """Asks the experiments service what runs, with a deadline, every few seconds. While it does not answer, what was last
    seen goes on: people stay in their arms and the held-out stay held out.
    """

    def __init__(self, experiments: ExperimentsClient, seconds: float, remembered: float) -> None:
        self._experiments = experiments
        self._seconds = seconds
        self._remembered = remembered
        self._seen: dict[str, Seen] = {}
        self._failed_at: dict[str, float] = {}

    async def of(self, tenant: str, profile: ProfileContext) -> Assigned:
        """The assignment of a known person; strangers take part in nothing."""
        if not profile.known:
            return Assigned()
        active, degraded = await self._active(tenant)
        if active is None or (not active.experiments and active.holdout.percent <= 0):
            return Assigned(degraded=degraded)
        found = assign(tenant, active, profile.profile_id)
        assigned = Assigned(degraded=degraded)
        for one in found.assignments:
            assigned.arms.append(
                ArmAssignment(experiment_key=one.experiment_key, arm=one.arm, is_control=one.is_control)
            )
            assigned.patch = merge_patch(assigned.patch, one.config)
            assigned.prompt_version = one.prompt_version or assigned.prompt_version
        if found.holdout:
            assigned.holdout = found.holdout_serve or "random"
        if found.holdout_active:
            arm = "held_out" if found.holdout else "treated"
            assigned.arms.append(ArmAssignment(experiment_key=HOLDOUT, arm=arm, is_control=found.holdout))
        return assigned

    async def patches(self, tenant: str) -> list[dict[str, Any]]:
        """What the arms of this tenant's experiments change."""
        active, _ = await self._active(tenant)
        return [arm.config for one in active.experiments for arm in one.variants if arm.config] if active else []

    async def _active(self, tenant: str) -> tuple[ActiveAnswer | None, list[str]]:
        seen, now = self._seen.get(tenant), time.monotonic()
        if seen and not seen.failed and now - seen.asked_at <= self._remembered:
            return seen.active, []
        if now - self._failed_at.get(tenant, -_PAUSE_SECONDS) >= _PAUSE_SECONDS:
            if seen:  # who comes meanwhile takes what was last seen
                seen.asked_at, self._failed_at[tenant] = now, now
            try:
                async with asyncio.timeout(self._seconds):
                    active = await self._experiments.active()
            except (AtelierError, TimeoutError):
                self._failed_at[tenant] = time.monotonic()
                if seen:
                    seen.failed = True
            else:
                self._failed_at.pop(tenant, None)
                self._seen[tenant] = Seen(active, time.monotonic())
                return active, []
        if seen is None:
            return None, ["experiments_unavailable: no experiment, no holdout"]
        return seen.active, ["experiments_unavailable: experiments and holdout as last seen"]
