"""Rules of brand and safety on one piece of copy: which were tested, which it passed, and where it broke one. Pure.

The rules are data: `rules.yaml` for every brand, `Brand.copyRules` for one. What a piece quotes whole of the record (the
product's name, a condition, the legal text) breaks none of them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files

import msgspec

from services.governance import contact, profanity, style, voice
from services.governance.claims import quoting
from services.governance.claims.language import Lexicon
from services.governance.claims.reading import Read, read
from services.governance.claims.record import Record
from shared.contracts.catalog import CopyRules, Voice
from shared.contracts.generation import Sections
from shared.contracts.governance import RuleResult, Severity
from shared.folding import Folded, fold

_SPELLED = re.compile(r"(?<![^\W_])[^\W\d_](?:([ .\-_*])[^\W\d_](?:\1[^\W\d_]){2,})(?![^\W_])")
Span = tuple[int, int]
_UNSET = Voice()


class Pattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule of the file: what must not be said. `ok` and `bad` are sentences that it is tested by."""

    id: str
    safety: bool
    severity: Severity
    reason: str
    patterns: list[str]
    bad: list[str]
    ok: list[str]


@lru_cache(maxsize=1)
def patterns() -> tuple[Pattern, ...]:
    """The file's rules."""
    raw = files("services.governance").joinpath("rules.yaml").read_bytes()
    return tuple(msgspec.yaml.decode(raw, type=list[Pattern]))


@lru_cache(maxsize=1)
def _compiled() -> Lexicon:
    return Lexicon({rule.id: rule.patterns for rule in patterns()})


def check(sections: Sections, known: Record, rules: CopyRules, exclude_tags: list[str]) -> list[RuleResult]:
    """One result a rule, the first place where it is broken if it is."""
    return judge(read(sections, known), known, rules, exclude_tags)


def judge(found: Sequence[Read], known: Record, rules: CopyRules, exclude_tags: list[str]) -> list[RuleResult]:
    """The same of copy that is read already."""
    results = list(_listed(found, rules))
    results += [_profanity(found, known), _contact(found), _disguise(found), _brand_safety(known, exclude_tags)]
    results += [result for result in _style(found, rules) if result.rule not in rules.off]
    return results + list(_voice(found, rules)) + list(_required(found, rules))


def _broken(rule: str, severity: Severity, reason: str, section: Read, said: Folded, span: Span) -> RuleResult:
    start, end = said.span(*span)
    return RuleResult(rule=rule, severity=severity, passed=False, section=section.name, start=start, end=end,
                      text=section.original[start:end], reason=reason)  # fmt: skip


def _free(section: Read, span: Span) -> bool:
    """Does it stand outside of what is quoted from the record?"""
    return quoting.inside(*span, section.quotes) is None


def _listed(found: Sequence[Read], rules: CopyRules) -> Iterator[RuleResult]:
    broken: dict[str, tuple[Read, Folded, Span]] = {}
    for section in found:
        for said in (section.said, *section.others):
            for one in _compiled().find(said.text):
                if said is not section.said or _free(section, (one.start, one.end)):
                    broken.setdefault(one.kind, (section, said, (one.start, one.end)))
    for rule in patterns():
        if rule.safety or rule.id not in rules.off:
            place = broken.get(rule.id)
            yield (
                _broken(rule.id, rule.severity, rule.reason, *place)
                if place
                else RuleResult(rule=rule.id, severity=rule.severity, passed=True)
            )


def _profanity(found: Sequence[Read], known: Record) -> RuleResult:
    for section in found:
        for said in (section.said, *section.others):
            span = profanity.find(said.text, known.called)
            if span and (said is not section.said or _free(section, span)):
                return _broken("profanity", "block", "is on the list of offensive words", section, said, span)
    return RuleResult(rule="profanity", severity="block", passed=True)


def _contact(found: Sequence[Read]) -> RuleResult:
    for section in found:
        for span in contact.find(section.said):
            if _free(section, span):
                return _broken(
                    "contact_data",
                    "block",
                    "holds an address, a number or an account of somebody",
                    section,
                    section.said,
                    span,
                )
    return RuleResult(rule="contact_data", severity="block", passed=True)


def _disguise(found: Sequence[Read]) -> RuleResult:
    """Words of two scripts, with characters that nobody sees, or spelled out letter by letter: no honest copy has them."""
    reason = "is written so that it reads otherwise to a machine than to people"
    for section in found:
        for start, end in section.mixed:
            return RuleResult(rule="disguise", severity="block", passed=False, section=section.name, start=start, end=end,
                              text=section.original[start:end], reason=reason)  # fmt: skip
        for match in _SPELLED.finditer(section.said.text):
            if _free(section, match.span()):
                return _broken("disguise", "block", reason, section, section.said, match.span())
    return RuleResult(rule="disguise", severity="block", passed=True)


def _brand_safety(known: Record, exclude_tags: list[str]) -> RuleResult:
    """An offer of alcohol, tobacco, infant goods and the like is not written up for somebody it must not be shown to."""
    clash = sorted(set(known.offer.safety_tags) & set(exclude_tags))
    reason = f"the offer is tagged {', '.join(clash)}, which this person must not be shown" if clash else None
    return RuleResult(rule="brand_safety", severity="block", passed=not clash, reason=reason)


def _style(found: Sequence[Read], rules: CopyRules) -> Iterator[RuleResult]:
    """Figures of style over what is not quoted."""
    counts = (("exclamation_marks", rules.max_exclamation_marks, style.exclamations), ("emojis", rules.max_emojis, style.emojis),
              ("capitals", rules.max_capitals, style.shouted))  # fmt: skip
    own = {section.name: _own_words(section) for section in found}
    for rule, most, find in counts:
        places = [(section, span) for section in found for span in find(own[section.name])]
        if len(places) <= most:
            yield RuleResult(rule=rule, severity="block", passed=True)
            continue
        section, (start, end) = places[most]
        yield RuleResult(rule=rule, severity="block", passed=False, section=section.name, start=start, end=end,
                         text=section.original[start:end], reason=f"{len(places)} of them; {most} are allowed")  # fmt: skip
    grade = style.reading_grade(" ".join(own.values()))
    hard = grade is not None and grade > rules.max_reading_grade
    reason = f"asks for {grade:.1f} years of school; {rules.max_reading_grade:g} are allowed" if hard else None
    yield RuleResult(rule="reading_grade", severity="warn", passed=not hard, reason=reason)


def _own_words(section: Read) -> str:
    """The section as it came, with what it quotes blanked."""
    text = section.original
    for quote in section.quotes:
        start, end = section.said.span(quote.start, quote.end)
        text = text[:start] + " " * (end - start) + text[end:]
    return text


def _voice(found: Sequence[Read], rules: CopyRules) -> Iterator[RuleResult]:
    """The brand's voice, over what is not quoted."""
    if rules.voice == _UNSET:
        return
    texts = {section.name: fold(_own_words(section)).text for section in found}
    by_name: Mapping[str, Read] = {section.name: section for section in found}
    for rule, reason, place in voice.judge(texts, rules.voice):
        if reason and place:
            section, span = place
            start, end = fold(_own_words(by_name[section])).span(*span)
            yield RuleResult(rule=rule, severity=rules.voice.severity, passed=False, section=section, start=start, end=end,
                             text=by_name[section].original[start:end], reason=reason)  # fmt: skip
        else:
            yield RuleResult(rule=rule, severity=rules.voice.severity, passed=reason is None, reason=reason)


def _required(found: Sequence[Read], rules: CopyRules) -> Iterator[RuleResult]:
    if not rules.required:
        return
    said = " ".join(" ".join(section.said.text.split()) for section in found)
    for words in rules.required:
        there = " ".join(fold(words).text.split()) in said
        yield RuleResult(
            rule="required_words", severity="block", passed=there, reason=None if there else f"{words!r} is missing"
        )
