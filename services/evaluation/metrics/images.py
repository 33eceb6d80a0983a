"""Does the picture show what the headline says? CLIPScore (Hessel et al., EMNLP 2021). Pure."""

from services.evaluation.evidence import Evidence
from services.evaluation.samples import Sample
from services.evaluation.scores import Score, abstained, scored

# CLIPScore's own factor: cosines of picture and caption hardly exceed 0.4.
_STRETCH = 2.5


def image_match(_: Sample, evidence: Evidence) -> Score:
    """2.5 times the cosine of picture and headline, in [0, 1]; abstains where no model can compare them."""
    found = evidence.image
    if not isinstance(found, float):
        return abstained(found or "no_image")
    return scored(min(max(_STRETCH * found, 0.0), 1.0) if found == found else found)  # noqa: PLR0124  (NaN is told as such)
