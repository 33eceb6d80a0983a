"""What became of propositions: attributed by token, counted once, learnt from in order, late ones too."""

import datetime as dt
from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from services.decisions import tokens
from services.decisions.bandit import Lesson
from services.decisions.effects import Effects
from services.decisions.errors import BadTokenError
from services.decisions.journal import Journal
from services.decisions.learning import Learner
from services.decisions.moments import EARLIEST, moment
from services.decisions.policies import PolicyService, Terms
from services.decisions.records import Entry
from services.decisions.repository import DecisionRepository
from services.decisions.reward_repository import RewardRepository
from services.decisions.rewarding import StoredOutcome, lesson, rests, reward
from shared.contracts.base import FieldError
from shared.contracts.policies import Outcome, OutcomesStored, RewardPlan, Settled
from shared.db.engine import transaction

_FUTURE = dt.timedelta(days=1)
_MAX_VALUE = 1e12
_BATCH = 500
Key = tuple[str, int]
Numbered = tuple[int, StoredOutcome]  # its place in the request


class _Refused(Exception):  # noqa: N818  (never leaves this file)
    def __init__(self, field: str, message: str, given: str | None = None, allowed: str | None = None) -> None:
        super().__init__(message)
        self.error = FieldError(field=field, message=message, given=given, allowed=allowed)

    def at(self, index: int) -> FieldError:
        """The error by its place in the request."""
        return msgspec.structs.replace(self.error, field=f"outcomes[{index}].{self.error.field}")


class OutcomeService:
    """Outcomes and rewards."""

    def __init__(
        self, engine: AsyncEngine, journal: Journal, policies: PolicyService, learner: Learner, effects: Effects,
        secret: str,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._journal = journal
        self._policies = policies
        self._learner = learner
        self._effects = effects
        self._secret = secret

    async def record(self, tenant: str, outcomes: Sequence[Outcome]) -> OutcomesStored:
        """Store outcomes and what follows from them; the bad ones are named, the good ones count once each.

        An outcome counts by the policy that its decision was made under, whatever is live by now.
        """
        now = dt.datetime.now(dt.UTC)
        rows: list[Numbered] = []
        errors: list[FieldError] = []
        located = self._locate(tenant, outcomes, errors)
        entries = await self._journal.entries(tenant, {key for key, _ in located.values()})
        terms = {entry.id: await self._policies.terms(tenant, entry.versions["all"]) for entry in entries.values()}
        for index, (decision_id, slot) in located.items():
            try:
                entry = _logged(entries.get(decision_id), slot)
                rows.append((index, _checked(outcomes[index], entry, slot, terms[entry.id], now)))
            except _Refused as refused:
                errors.append(refused.at(index))
        plans = {key: found.policy.reward for key, found in terms.items()}
        fresh, duplicates = await self._apply(tenant, rows, entries, plans, errors) if rows else ([], 0)
        await self._effects.of(tenant, fresh, entries)
        if fresh:
            await self._learner.learn(tenant)
        errors.sort(key=lambda error: error.field)
        return OutcomesStored(stored=len(fresh), duplicates=duplicates, rejected=len(errors), errors=errors)

    def _locate(self, tenant: str, outcomes: Sequence[Outcome], errors: list[FieldError]) -> dict[int, Key]:
        key = tokens.key_of(self._secret, tenant)
        found: dict[int, Key] = {}
        for index, outcome in enumerate(outcomes):
            try:
                found[index] = tokens.read(key, outcome.token)
            except BadTokenError as error:
                errors.append(
                    FieldError(field=f"outcomes[{index}].token", message=error.detail, given=outcome.token[:60])
                )
        return found

    async def _apply(
        self, tenant: str, rows: list[Numbered], entries: Mapping[str, Entry], plans: Mapping[str, RewardPlan],
        errors: list[FieldError],
    ) -> tuple[list[StoredOutcome], int]:  # fmt: skip
        """Store what is new and change the rewards; the new ones, and how many were known."""
        async with transaction(self._engine) as connection:
            repository = RewardRepository(connection)
            seq = await repository.lock(tenant)
            fresh, duplicates = await _sorted_out(repository, tenant, rows, errors)
            await repository.add_outcomes(tenant, fresh)
            known = await repository.rewards(tenant, list({row.decision_id for row in fresh}))
            changed: dict[Key, tuple[float, float]] = {}
            lessons: list[tuple[str, Lesson]] = []
            for row in fresh:
                key = (row.decision_id, row.slot)
                before = changed.get(key, known.get(key))
                after = reward(row, before, plans[row.decision_id])
                if after is None:
                    continue
                changed[key] = after
                entry = entries[row.decision_id]
                if before is None or after[0] != before[0]:
                    gained = after[0] - (before[0] if before else 0.0)
                    learnt = lesson(entry, row.slot, seq + 1, gained, before is None)
                    if learnt is not None:
                        seq += 1
                        lessons.append((entry.space, learnt))
            await repository.save_rewards(tenant, changed)
            await repository.teach(tenant, lessons)
        return fresh, duplicates

    async def settle(self, tenant: str, as_of: dt.datetime | None) -> Settled:
        """The default reward 0 for every item that waited long enough for its objective."""
        before = moment(as_of)
        await self._journal.flush()
        items = 0
        while count := await self._settle_batch(tenant, before):
            items += count[1]
        await self._learner.learn(tenant)
        return Settled(items=items)

    async def _settle_batch(self, tenant: str, as_of: dt.datetime) -> tuple[int, int] | None:
        async with transaction(self._engine) as connection:
            decisions, rewards = DecisionRepository(connection), RewardRepository(connection)
            seq = await rewards.lock(tenant)
            entries = await decisions.unsettled(tenant, as_of, _BATCH)
            if not entries:
                return None
            known = await rewards.rewards(tenant, [entry.id for entry in entries])
            lessons: list[tuple[str, Lesson]] = []
            fresh: dict[Key, tuple[float, float]] = {}
            for entry in entries:
                for slot in range(len(entry.items)):
                    if (entry.id, slot) in known:
                        continue
                    fresh[entry.id, slot] = (0.0, 0.0)
                    learnt = lesson(entry, slot, seq + 1, 0.0, first=True)
                    if learnt is not None:
                        seq += 1
                        lessons.append((entry.space, learnt))
            await rewards.save_rewards(tenant, fresh)
            await rewards.teach(tenant, lessons)
            await decisions.settle(tenant, [entry.id for entry in entries])
        return len(entries), len(fresh)


def _logged(entry: Entry | None, slot: int) -> Entry:
    if entry is None or slot >= len(entry.items):
        raise _Refused("token", "names a decision that is not in the log (erased?)")
    return entry


def _checked(outcome: Outcome, entry: Entry, slot: int, terms: Terms, now: dt.datetime) -> StoredOutcome:
    time = outcome.time or now
    if not EARLIEST <= time <= now + _FUTURE:
        allowed = f"from {EARLIEST.isoformat()} to a day after {now.isoformat(timespec='seconds')}"
        message = "lies in the future" if time > now else "lies before the calendar"
        raise _Refused("time", message, time.isoformat(), allowed)
    if outcome.order_id is not None and outcome.kind != "convert":
        raise _Refused("orderId", f"has no meaning for {outcome.kind}", outcome.order_id, "convert only")
    offer_id = entry.items[slot].offer_id
    resting = rests(terms.policy, terms.offers.get(offer_id), outcome.kind, time)
    return StoredOutcome(
        outcome.idempotency_key, entry.id, slot, offer_id, outcome.kind, time, _value(outcome, terms.policy.reward),
        outcome.order_id or "", resting or None, max(resting.values(), default=None),
        done=not resting and not entry.experiments,
    )  # fmt: skip


def _value(outcome: Outcome, plan: RewardPlan) -> float | None:
    """In the plan's currency."""
    if outcome.value is None:
        return None
    amount, currency = outcome.value.amount, outcome.value.currency
    if not amount.is_finite() or amount < 0 or amount > _MAX_VALUE:
        raise _Refused("value.amount", "is not a value", str(amount)[:40], f"0 to {_MAX_VALUE:,.0f}")
    rate = 1.0 if currency == plan.currency else plan.rates.get(currency)
    if rate is None:
        allowed = ", ".join([plan.currency, *sorted(plan.rates)])
        raise _Refused("value.currency", "has no rate in the reward plan of its decision", currency, allowed)
    return float(amount) * rate


async def _sorted_out(
    repository: RewardRepository, tenant: str, rows: list[Numbered], errors: list[FieldError]
) -> tuple[list[StoredOutcome], int]:
    """What is new, and how many were there before word for word; what contradicts something known is refused."""
    known = await repository.known(tenant, [row.idempotency_key for _, row in rows])
    orders = await repository.orders(tenant, list({row.decision_id for _, row in rows}))
    fresh: list[StoredOutcome] = []
    duplicates = 0
    for index, row in rows:
        try:
            if row.idempotency_key in known:
                _same(known[row.idempotency_key], row)
                duplicates += 1
                continue
            if row.kind == "convert":
                placed = orders.setdefault((row.decision_id, row.slot), set())
                _another(row, placed)
                placed.add(row.order_id)
        except _Refused as refused:
            errors.append(refused.at(index))
            continue
        known[row.idempotency_key] = row
        fresh.append(row)
    return fresh, duplicates


def _same(known: StoredOutcome, row: StoredOutcome) -> None:
    """A key says "the same again"; for something else it needs another one."""
    for field, one, other in (
        ("token", (known.decision_id, known.slot), (row.decision_id, row.slot)), ("kind", known.kind, row.kind),
        ("orderId", known.order_id, row.order_id), ("value", known.value, row.value),
    ):  # fmt: skip
        if one != other:
            raise _Refused("idempotencyKey", f"was used before with another {field}", row.idempotency_key, "a new key")


def _another(row: StoredOutcome, placed: set[str]) -> None:
    """One item converts once, and once more for every order that says which it is."""
    if row.order_id in placed:
        given = row.order_id or None
        message = "this item was converted by this order before" if given else "this item was converted before"
        raise _Refused("orderId", message, given, "an id of its own for every further order")
