"""The decisions service: the conductor."""

import datetime as dt

from shared.clients.http import ServiceClient, segment
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


class DecisionsClient(ServiceClient):
    """What to say to whom; and, off the decision path, the words for it."""

    async def decide(self, request: DecisionRequest) -> Decision:
        """Pick offers. No language model is called."""
        return await self.call("POST", "/decide", Decision, body=request)

    async def record(self, decision_id: str) -> DecisionRecord:
        """A logged decision."""
        return await self.call("GET", f"/decisions/{segment(decision_id)}", DecisionRecord)

    async def replay(self, decision_id: str) -> Replay:
        """Make a logged decision again, bit for bit."""
        return await self.call("POST", f"/decisions/{segment(decision_id)}/replay", Replay, timeout=120.0)

    async def why(self, decision_id: str, offer_id: str) -> Explanation:
        """Why an offer was or was not picked."""
        return await self.call("GET", f"/decisions/{segment(decision_id)}/why", Explanation,
                               params={"offer": offer_id}, timeout=120.0)  # fmt: skip

    async def log(self, query: LogQuery) -> LogPage:
        """A page of the log beside what another policy would have done."""
        return await self.call("POST", "/log", LogPage, body=query, timeout=300.0)

    async def erase(self, profile_id: str) -> DecisionsErased:
        """Erase a person's decisions and counters."""
        return await self.call("DELETE", f"/profiles/{segment(profile_id)}/decisions", DecisionsErased)

    async def outcomes(self, batch: OutcomeBatch) -> OutcomesStored:
        """Record outcomes; the same idempotency key twice counts once."""
        return await self.call("POST", "/outcomes", OutcomesStored, body=batch, timeout=60.0)

    async def settle(self, as_of: dt.datetime | None = None) -> Settled:
        """Give default rewards to what waited long enough."""
        return await self.call("POST", "/outcomes/settle", Settled, body=SettleRequest(as_of=as_of), timeout=300.0)

    async def rules(self) -> RuleList:
        """All rules."""
        return await self.call("GET", "/rules", RuleList)

    async def put_rule(self, rule: Rule) -> Rule:
        """Store a rule."""
        return await self.call("PUT", f"/rules/{segment(rule.rule_id)}", Rule, body=rule)

    async def delete_rule(self, rule_id: str) -> None:
        """Remove a rule."""
        await self.call("DELETE", f"/rules/{segment(rule_id)}", type(None))

    async def dry_run(self, request: DryRunRequest) -> DryRunAnswer:
        """Try a rule that is not stored."""
        return await self.call("POST", "/rules/dry-run", DryRunAnswer, body=request, timeout=30.0)

    async def policy(self) -> Policy:
        """The live policy."""
        return await self.call("GET", "/policy", Policy)

    async def put_policy(self, policy: Policy) -> Policy:
        """Store the next version of the policy."""
        return await self.call("PUT", "/policy", Policy, body=policy)

    async def put_scorer(self, model: ScorerModel) -> ScorerModel:
        """Store a scorer."""
        return await self.call("PUT", f"/scorers/{segment(model.model_id)}", ScorerModel, body=model)

    async def delete_scorer(self, model_id: str) -> None:
        """Remove a scorer that does not decide."""
        await self.call("DELETE", f"/scorers/{segment(model_id)}", type(None))

    async def rollouts(self) -> RolloutList:
        """Which scorers decide where a policy names a model."""
        return await self.call("GET", "/rollouts", RolloutList)

    async def put_rollout(self, rollout: Rollout) -> Rollout:
        """Say which scorers decide for a model's name."""
        return await self.call("PUT", f"/rollouts/{segment(rollout.model_key)}", Rollout, body=rollout)

    async def arms(self, query: ArmsQuery) -> Arms:
        """How a challenger and the live scorer do, person by person."""
        return await self.call("POST", "/rollouts/arms", Arms, body=query, timeout=30.0)

    async def timing(self, scorer_id: str) -> ScorerTiming:
        """How long a scorer takes for all live offers."""
        return await self.call("POST", f"/scorers/{segment(scorer_id)}/timing", ScorerTiming, timeout=120.0)

    async def log_start(self, decisions: int, before: dt.datetime) -> LogStart:
        """From when on the log has so many decisions before a time."""
        params = {"count": decisions, "before": before.isoformat()}
        return await self.call("GET", "/log/start", LogStart, params=params)

    async def material(self, request: MaterialRequest) -> MaterialAnswer:
        """What the writer needs, consent applied."""
        return await self.call("POST", "/material", MaterialAnswer, body=request)

    async def generate(self, request: GenerateRequest) -> GenerateAnswer:
        """Copy for named offers."""
        return await self.call(
            "POST", "/generate", GenerateAnswer, body=request, timeout=request.deadline_ms / 1000 + 10.0
        )

    async def generate_ranked(self, request: RankedRequest) -> GenerateAnswer:
        """Decide, then write copy for each picked offer."""
        return await self.call(
            "POST",
            "/generate/ranked",
            GenerateAnswer,
            body=request,
            timeout=request.deadline_ms / 1000 + 10.0,
        )
