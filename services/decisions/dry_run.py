"""Trying a rule before it is stored."""

import asyncio

from services.decisions import engine, rules
from services.decisions.inputs import Inputs
from services.decisions.moments import moment
from services.decisions.people import People
from services.decisions.policies import PolicyService
from services.decisions.work import person_of
from shared.contracts.decisions import DecisionRequest
from shared.contracts.policies import DryRunAnswer, DryRunRequest, DryRunResult


class DryRunService:
    """Evaluates a rule on real people and all offers; nothing is stored or logged."""

    def __init__(self, people: People, policies: PolicyService) -> None:
        self._people = people
        self._policies = policies

    async def dry_run(self, tenant: str, request: DryRunRequest) -> DryRunAnswer:
        """How many offers the rule would leave each person.

        Raises:
            BadRuleError: the rule cannot be evaluated.
        """
        snapshot = await self._policies.snapshot(tenant)
        goods = await self._policies.assortment(tenant, snapshot.pinned, {})
        predicate = rules.check(request.rule, {rule.rule_id: rule for rule in snapshot.pinned.rules})
        node = predicate.build(goods.column)

        async def one(profile_id: str) -> DryRunResult:
            profile = (await self._people.meet(profile_id, {}, request.channel)).profile
            asked = DecisionRequest(profile_id=profile_id, channel=request.channel, scopes=[request.placement])
            measured, _ = await self._people.measured(profile, predicate.fields, request.at)
            person = person_of(profile, asked, predicate.fields, {}, measured)
            inputs = Inputs(seed=0, at=moment(request.at).timestamp(), channel=request.channel,
                                   locale=profile.locale, scopes=[request.placement], limit=1, person=person)  # fmt: skip
            truth = node(engine.situation(inputs))
            each = [truth] * len(goods.ids) if isinstance(truth, int) else truth.tolist()
            counts = [each.count(state) for state in (rules.HOLDS, rules.FAILS, rules.UNKNOWN)]
            return DryRunResult(profile_id=profile_id, holds=counts[0], fails=counts[1], unknown=counts[2])

        results = await asyncio.gather(*map(one, request.profile_ids))
        return DryRunAnswer(fields=sorted(predicate.fields), results=list(results))
