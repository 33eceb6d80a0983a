"""The use cases of roll-out: a version goes from shadow over canary to live by its plan, or back, by itself."""

import datetime as dt
from collections.abc import Sequence

import msgspec
import structlog
import uuid_utils
from sqlalchemy.ext.asyncio import AsyncEngine

from services.training import evidence
from services.training.alone import alone
from services.training.errors import AlreadyRollingError, NoRolloutError, NotLoadableError, UnknownModelError
from services.training.moving import known, move_on, now
from services.training.repository import TrainingRepository
from services.training.rollout import gates, guardrails, plan
from services.training.rollout_repository import MOTION, RolloutRepository, Running, moving_tenants
from services.training.stepping import Move, take
from services.training.telling import tell
from shared.clients.bundle import Clients
from shared.context import CallContext, bound
from shared.contracts.policies import ArmsQuery
from shared.contracts.rollouts import (
    Approval,
    ApproveRollout,
    Phase,
    ProposeVersion,
    RollBack,
    RolloutPlan,
    RolloutState,
    RolloutStep,
)
from shared.contracts.training import MoveStage
from shared.db.engine import transaction

log = structlog.get_logger()


class RolloutService:
    """Rolls versions out. What decides is changed by decisions alone; here is written down what they have to be told."""

    def __init__(self, engine: AsyncEngine, clients: Clients) -> None:
        self._engine = engine
        self._clients = clients

    async def put_plan(self, tenant: str, given: RolloutPlan) -> RolloutPlan:
        """Store how versions of a model go live; a roll-out in motion keeps the plan it began with.

        Raises:
            InvalidInputError: it cannot be followed.
        """
        plan.check(given)
        async with transaction(self._engine) as connection:
            await RolloutRepository(connection, tenant).put_plan(given)
        return given

    async def plan(self, tenant: str, model_key: str) -> RolloutPlan:
        """The stored plan.

        Raises:
            NoRolloutError: this model has none.
        """
        async with transaction(self._engine) as connection:
            found = await RolloutRepository(connection, tenant).plan(model_key)
        if found is None:
            raise NoRolloutError(f"Model {model_key[:80]!r} has no roll-out plan.")
        return found

    async def propose(self, tenant: str, model_key: str, asked: ProposeVersion) -> RolloutState:
        """Start the roll-out of a version: from now on it is in shadow.

        Raises:
            UnknownModelError: no such version.
            NoRolloutError: the model has no plan.
            NotLoadableError: decisions do not load it.
            AlreadyRollingError: a roll-out of this model is in motion.
            WrongStageError: the version is live.
        """
        given = await self.plan(tenant, model_key)
        async with transaction(self._engine) as connection:
            version = await known(TrainingRepository(connection), tenant, model_key, asked.version)
            if not version.scorer_id:
                message = f"{model_key} {asked.version}: decisions load no scorer of it"
                raise NotLoadableError(message)
            rollouts = RolloutRepository(connection, tenant)
            one = await rollouts.begin(model_key, asked.version, given, now())
            if one is None:
                message = f"a roll-out of {model_key!r} is in motion already"
                raise AlreadyRollingError(message)
            move = MoveStage(to="shadow", by=asked.by, reason=asked.reason or f"roll-out {one.number}")
            if version.stage == "retired":
                await move_on(
                    connection, tenant, model_key, asked.version, msgspec.structs.replace(move, to="apprentice")
                )
            if version.stage != "shadow":
                await move_on(connection, tenant, model_key, asked.version, move)
            step = RolloutStep(number=0, time=now(), actor=asked.by, action="proposed", phase="shadow", share=0.0,
                               reason=asked.reason)  # fmt: skip
            await rollouts.add_step(one, step)
        return await self.state(tenant, model_key)

    async def approve(self, tenant: str, model_key: str, asked: ApproveRollout) -> RolloutState:
        """Agree that a version goes on; the same person twice counts once.

        Raises:
            NoRolloutError: nothing of this model waits for this gate.
        """
        waits = "shadow" if asked.gate == "canary" else "canary"
        async with transaction(self._engine) as connection:
            rollouts = RolloutRepository(connection, tenant)
            one = await rollouts.newest(model_key, lock=True)
            if one is None or one.phase != waits:
                message = (
                    f"no version of {model_key[:80]!r} is in {waits}, so there is nothing to let on to {asked.gate}"
                )
                raise NoRolloutError(message)
            approval = Approval(gate=asked.gate, actor=asked.by, time=now(), reason=asked.reason)
            if await rollouts.approve(one, approval):
                step = RolloutStep(number=0, time=approval.time, actor=asked.by, action="approved", phase=one.phase,
                                   share=one.share, reason=f"{asked.gate}: {asked.reason}".rstrip(": "))  # fmt: skip
                await rollouts.add_step(one, step)
        return await self.state(tenant, model_key)

    async def roll_back(self, tenant: str, model_key: str, asked: RollBack) -> RolloutState:
        """End the roll-out: what was live before it decides again, at once.

        Raises:
            NoRolloutError: nothing is in motion, and the live version did not come by a roll-out.
        """
        async with transaction(self._engine) as connection:
            rollouts = RolloutRepository(connection, tenant)
            one = await rollouts.newest(model_key, lock=True)
            live = await TrainingRepository(connection).live(tenant, model_key)
            if one is None or not (one.phase in MOTION or (one.phase == "live" and live == one.version)):
                raise NoRolloutError(f"there is no roll-out of {model_key[:80]!r} to go back from")
            move = Move("rolled back", "rolled back", asked.reason, actor=asked.by, share=0.0)
            await take(connection, tenant, one, move)
        await tell(self._engine, self._clients.decisions, tenant, model_key)
        return await self.state(tenant, model_key)

    async def state(self, tenant: str, model_key: str) -> RolloutState:
        """The newest roll-out of a model.

        Raises:
            NoRolloutError: there was none.
        """
        async with transaction(self._engine) as connection:
            rollouts = RolloutRepository(connection, tenant)
            one = await rollouts.newest(model_key)
            if one is None:
                raise NoRolloutError(f"Nothing of model {model_key[:80]!r} was rolled out.")
            live = await TrainingRepository(connection).live(tenant, model_key)
            told = await rollouts.delivery(model_key)
            values = {name: getattr(one, name) for name in one.__struct_fields__ if name != "judged_at"}
            return RolloutState(**values, live_version=live, told=told is None or told[2],
                                approvals=await rollouts.approvals(one), history=await rollouts.steps(one))  # fmt: skip

    async def look_everywhere(self, phases: Sequence[Phase] = MOTION) -> int:
        """`look` at every tenant of whom something is in motion; how many steps were taken."""
        async with transaction(self._engine) as connection:
            tenants = await moving_tenants(connection, phases)
        count = 0
        for tenant in tenants:
            with bound(CallContext(tenant=tenant, request_id=str(uuid_utils.uuid7()))):
                count += await self.look(tenant, phases)
        return count

    async def look(self, tenant: str, phases: Sequence[Phase] = MOTION) -> int:
        """Do what is due now for every model in one of the phases; how many steps were taken. Needs the tenant's context.

        Safe at any time and in several processes at once: one of them works on a model. What does not answer changes
        nothing, and one model's trouble is not another's.
        """
        async with transaction(self._engine) as connection:
            models = await RolloutRepository(connection, tenant).moving(phases)
        count = 0
        for model_key in models:
            try:
                count += await self._look(tenant, model_key, phases)
            except Exception as error:
                log.warning(
                    "training.look_failed", model_key=model_key, kind=type(error).__name__, detail=str(error)[:300]
                )
        return count

    async def _look(self, tenant: str, model_key: str, phases: Sequence[Phase]) -> int:
        async with alone(self._engine, f"rollout:{tenant}:{model_key}") as mine:
            if not mine:
                return 0
            await tell(self._engine, self._clients.decisions, tenant, model_key)
            async with transaction(self._engine) as connection:
                one = await RolloutRepository(connection, tenant).newest(model_key)
            if one is None or one.phase not in phases:
                return 0
            steps = await (self._shadow(tenant, one) if one.phase == "shadow" else self._canary(tenant, one))
            await tell(self._engine, self._clients.decisions, tenant, model_key)
            return steps

    async def _scorers(self, tenant: str, one: Running) -> tuple[str, str]:
        """(the version's, the live one's) scorer."""
        async with transaction(self._engine) as connection:
            repository = TrainingRepository(connection)
            version = await repository.version(tenant, one.model_key, one.version)
            number = await repository.live(tenant, one.model_key)
            live = await repository.version(tenant, one.model_key, number) if number is not None else None
        if version is None:
            raise UnknownModelError(f"No model {one.model_key!r} of version {one.version}.")
        return version.scorer_id, live.scorer_id if live else ""

    async def _shadow(self, tenant: str, one: Running) -> int:
        steps = 0
        if not one.passed:
            gate, moment = one.plan.shadow, now()
            if one.judged_at and moment - one.judged_at < dt.timedelta(seconds=gate.again_seconds):
                return 0
            figures = await evidence.shadow(self._clients, gate, *await self._scorers(tenant, one), moment)
            waited = (moment - one.since).total_seconds() > gate.most_seconds
            failed, unknown = gates.failed(figures), gates.unknown(figures)
            if failed or (unknown and waited):
                reason = failed or f"still not known after {gate.most_seconds} s: {unknown}"
                return await self._take(tenant, one, Move("rejected", "rejected", reason, figures))
            if unknown:
                await self._wait(tenant, one, unknown, judged_at=moment)
                return 0
            passed = Move("shadow passed", "shadow", "every figure holds", figures, values={"passed": True})
            steps += await self._take(tenant, one, passed)
            one = msgspec.structs.replace(one, passed=True)
        return steps + await self._open(tenant, one)

    async def _open(self, tenant: str, one: Running) -> int:
        async with transaction(self._engine) as connection:
            approvals = await RolloutRepository(connection, tenant).approvals(one)
        if lacking := plan.lacking(one.plan, "canary", approvals):
            await self._wait(tenant, one, lacking)
            return 0
        return await self._take(
            tenant, one, Move("share raised", "canary", "first share", share=one.plan.canary[0].share)
        )

    async def _canary(self, tenant: str, one: Running) -> int:
        challenger, _ = await self._scorers(tenant, one)
        arms = await self._clients.decisions.arms(ArmsQuery(challenger=challenger, since=one.since))
        figures = guardrails.judge(one.plan.guardrails, arms, len(one.plan.canary))
        if broken := gates.failed(figures):
            return await self._take(tenant, one, Move("rolled back", "rolled back", broken, figures))
        if waiting := plan.unripe(one.plan, one.step, one.since, now(), arms.canary.decisions):
            await self._wait(tenant, one, waiting)
            return 0
        if one.step + 1 < len(one.plan.canary):
            share = one.plan.canary[one.step + 1].share
            raised = Move("share raised", "canary", "no guardrail is broken", figures, share=share,
                          values={"step": one.step + 1})  # fmt: skip
            return await self._take(tenant, one, raised)
        async with transaction(self._engine) as connection:
            approvals = await RolloutRepository(connection, tenant).approvals(one)
        if lacking := plan.lacking(one.plan, "live", approvals):
            await self._wait(tenant, one, lacking)
            return 0
        return await self._take(tenant, one, Move("went live", "live", "no guardrail was broken", figures))

    async def _take(self, tenant: str, seen: Running, move: Move) -> int:
        """Take a step if everything is still as it was seen."""
        async with transaction(self._engine) as connection:
            one = await RolloutRepository(connection, tenant).newest(seen.model_key, lock=True)
            if one is None or (one.number, one.phase, one.step, one.since) != (
                seen.number,
                seen.phase,
                seen.step,
                seen.since,
            ):
                return 0
            await take(connection, tenant, one, move)
        log.info("training.rollout_step", model_key=one.model_key, version=one.version, action=move.action,
                 reason=move.reason)  # fmt: skip
        return 1

    async def _wait(self, tenant: str, one: Running, waiting: str, **values: dt.datetime) -> None:
        if waiting != one.waiting or values:
            async with transaction(self._engine) as connection:
                await RolloutRepository(connection, tenant).change(one, waiting=waiting[:1000], **values)
