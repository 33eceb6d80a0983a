"""Conditions that copy must not drop: who states the benefit states what it depends on. Pure."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from services.governance.claims import quoting
from services.governance.claims.figures import Figure
from services.governance.claims.language import Language, stem
from services.governance.claims.quoting import Quoted
from services.governance.claims.record import Demand, Record
from services.governance.claims.verdict import Verdict

_WORD = re.compile(r"[^\W_]+(?:['&-][^\W_]+)*")
_ROLES = {"spend", "quantity", "uses"}


class Said(NamedTuple):
    """A section as it was read: folded text, its figures with the verdicts on them, what of the record it quotes."""

    text: str
    figures: Sequence[tuple[Figure, Verdict]]
    quotes: Sequence[Quoted]


def dropped(sections: Sequence[Said], known: Record) -> list[tuple[str, str]]:
    """(field, text) of each condition and legal text that is missing from copy which states the benefit.

    A condition is there when it is quoted; or when its figures are, in their role, and all its telling words, whole and
    in one section, none of them turned by a "no" that the condition does not have. The legal text must be quoted.
    """
    quoted = {place.field for said in sections for place in said.quotes}
    missing = [
        (demand.field, demand.text)
        for demand in known.demands
        if demand.field not in quoted and not _carried(demand, sections, known.own)
    ]
    if known.texts.get("offer.legalText") and "offer.legalText" not in quoted:
        missing.append(("offer.legalText", known.offer.legal_text))
    return missing


def _carried(demand: Demand, sections: Iterable[Said], own: Language) -> bool:
    wanted = [figure for figure in demand.figures if figure.kind in {"price", "number"} and figure.value is not None]
    if not wanted and not demand.words:
        return False  # nothing tells it but its own words
    return any(_in_section(demand, wanted, said, own) for said in sections)


def _in_section(demand: Demand, wanted: Sequence[Figure], said: Said, own: Language) -> bool:
    def turned(start: int, end: int) -> bool:
        return not demand.turned and quoting.negated(said.text, start, end, own)

    values = {(figure.kind, figure.value) for figure, verdict in said.figures
              if verdict.status == "supported" and _ROLES & set(figure.roles) and not turned(figure.start, figure.end)}  # fmt: skip
    if not all((figure.kind, figure.value) in values for figure in wanted):
        return False
    words = {stem(part) for match in _WORD.finditer(said.text) for part in {match.group(0), *match.group(0).split("-")}
             if not turned(*match.span())}  # fmt: skip
    # A word that says the same will do: "first-time customers" for "new customers".
    return all(word in words or words & own.same.get(word, frozenset()) for word in demand.words)
