"""Claims: how much of what the copy claims does the record support? Governance's own checker says so. Pure."""

from services.evaluation.evidence import Evidence
from services.evaluation.samples import Sample
from services.evaluation.scores import Score, failed, share


def claim_support(_: Sample, evidence: Evidence) -> Score:
    """Supported claims of all claims; copy that claims nothing has no figure."""
    if evidence.report is None:
        return failed(evidence.refused or "not_checked")
    claims = evidence.report.claims
    return share(sum(claim.status == "supported" for claim in claims), len(claims), "no_claims")
