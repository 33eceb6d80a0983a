"""Changing what decides: rules, the policy, scorers. Each is checked before it is stored."""

import asyncio
from typing import Any, TypeVar

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from services.decisions import rollouts, rules
from services.decisions.assortment import digest
from services.decisions.errors import BadModelError, UnknownRuleError
from services.decisions.policies import PolicyService
from services.decisions.repository import DocumentRepository
from services.decisions.scorers import PRIOR, read
from shared.contracts.base import FieldError
from shared.contracts.policies import Policy, Rollout, RolloutList, Rule, RuleList, ScorerModel
from shared.db.engine import transaction
from shared.errors import ConflictError, InvalidInputError

DocumentT = TypeVar("DocumentT", Rule, Policy, ScorerModel, Rollout)


class AuthoringService:
    """Stores a new version of a document; it decides from the next call on."""

    def __init__(self, engine: AsyncEngine, policies: PolicyService) -> None:
        self._engine = engine
        self._policies = policies

    async def rules(self, tenant: str) -> RuleList:
        """All rules."""
        pinned = (await self._policies.snapshot(tenant)).pinned
        return RuleList(rules=pinned.rules, version=digest(pinned.rules))

    async def put_rule(self, tenant: str, rule: Rule) -> Rule:
        """Store a rule.

        Raises:
            BadRuleError: it cannot be evaluated, by itself or through the rules it refers to.
        """
        self._policies.forget(tenant)
        known = {r.rule_id: r for r in (await self._policies.snapshot(tenant)).pinned.rules}
        rules.check(rule, known)
        return await self._put(tenant, "rule", rule.rule_id, rule)

    async def delete_rule(self, tenant: str, rule_id: str) -> None:
        """Remove a rule that no offer and no other rule names.

        Raises:
            UnknownRuleError: there is none of this id.
            InvalidInputError: it is in use.
        """
        self._policies.forget(tenant)
        pinned = (await self._policies.snapshot(tenant)).pinned
        if all(rule.rule_id != rule_id for rule in pinned.rules):
            message = f"No rule {rule_id!r}."
            raise UnknownRuleError(message)
        users = [offer.offer_id for offer in pinned.offers if rule_id in offer.rule_ids]
        rest = {rule.rule_id: rule for rule in pinned.rules if rule.rule_id != rule_id}
        users += [key for key, rule in rest.items() if _refers(rule.when, rule_id)]
        if users:
            message = f"Rule {rule_id!r} is used by {', '.join(users[:10])}."
            raise InvalidInputError(message)
        await self._put(tenant, "rule", rule_id, None)

    async def put_policy(self, tenant: str, policy: Policy) -> Policy:
        """Store the next version of the policy; it decides from the next call on.

        Raises:
            InvalidInputError: it names a scorer that does not exist, or a field no rule could read.
        """
        self._policies.forget(tenant)
        await self.check(tenant, policy)
        return await self._put(tenant, "policy", policy.policy_id, policy)

    async def check(self, tenant: str, policy: Policy) -> None:
        """Could this policy decide now?

        Raises:
            InvalidInputError: it names a scorer that does not exist, or a field no feature can be.
        """
        models = await self._scorers(tenant)
        if policy.scorer != PRIOR and policy.scorer not in models:
            self._policies.forget(tenant)  # another process may have stored it a moment ago
            models = await self._scorers(tenant)
        if policy.scorer != PRIOR and policy.scorer not in models:
            allowed = ", ".join([PRIOR, *sorted(models)])
            error = FieldError(field="scorer", message="is not known", given=policy.scorer, allowed=allowed)
            raise InvalidInputError(f"scorer {policy.scorer!r} is not known; there are {allowed}", errors=[error])
        for n, spec in enumerate(policy.features):
            when = {"field": spec.field, "op": "exists"}
            try:
                rules.check(Rule(rule_id="feature", when=when), {})
            except InvalidInputError as error:
                fault = FieldError(field=f"features[{n}].field", message="is not a field", given=spec.field)
                raise InvalidInputError(f"features[{n}].field {spec.field!r} is not a field", errors=[fault]) from error
            if spec.field.startswith("offer."):
                raise InvalidInputError(f"features[{n}].field {spec.field!r}: each offer has a model of its own; features "
                                        "are of the person and the moment")  # fmt: skip

    async def _scorers(self, tenant: str) -> set[str]:
        pinned = (await self._policies.snapshot(tenant)).pinned
        return {model.model_id for model in pinned.models} | {one.model_key for one in pinned.rollouts}

    async def policy(self, tenant: str) -> Policy:
        """The live policy."""
        return (await self._policies.snapshot(tenant)).pinned.policy

    async def put_model(self, tenant: str, model: ScorerModel) -> ScorerModel:
        """Store a scorer.

        Raises:
            BadModelError: its body cannot be used, or its name is taken.
            ConflictError: a roll-out names it, and it would change.
        """
        if model.model_id == PRIOR:
            message = f"modelId {PRIOR!r} is the built-in scorer's name"
            raise BadModelError(message)
        self._policies.forget(tenant)
        for one in (await self._policies.snapshot(tenant)).pinned.rollouts:
            if one.model_key == model.model_id:
                message = f"modelId {model.model_id!r} is the name of a model in roll-out"
                raise BadModelError(message)
            wanted = one.digests.get(model.model_id)
            if wanted and wanted != digest(model):
                message = (
                    f"Scorer {model.model_id!r} is named by the roll-out of {one.model_key!r} and stays what it is."
                )
                raise ConflictError(message)
        await asyncio.to_thread(read, model)
        return await self._put(tenant, "model", model.model_id, model)

    async def delete_model(self, tenant: str, model_id: str) -> None:
        """Remove a scorer that the live policy does not name; one that is gone already is fine.

        Raises:
            InvalidInputError: it decides.
        """
        self._policies.forget(tenant)
        pinned = (await self._policies.snapshot(tenant)).pinned
        if pinned.policy.scorer == model_id:
            message = f"Scorer {model_id!r} is the live policy's."
            raise InvalidInputError(message)
        for one in pinned.rollouts:
            if model_id in {one.live, one.previous, one.challenger}:
                message = f"Scorer {model_id!r} is named by the roll-out of {one.model_key!r}."
                raise InvalidInputError(message)
        await self._put(tenant, "model", model_id, None)

    async def rollouts(self, tenant: str) -> RolloutList:
        """All roll-outs."""
        return RolloutList(rollouts=(await self._policies.snapshot(tenant)).pinned.rollouts)

    async def put_rollout(self, tenant: str, rollout: Rollout) -> Rollout:
        """Store a roll-out; it decides from the next call on, in other processes when they next look.

        Raises:
            InvalidInputError: it names a scorer that is not stored, or its key is a scorer's name.
        """
        self._policies.forget(tenant)
        pinned = (await self._policies.snapshot(tenant)).pinned
        stored = {model.model_id: model for model in pinned.models}
        if rollout.model_key in {PRIOR, *stored}:
            fault = FieldError(field="modelKey", message="is the name of a scorer", given=rollout.model_key)
            raise InvalidInputError(f"modelKey {rollout.model_key!r} is the name of a scorer", errors=[fault])
        known = rollouts.named(rollout.model_key, pinned.rollouts)
        digests = {}
        for field in ("live", "previous", "challenger"):
            name = getattr(rollout, field)
            if not name:
                continue
            # What was sound when it was first named is what has to decide, not what became of it since.
            if known and name in known.digests:
                digests[name] = known.digests[name]
            elif name in stored:
                digests[name] = digest(stored[name])
            else:
                fault = FieldError(field=field, message="is not stored", given=name, allowed=", ".join(sorted(stored)))
                raise InvalidInputError(f"{field} {name!r} is not stored", errors=[fault])
        made = msgspec.structs.replace(rollout, digests=digests)
        return made if made == known else await self._put(tenant, "rollout", rollout.model_key, made)

    async def _put(self, tenant: str, kind: str, key: str, value: DocumentT | None) -> DocumentT:
        body = None if value is None else msgspec.to_builtins(value)
        async with transaction(self._engine) as connection:
            version = await DocumentRepository(connection).put(tenant, kind, key, body)
        self._policies.forget(tenant)
        changed: Any = msgspec.structs.replace(value, version=version) if isinstance(value, Policy) else value
        stored: DocumentT = changed
        return stored


def _refers(predicate: Any, rule_id: str) -> bool:
    if isinstance(predicate, dict):
        return predicate.get("rule") == rule_id or any(_refers(value, rule_id) for value in predicate.values())
    return isinstance(predicate, list) and any(_refers(value, rule_id) for value in predicate)
