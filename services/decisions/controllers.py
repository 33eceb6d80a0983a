"""HTTP in, contract out."""

import datetime as dt

from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from services.decisions.authoring import AuthoringService
from services.decisions.comparing import CompareService
from services.decisions.copywriting import CopyService
from services.decisions.dry_run import DryRunService
from services.decisions.explaining import ExplainService
from services.decisions.outcomes import OutcomeService
from services.decisions.service import DecisionService
from shared.context import tenant
from shared.contracts.decisions import (
    Decision,
    DecisionRecord,
    DecisionRequest,
    DecisionsErased,
    Explanation,
    LogPage,
    LogQuery,
    MaterialAnswer,
    MaterialRequest,
    Replay,
)
from shared.contracts.generation import GenerateAnswer, GenerateRequest, RankedRequest
from shared.contracts.policies import (
    Arms,
    ArmsQuery,
    DryRunAnswer,
    DryRunRequest,
    LogStart,
    OutcomeBatch,
    OutcomesStored,
    Policy,
    Rollout,
    RolloutList,
    Rule,
    RuleList,
    ScorerModel,
    ScorerTiming,
    Settled,
    SettleRequest,
)


class DecisionController(Controller):
    """Deciding; no language model."""

    @post("/decide", status_code=200)
    async def decide(self, data: JSONBody[DecisionRequest], decisions: NamedDependency[DecisionService]) -> Decision:
        """Pick offers for a person."""
        return await decisions.asked(data)

    @get("/decisions/{decision_id:str}")
    async def record(self, decision_id: FromPath[str], decisions: NamedDependency[DecisionService]) -> DecisionRecord:
        """A logged decision."""
        return await decisions.record(tenant(), decision_id)

    @post("/decisions/{decision_id:str}/replay", status_code=200)
    async def replay(self, decision_id: FromPath[str], explaining: NamedDependency[ExplainService]) -> Replay:
        """Make a logged decision again, bit for bit."""
        return await explaining.replay(tenant(), decision_id)

    @get("/decisions/{decision_id:str}/why")
    async def why(
        self, decision_id: FromPath[str], offer: FromQuery[str], explaining: NamedDependency[ExplainService]
    ) -> Explanation:
        """Why an offer was or was not picked."""
        return await explaining.why(tenant(), decision_id, offer)

    @post("/log", status_code=200)
    async def log(self, data: JSONBody[LogQuery], explaining: NamedDependency[ExplainService]) -> LogPage:
        """The log beside what another policy would have done."""
        return await explaining.log(tenant(), data)

    @delete("/profiles/{profile_id:str}/decisions", status_code=200)
    async def erase(self, profile_id: FromPath[str], decisions: NamedDependency[DecisionService]) -> DecisionsErased:
        """Erase a person's decisions."""
        return DecisionsErased(rows=await decisions.erase(tenant(), profile_id))


class OutcomeController(Controller):
    """What became of propositions."""

    @post("/outcomes", status_code=200)
    async def outcomes(
        self, data: JSONBody[OutcomeBatch], rewarding: NamedDependency[OutcomeService]
    ) -> OutcomesStored:
        """Record outcomes."""
        return await rewarding.record(tenant(), data.outcomes)

    @post("/outcomes/settle", status_code=200)
    async def settle(self, data: JSONBody[SettleRequest], rewarding: NamedDependency[OutcomeService]) -> Settled:
        """Give default rewards."""
        return await rewarding.settle(tenant(), data.as_of)


class PolicyController(Controller):
    """Rules, policy, models."""

    @get("/rules")
    async def rules(self, authoring: NamedDependency[AuthoringService]) -> RuleList:
        """All rules."""
        return await authoring.rules(tenant())

    @put("/rules/{rule_id:str}")
    async def put_rule(
        self, rule_id: FromPath[str], data: JSONBody[Rule], authoring: NamedDependency[AuthoringService]
    ) -> Rule:
        """Store a rule."""
        del rule_id
        return await authoring.put_rule(tenant(), data)

    @delete("/rules/{rule_id:str}")
    async def delete_rule(self, rule_id: FromPath[str], authoring: NamedDependency[AuthoringService]) -> None:
        """Remove a rule."""
        await authoring.delete_rule(tenant(), rule_id)

    @post("/rules/dry-run", status_code=200)
    async def dry_run(self, data: JSONBody[DryRunRequest], trying: NamedDependency[DryRunService]) -> DryRunAnswer:
        """Try a rule."""
        return await trying.dry_run(tenant(), data)

    @get("/policy")
    async def policy(self, authoring: NamedDependency[AuthoringService]) -> Policy:
        """The live policy."""
        return await authoring.policy(tenant())

    @put("/policy")
    async def put_policy(self, data: JSONBody[Policy], authoring: NamedDependency[AuthoringService]) -> Policy:
        """Store the next version of the policy."""
        return await authoring.put_policy(tenant(), data)

    @put("/scorers/{model_id:str}")
    async def put_model(
        self, model_id: FromPath[str], data: JSONBody[ScorerModel], authoring: NamedDependency[AuthoringService]
    ) -> ScorerModel:
        """Store a scorer."""
        del model_id
        return await authoring.put_model(tenant(), data)

    @delete("/scorers/{model_id:str}")
    async def delete_scorer(self, model_id: FromPath[str], authoring: NamedDependency[AuthoringService]) -> None:
        """Remove a scorer that does not decide."""
        await authoring.delete_model(tenant(), model_id)


class RolloutController(Controller):
    """Which scorers decide for whom, and how they do."""

    @get("/rollouts")
    async def rollouts(self, authoring: NamedDependency[AuthoringService]) -> RolloutList:
        """All roll-outs."""
        return await authoring.rollouts(tenant())

    @put("/rollouts/{model_key:str}")
    async def put_rollout(
        self, model_key: FromPath[str], data: JSONBody[Rollout], authoring: NamedDependency[AuthoringService]
    ) -> Rollout:
        """Say which scorers decide."""
        del model_key
        return await authoring.put_rollout(tenant(), data)

    @post("/rollouts/arms", status_code=200)
    async def arms(self, data: JSONBody[ArmsQuery], comparing: NamedDependency[CompareService]) -> Arms:
        """How a challenger and the live scorer do."""
        return await comparing.arms(tenant(), data)

    @post("/scorers/{model_id:str}/timing", status_code=200)
    async def timing(self, model_id: FromPath[str], comparing: NamedDependency[CompareService]) -> ScorerTiming:
        """How long a scorer takes."""
        return await comparing.timing(tenant(), model_id)

    @get("/log/start")
    async def start(
        self, count: FromQuery[int], before: FromQuery[dt.datetime], comparing: NamedDependency[CompareService]
    ) -> LogStart:
        """From when on the log has so many decisions."""
        return await comparing.start(tenant(), count, before)


class CopyController(Controller):
    """Words for decisions."""

    @post("/material", status_code=200)
    async def material(
        self, data: JSONBody[MaterialRequest], copywriting: NamedDependency[CopyService]
    ) -> MaterialAnswer:
        """What the writer may use."""
        return await copywriting.material(tenant(), data)

    @post("/generate", status_code=200)
    async def generate(
        self, data: JSONBody[GenerateRequest], copywriting: NamedDependency[CopyService]
    ) -> GenerateAnswer:
        """Copy for named offers."""
        return await copywriting.generate(tenant(), data)

    @post("/generate/ranked", status_code=200)
    async def generate_ranked(
        self, data: JSONBody[RankedRequest], copywriting: NamedDependency[CopyService]
    ) -> GenerateAnswer:
        """Decide, then write."""
        return await copywriting.generate_ranked(tenant(), data)
