"""One checked statement of a piece of copy."""

from typing import Literal

from shared.contracts.base import Contract

ClaimStatus = Literal["supported", "unsupported", "contradicted", "dropped_disclaimer"]
ClaimKind = Literal[
    "number", "percent", "price", "date", "duration", "product", "condition", "urgency", "scarcity", "free", "superlative",
    "comparison", "guarantee", "health", "financial", "environmental", "sensitive", "personal", "name", "banned_word", "instruction", "rule",
]  # fmt: skip


class Claim(Contract, kw_only=True):
    """One checkable statement found in the copy: where (characters of the section), of what kind, which field decides it.

    `contradicted`: the field says otherwise, `expected` is what it says. `dropped_disclaimer`: the copy states the benefit
    (the span) without a condition or legal text that the record demands (`expected`). Kind `rule`: a rule of brand or safety
    (`field`) is broken here.
    """

    section: str
    text: str
    kind: ClaimKind
    status: ClaimStatus
    start: int = 0
    end: int = 0
    field: str | None = None
    expected: str | None = None
    reason: str | None = None
