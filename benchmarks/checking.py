"""Claims and rules checked a second of one core: the labelled copy, with the record of each offer read beforehand."""

import datetime as dt
import time
from collections.abc import Callable
from typing import Any

from evals import claims
from evals.datasets.claims.generate import NOW
from services.governance import brand_rules
from services.governance.claims import checker, reading
from shared.contracts.catalog import CopyRules

ROUNDS = 7


def run() -> dict[str, Any]:
    """Pieces of copy a second of processor time, claims alone and claims with rules; the median of some rounds."""
    cases = claims.read("generated.jsonl")
    records = claims.records(cases)
    now = dt.datetime.fromisoformat(NOW)

    def claims_alone() -> None:
        for case in cases:
            checker.check(case.sections, records[case.id], case.channel, now)

    def with_rules() -> None:
        for case in cases:
            known = records[case.id]
            sections = reading.read(case.sections, known)
            checker.judge(sections, known, case.channel, now)
            brand_rules.judge(sections, known, CopyRules(), [])

    def rate(work: Callable[[], None]) -> int:
        return sorted(round(len(cases) / _seconds(work)) for _ in range(ROUNDS))[ROUNDS // 2]

    claims_alone(), with_rules()
    length = sum(
        sum(map(len, (c.sections.subject, c.sections.preheader, c.sections.headline, c.sections.body, c.sections.cta)))
        for c in cases
    )
    return {
        "pieces": len(cases), "characters_a_piece": round(length / len(cases)),
        "claims_per_second": rate(claims_alone), "claims_and_rules_per_second": rate(with_rules),
    }  # fmt: skip


def _seconds(work: Callable[[], None]) -> float:
    """Of the processor, so that what else the machine does counts for little."""
    began = time.process_time()
    work()
    return time.process_time() - began
