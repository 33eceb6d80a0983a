"""All that is looked at in a piece of copy, in one report. Pure."""

from services.governance import brand_rules, channels
from services.governance.claims import checker, reading
from services.governance.claims.record import Record, record
from shared.contracts.generation import Material, Sections
from shared.contracts.governance import CheckReport, CheckRequest
from shared.contracts.profiles import Channel

_NOT_COVERED = "{locale}: there are no words of this language; figures, links and words to avoid were checked, a person has to approve the rest"


def reports(request: CheckRequest) -> list[CheckReport]:
    """A report for each draft, in their order."""
    material = request.material
    profile = material.profile
    first_name = profile.first_name if profile.personalize else None
    facts = profile.facts if profile.personalize else []
    known = record(material.offer, material.brand, facts, first_name, request.locale)
    note = None if known.covered else _NOT_COVERED.format(locale=request.locale)
    return [_report(draft, request, known, note) for draft in request.drafts]


def _report(draft: Sections, request: CheckRequest, known: Record, note: str | None) -> CheckReport:
    sections = reading.read(draft, known)
    claims = checker.judge(sections, known, request.channel, request.now)
    rules = brand_rules.judge(sections, known, request.material.brand.copy_rules, request.material.profile.exclude_tags)
    blocked = any(rule.severity == "block" and not rule.passed for rule in rules)
    fitted = channels.fit(draft, request.channel)
    fine = fitted.fits and not blocked and not checker.unsupported(claims)
    passed = sum(claim.status == "supported" for claim in claims) + sum(rule.passed for rule in rules) + fitted.fits
    return CheckReport(claims=claims, rules=rules, channel_fit=fitted, passed=passed, tested=len(claims) + len(rules) + 1,
                       note=note, servable=fine and known.covered, needs_person=fine and not known.covered)  # fmt: skip


def of_one(material: Material, sections: Sections, channel: Channel, locale: str) -> CheckReport:
    """The report on one text that may be read at any time."""
    return reports(CheckRequest(material=material, drafts=[sections], channel=channel, locale=locale))[0]
