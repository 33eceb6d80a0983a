"""The public API of deciding: propositions, their log, outcomes, and what decisions are made by."""

from typing import Annotated

from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, Parameter

from services.gateway.paths import same
from shared.clients.bundle import Clients
from shared.contracts.decisions import (
    Decision,
    DecisionRecord,
    DecisionRequest,
    Explanation,
    LogPage,
    LogQuery,
    Replay,
)
from shared.contracts.evaluation import OffPolicyAnswer, OffPolicyRequest
from shared.contracts.policies import (
    DryRunAnswer,
    DryRunRequest,
    OutcomeBatch,
    OutcomesStored,
    Policy,
    Rule,
    RuleList,
    ScorerModel,
    Settled,
    SettleRequest,
)


class DecisionRoutes(Controller):
    """What to say to whom."""

    path = "/v1/decisions"
    tags = ["decisions"]
    opt = {"scope": "decide"}

    @post("/", status_code=200)
    async def decide(self, data: JSONBody[DecisionRequest], clients: NamedDependency[Clients]) -> Decision:
        """Pick offers for a person. No language model is called; the decision is logged before it is answered."""
        return await clients.decisions.decide(data)

    @get("/{decision_id:str}")
    async def record(self, decision_id: FromPath[str], clients: NamedDependency[Clients]) -> DecisionRecord:
        """A logged decision with every candidate."""
        return await clients.decisions.record(decision_id)

    @post("/{decision_id:str}/replay", status_code=200)
    async def replay(self, decision_id: FromPath[str], clients: NamedDependency[Clients]) -> Replay:
        """Make a logged decision again from its log and compare every bit."""
        return await clients.decisions.replay(decision_id)

    @get("/{decision_id:str}/why")
    async def why(
        self,
        decision_id: FromPath[str],
        offer: Annotated[str, Parameter(min_length=1, max_length=200)],
        clients: NamedDependency[Clients],
    ) -> Explanation:
        """Which stage removed an offer, or how each term let it lead or trail."""
        return await clients.decisions.why(decision_id, offer)

    @post("/log", status_code=200)
    async def log(self, data: JSONBody[LogQuery], clients: NamedDependency[Clients]) -> LogPage:
        """The log with rewards, beside what a candidate policy would have done: for off-policy evaluation."""
        return await clients.decisions.log(data)


class EvaluationRoutes(Controller):
    """What policies are worth."""

    path = "/v1/off-policy"
    tags = ["decisions"]
    opt = {"scope": "policies"}

    @post("/", status_code=200)
    async def off_policy(self, data: JSONBody[OffPolicyRequest], clients: NamedDependency[Clients]) -> OffPolicyAnswer:
        """The value a policy would have had, from the log of the one that was live, with 95 % intervals."""
        return await clients.evaluation.off_policy(data)


class OutcomeRoutes(Controller):
    """What became of propositions."""

    path = "/v1/outcomes"
    tags = ["decisions"]
    opt = {"scope": "events"}

    @post("/", status_code=200)
    async def record(self, data: JSONBody[OutcomeBatch], clients: NamedDependency[Clients]) -> OutcomesStored:
        """Display, interact, dismiss, convert, by the item's token; the same idempotency key twice counts once."""
        return await clients.decisions.outcomes(data)

    @post("/settle", status_code=200)
    async def settle(self, data: JSONBody[SettleRequest], clients: NamedDependency[Clients]) -> Settled:
        """Give the default reward now to what has waited long enough; by itself this happens every minute."""
        return await clients.decisions.settle(data.as_of)


class PolicyRoutes(Controller):
    """What decisions are made by: the policy, eligibility rules, scorers."""

    path = "/v1"
    tags = ["policies"]
    opt = {"scope": "policies"}

    @get("/policy")
    async def policy(self, clients: NamedDependency[Clients]) -> Policy:
        """The live policy."""
        return await clients.decisions.policy()

    @put("/policy")
    async def put_policy(self, data: JSONBody[Policy], clients: NamedDependency[Clients]) -> Policy:
        """Store the next version of the policy; it decides from the next call on."""
        return await clients.decisions.put_policy(data)

    @get("/rules")
    async def rules(self, clients: NamedDependency[Clients]) -> RuleList:
        """All eligibility rules."""
        return await clients.decisions.rules()

    @put("/rules/{key:str}")
    async def put_rule(self, key: FromPath[str], data: JSONBody[Rule], clients: NamedDependency[Clients]) -> Rule:
        """Create or replace a rule."""
        same(key, data.rule_id)
        return await clients.decisions.put_rule(data)

    @delete("/rules/{key:str}")
    async def delete_rule(self, key: FromPath[str], clients: NamedDependency[Clients]) -> None:
        """Remove a rule that nothing uses."""
        await clients.decisions.delete_rule(key)

    @post("/rules/dry-run", status_code=200)
    async def dry_run(self, data: JSONBody[DryRunRequest], clients: NamedDependency[Clients]) -> DryRunAnswer:
        """Try a rule on people and all offers; nothing is stored."""
        return await clients.decisions.dry_run(data)

    @put("/scorers/{key:str}")
    async def put_scorer(
        self, key: FromPath[str], data: JSONBody[ScorerModel], clients: NamedDependency[Clients]
    ) -> ScorerModel:
        """Store a scorer that a policy can name."""
        same(key, data.model_id)
        return await clients.decisions.put_scorer(data)
