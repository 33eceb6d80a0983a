"""What is known of a version in shadow: it is asked about the log, off the decision path."""

import datetime as dt

import msgspec

from services.training.rollout import gates
from services.training.trainers.bandit import chosen
from shared.clients.bundle import Clients
from shared.clients.http import RemoteProblemError
from shared.contracts.decisions import LogQuery
from shared.contracts.evaluation import OffPolicyAnswer, OffPolicyRequest
from shared.contracts.rollouts import Measured, ShadowGate

_PAGE = 500
_PRIOR = "prior"
_LEAST_PAIRS = 100


async def shadow(clients: Clients, gate: ShadowGate, challenger: str, live: str, now: dt.datetime) -> list[Measured]:
    """The figures of the gate, cheapest first; what comes after one that failed is not measured.

    Args:
        clients: of the tenant's services.
        gate: the bounds.
        challenger: the version's scorer.
        live: the live version's scorer, empty where none is live yet: the prior.
        now: decisions whose waiting time is over by then count.
    """
    try:
        found = [gates.scoring(gate, await clients.decisions.timing(challenger))]
    except RemoteProblemError as error:
        return [Measured(name="scoring_ms", value=None, bound=gate.scoring_ms, passed=False, note=error.detail[:300])]
    if found[0].passed is False:
        return found
    ripe = now - dt.timedelta(seconds=(await clients.decisions.policy()).reward.wait_seconds)
    window = await clients.decisions.log_start(gate.most_decisions, ripe)
    if window.start is None or window.decisions < gate.least_decisions:
        return [*found, gates.decisions(gate, window.decisions)]
    pairs = await _pairs(clients, challenger, window.start, ripe)
    found.append(gates.calibration(gate.calibration_error, pairs, min(gate.least_decisions, _LEAST_PAIRS)))
    if found[-1].passed is False:
        return found
    theirs = await _valued(clients, gate, challenger, window.start, ripe)
    found.append(gates.decisions(gate, theirs.decisions))
    if found[-1].passed:
        ours = await _valued(clients, gate, live or _PRIOR, window.start, ripe)
        found.append(gates.value(gate, chosen(theirs), chosen(ours)))
    return found


async def _valued(
    clients: Clients, gate: ShadowGate, scorer: str, start: dt.datetime, end: dt.datetime
) -> OffPolicyAnswer:
    return await clients.evaluation.off_policy(
        OffPolicyRequest(start=start, end=end, policy={"scorer": scorer}, max_decisions=gate.most_decisions)
    )


async def _pairs(clients: Clients, scorer: str, start: dt.datetime, end: dt.datetime) -> list[tuple[float, float]]:
    """(the scorer's propensity, reward) of every item that was shown."""
    query = LogQuery(start=start, end=end, policy={"scorer": scorer}, limit=_PAGE)
    found: list[tuple[float, float]] = []
    while True:
        page = await clients.decisions.log(query)
        rows = (row for row in page.rows if row.offer_id in row.offers)
        found += [(row.estimates[row.offers.index(row.offer_id)], row.reward) for row in rows]
        if page.cursor is None:
            return found
        query = msgspec.structs.replace(query, cursor=page.cursor)
