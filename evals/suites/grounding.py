"""Grounding: the claim checker that serves, on labelled copy (docs/claims.md)."""

from evals import claims
from evals.runs import Case, Metric, Run, code_version, data_hash, mean_of

_SHOWN = 40


def run(seed: int) -> Run:
    """Recall of wrong copy and false alarms on right copy: all cases, by origin, and idioms that no list was written for."""
    judged = {name: claims.judged(claims.read(name)) for name in claims.FILES}
    everything = [one for rows in judged.values() for one in rows]
    metrics = [*_both(everything, "", seed)]
    for name, rows in judged.items():
        metrics += _both(rows, f"_{name.partition('.')[0]}", seed)
    metrics += _both(claims.judged(claims.read("unlisted.yaml")), "_unlisted", seed)
    bad = [(one.case.bad, one) for one in everything if one.case.bad]
    metrics.append(mean_of("kind_agreement", {one.case.id: float(one.kind) for _, one in bad if one.right}, seed))
    metrics += [
        mean_of(f"recall_{kind}", {one.case.id: float(one.right) for wrong, one in bad if wrong.kind == kind}, seed)
        for kind in sorted({wrong.kind for wrong, _ in bad})
    ]
    worst = [
        Case(id=one.case.id, value=float(one.right), text=one.case.sections.body or one.case.sections.headline,
             note=f"wrong: {one.case.bad}; found: {[claim.text for claim in one.found]}")
        for one in everything if not one.right
    ]  # fmt: skip
    files = [claims.DATA / name for name in (*claims.FILES, "unlisted.yaml", "offers.yaml")]
    return Run(suite="grounding", seed=seed, data=data_hash(files), code=code_version(), made_with={"checker": "services.governance.claims"},
               metrics=metrics, worst=worst[:_SHOWN])  # fmt: skip


def _both(judged: list[claims.Judged], suffix: str, seed: int) -> list[Metric]:
    wrong = {one.case.id: float(one.right) for one in judged if one.case.bad}
    right = {one.case.id: float(not one.right) for one in judged if not one.case.bad}
    return [
        mean_of(f"recall{suffix}", wrong, seed),
        mean_of(f"false_alarms{suffix}", right, seed, higher_is_better=False),
    ]
