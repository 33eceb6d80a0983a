"""Does the claim checker find what is wrong, and leave alone what is right? The service's own checker on labelled cases."""

import datetime as dt
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import yaml

from services.governance.claims import checker
from services.governance.claims.record import Record, record
from shared.contracts.catalog import Brand, Offer
from shared.contracts.claims import Claim
from shared.contracts.generation import Sections
from shared.contracts.profiles import Fact

DATA = Path(__file__).parent / "datasets" / "claims"
BRAND = Brand(brand_id="default", name="Corner Shop", words_to_avoid=["cheap"])
# generated: by committed code; written: by hand, beside the checker; edges: at the edge of one rule each; adversarial: by
# somebody who attacked the checker.
FILES = ("generated.jsonl", "written.yaml", "edges.yaml", "adversarial.yaml")


class Wrong(msgspec.Struct):
    """What is wrong with a piece of copy: the kind of claim and its words; where it is labelled, the status and the section."""

    kind: str
    text: str
    status: str | None = None
    section: str | None = None


class Case(msgspec.Struct, rename="camel"):
    """A piece of copy about an offer; `bad` is what is wrong with it, None for copy that is right.

    `held`: not looked at while the checker was written.
    """

    id: str
    offer: str
    sections: Sections
    bad: Wrong | None
    locale: str = "en-US"
    channel: str = "email"
    now: str | None = None
    first_name: str | None = None
    facts: list[Fact] = []
    held: bool = False


class Judged(msgspec.Struct):
    """A case and what the checker said: the claims it does not support; `right` when that is what the label says; `kind`:
    whether what was found is also of the labelled kind.
    """

    case: Case
    found: list[Claim]
    right: bool
    kind: bool = True


def read(name: str) -> list[Case]:
    """The cases of one file."""
    text = (DATA / name).read_text()
    rows = (
        yaml.load(text, yaml.CSafeLoader)
        if name.endswith(".yaml")
        else [json.loads(line) for line in text.splitlines()]
    )
    return msgspec.convert(rows, list[Case])


def records(cases: Iterable[Case]) -> dict[str, Record]:
    """What the record of each case says, compiled once for an offer, a person and a locale."""
    offers = {
        key: msgspec.convert(entry["offer"], Offer)
        for key, entry in yaml.load((DATA / "offers.yaml").read_text(), yaml.CSafeLoader).items()
    }
    return {case.id: record(offers[case.offer], BRAND, case.facts, case.first_name, case.locale) for case in cases}


def judge(case: Case, known: Record) -> Judged:
    """One case. A bad one counts as found when an unsupported claim touches the words that are wrong with it, with the
    labelled status, kind and section where the label gives a status or a section.

    Raises:
        ValueError: a claim does not stand where it says.
    """
    now = dt.datetime.fromisoformat(case.now) if case.now else None
    claims = checker.check(case.sections, known, case.channel, now)
    for claim in claims:
        text = getattr(case.sections, claim.section)[claim.start : claim.end]
        if claim.status != "dropped_disclaimer" and text != claim.text:
            message = (
                f"{case.id}: {claim.text!r} does not stand at {claim.section}[{claim.start}:{claim.end}], {text!r} does"
            )
            raise ValueError(message)
    found = checker.unsupported(claims)
    if case.bad is None:
        return Judged(case, found, not found)
    touching = [claim for claim in found if _touches(claim, case.bad)]
    kind = any(claim.kind == case.bad.kind for claim in touching)
    # Where the status is labelled, the kind has to be right as well.
    return Judged(case, found, bool(touching) and (kind or case.bad.status is None), kind)


def _touches(claim: Claim, wrong: Wrong) -> bool:
    said, words = claim.text.lower().strip(".! "), wrong.text.lower().strip(".! ")
    near = words in said or (bool(said) and said in words)
    return near and wrong.status in {None, claim.status} and wrong.section in {None, claim.section}


def judged(cases: list[Case]) -> list[Judged]:
    """Every case, judged."""
    known = records(cases)
    return [judge(case, known[case.id]) for case in cases]


def evaluate(cases: list[Case]) -> dict[str, Any]:
    """Recall of what is wrong (all, and by kind), share of right copy that is refused, and the cases judged wrongly."""
    rows = judged(cases)
    bad, good = [j for j in rows if j.case.bad], [j for j in rows if not j.case.bad]
    kinds: dict[str, Counter[bool]] = defaultdict(Counter)
    for one in bad:
        if one.case.bad:
            kinds[one.case.bad.kind][one.right] += 1
    return {
        "cases": len(rows), "bad": len(bad), "good": len(good),
        "recall": sum(j.right for j in bad) / len(bad) if bad else None,
        "kind_agreement": sum(j.kind for j in bad if j.right) / max(1, sum(j.right for j in bad)),
        "false_alarms": sum(not j.right for j in good) / len(good) if good else None,
        "recall_by_kind": {kind: counts[True] / counts.total() for kind, counts in sorted(kinds.items())},
        "wrong": [{"id": j.case.id, "copy": j.case.sections.body or j.case.sections.headline, "bad": j.case.bad and msgspec.to_builtins(j.case.bad),
                   "found": [f"{c.kind}: {c.text} ({c.status})" for c in j.found]} for j in rows if not j.right],
    }  # fmt: skip
