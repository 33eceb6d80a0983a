"""Facts about a person: do those that were given surface, and do those that must not stay out? Pure."""

from services.evaluation.evidence import Evidence
from services.evaluation.samples import Sample, given_facts
from services.evaluation.scores import Score, abstained, scored, share
from services.evaluation.wording import has_all, has_half, stems


def personal_facts(sample: Sample, _: Evidence) -> Score:
    """Share of the given facts that surface: all words of their subject, else half of their own words.

    A fact whose subject is the offer's product surfaces with the product's name: this asks for words, not for tact.
    """
    given = given_facts(sample.copy, sample.material)
    subjects = {fact.name: fact.subject for fact in sample.material.profile.facts}
    said = stems(sample.text)
    used = sum(
        has_all(subject, said) if (subject := subjects.get(name)) else has_half(text, said)
        for name, text in given.items()
    )
    return share(used, len(given), "no_facts")


def no_forbidden_facts(sample: Sample, evidence: Evidence) -> Score:
    """1 when no sensitive or not permitted fact surfaces, else 0. Words that the record has too give nothing away."""
    if evidence.forbidden is None:
        return abstained("no_person")
    said = stems(sample.text)
    open_words = stems(" ".join([*sample.record, *sample.facts]))
    leaked = any(has_all(words, said) and not stems(words) <= open_words for words in evidence.forbidden)
    return scored(0.0 if leaked else 1.0)
