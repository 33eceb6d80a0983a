"""Conformance: passed of tested, of all that governance looks at and whether the copy fits its channel. Pure."""

from services.evaluation.evidence import Evidence
from services.evaluation.samples import Sample
from services.evaluation.scores import Score, failed, share


def conformance(_: Sample, evidence: Evidence) -> Score:
    """Passed claims, rules of brand and safety, and the channel's lengths, of those tested."""
    if evidence.report is None:
        return failed(evidence.refused or "not_checked")
    return share(evidence.report.passed, evidence.report.tested, "nothing_tested")
