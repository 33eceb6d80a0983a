"""The conductor's use case: decide, log, answer. No language model is on this path."""

from sqlalchemy.ext.asyncio import AsyncEngine

from services.decisions import answering, engine, presenting, ranking, records
from services.decisions.assignments import Assignments
from services.decisions.assortment import Assortment, Pinned
from services.decisions.counters import Counters
from services.decisions.errors import UnknownDecisionError
from services.decisions.inputs import Inputs, Result
from services.decisions.journal import Journal
from services.decisions.learning import Learner
from services.decisions.moments import moment
from services.decisions.people import People
from services.decisions.policies import PolicyService
from services.decisions.records import Entry
from services.decisions.relevance import Relevance
from services.decisions.repository import DecisionRepository
from services.decisions.reserving import Reserving
from services.decisions.work import Work, person_of
from shared.context import current, tenant
from shared.contracts.decisions import Decision, DecisionRecord, DecisionRequest
from shared.db.engine import transaction
from shared.errors import InvalidInputError
from shared.telemetry import DEGRADED


class DecisionService:
    """Decides."""

    def __init__(
        self, database: AsyncEngine, people: People, policies: PolicyService, assignments: Assignments,
        relevance: Relevance, counters: Counters, journal: Journal, reserving: Reserving, learner: Learner, secret: str,
    ) -> None:  # fmt: skip
        self._engine = database
        self._people = people
        self._policies = policies
        self._assignments = assignments
        self._relevance = relevance
        self._counters = counters
        self._journal = journal
        self._reserving = reserving
        self._learner = learner
        self._answers = answering.Answers(secret)

    async def decide(self, tenant: str, request: DecisionRequest) -> Decision:
        """One decision, logged before it is answered.

        Raises:
            PersonMissingError: nobody to decide for.
            UnavailableError: no catalog was ever seen, or neither Redis nor the database takes the log.
        """
        work = Work(request, moment(request.at))
        snapshot = await self._policies.snapshot(tenant)
        work.met = await self._people.meet(request.profile_id, request.identity_map, request.channel)
        work.degraded += [*work.met.degraded, *snapshot.degraded]
        work.assigned = await self._assignments.of(tenant, work.profile)
        work.degraded += work.assigned.degraded
        work.goods = await self._goods(tenant, work, snapshot.pinned)
        work.degraded += work.goods.notes
        work.models = await self._learner.models(tenant, work.goods)
        inputs = await self._inputs(work)
        await self._reserving.look(tenant, work, inputs)
        entry, result = await self._reserving.logged(tenant, work, inputs, self._entry)
        for reason in work.degraded:
            DEGRADED.labels("decisions", reason.partition(":")[0]).inc()
        return self._answers.compose(tenant, work, entry, result)

    async def asked(self, request: DecisionRequest) -> Decision:
        """A decision for the tenant whose request is running; see `decide`."""
        return await self.decide(tenant(), request)

    async def _goods(self, tenant: str, work: Work, pinned: Pinned) -> Assortment:
        """The goods under the policy that the person's arms make; under the plain one when that is no policy."""
        unit = work.profile.profile_id if work.profile.known else ""
        try:
            return await self._policies.assortment(tenant, pinned, work.assigned.patch, unit)
        except InvalidInputError as error:
            work.degraded.append(f"experiment_config: {error.detail[:200]}; the plain policy decides")
            return await self._policies.assortment(tenant, pinned, {}, unit)

    async def _inputs(self, work: Work) -> Inputs:
        request, profile, goods = work.request, work.profile, work.goods
        work.affinity = ranking.affinities(profile.facts)
        affinity = {name: fact.weight for name, fact in work.affinity.items() if name in goods.subjects}
        measured, missing = await self._people.measured(profile, goods.fields, request.at)
        for reason in missing:
            work.lessen(reason)
        found = await self._relevance.of(goods, profile, request, work.at)
        work.degraded += found.degraded
        work.index_version = found.index_version
        for scope in request.scopes:
            if scope != "default" and scope not in goods.placements:
                work.degraded.append(f"unknown_scope: no offer names the placement {scope[:60]!r}")
        return Inputs(
            seed=work.seed, at=work.at.timestamp(), channel=request.channel, locale=request.locale or profile.locale,
            scopes=request.scopes, limit=request.limit,
            person=person_of(profile, request, goods.fields, affinity, measured),
            candidate_ids=request.candidate_ids, exclude_ids=request.exclude_ids,
            relevance=found.scores, explore=request.explore, holdout=work.assigned.holdout,
        )  # fmt: skip

    def _entry(self, work: Work, inputs: Inputs, result: Result) -> Entry:
        goods, context = work.goods, current()
        facts = {fact.name: fact.text for fact in work.profile.facts if not fact.sensitive}
        presenting.remember(inputs, goods, result.picks, facts, work.affinity)
        prompt = work.assigned.prompt_version or ""
        items = presenting.items(inputs, goods, result, prompt)
        stale = [item.offer_id for item in items if item.variant_id is None and item.offer_id in goods.outdated]
        outdated = [f"copy_outdated: {key} says something else than when its copy was checked" for key in stale]
        stage, score, probability = records.arrays(result)
        learns = goods.policy.learn and inputs.holdout != "nothing" and inputs.explore
        return Entry(
            id=str(work.id), at=inputs.at, inputs=inputs,
            versions={**goods.versions, "model": work.models.version, "scorer": goods.scorer.version,
                      "policyVersion": f"{goods.policy.policy_id}@{goods.policy.version}",
                      "index": work.index_version, "prompt": prompt, "code": engine.VERSION},
            stage=stage, score=score, probability=probability, items=items,
            x=result.x.tobytes(), space=goods.space if learns else "", experiments=work.assigned.arms,
            degraded=[*work.degraded, *outdated], request_id=context.request_id if context else "",
            wait_seconds=goods.policy.reward.wait_seconds,
        )  # fmt: skip

    async def record(self, tenant: str, decision_id: str) -> DecisionRecord:
        """A logged decision.

        Raises:
            UnknownDecisionError: this tenant has none of this id.
        """
        entry = await self.entry(tenant, decision_id)
        goods = await self._policies.as_pinned(tenant, entry.versions["all"])
        return records.record(entry, goods.ids if goods else [])

    async def entry(self, tenant: str, decision_id: str) -> Entry:
        """The log's own record; see `record`."""
        found = await self._journal.entries(tenant, [decision_id])
        if decision_id in found:
            return found[decision_id]
        message = f"No decision {decision_id[:200]!r}."
        raise UnknownDecisionError(message)

    async def flush(self) -> None:
        """Bring what was decided until now into the database."""
        await self._journal.flush()

    async def erase(self, tenant: str, profile_id: str) -> int:
        """Delete a person's decisions and counters; how many decisions there were."""
        await self._journal.flush()
        async with transaction(self._engine) as connection:
            count = await DecisionRepository(connection).erase(tenant, profile_id)
        await self._counters.erase(tenant, profile_id)
        return count
