"""Why copy may not do what is asked of it, as errors that name the field. Pure."""

import msgspec

from services.governance import approval
from services.governance.errors import FailedChecksError, FourEyesError, UnknownCopyError, WrongRevisionError
from shared.contracts.approval import StoredCopy
from shared.contracts.base import FieldError
from shared.contracts.governance import CheckReport
from shared.errors import InvalidInputError
from shared.fields import has_nul


def known(one: StoredCopy | None, copy_id: str) -> StoredCopy:
    """The copy that was found.

    Raises:
        UnknownCopyError: none was.
    """
    if one is None:
        message = f"No copy {copy_id[:200]!r}."
        raise UnknownCopyError(message)
    return one


def same_revision(one: StoredCopy, revision: int) -> None:
    """Raises WrongRevisionError when another text stands than the one that was read."""
    if one.revision != revision:
        error = FieldError(
            field="revision", message="is not the present one", given=str(revision), allowed=str(one.revision)
        )
        message = f"the text was changed: revision {one.revision} stands, {revision} was read"
        raise WrongRevisionError(message, errors=[error])


def other_eyes(one: StoredCopy, by: str) -> None:
    """Raises FourEyesError when who approves is an author."""
    if approval.same_eyes(by, one.authors):
        error = FieldError(field="by", message="wrote or edited this text", given=by, allowed="anybody else")
        message = f"the brand asks for four eyes: {by!r} wrote or edited this text, somebody else approves it"
        raise FourEyesError(message, errors=[error])


def failed(report: CheckReport) -> FailedChecksError:
    """The error that names every place of a report where copy fails."""
    claims = [claim for claim in report.claims if claim.status != "supported"]
    errors = [
        FieldError(field=f"sections.{claim.section}", message=f"{claim.kind} {claim.status.replace('_', ' ')}",
                   given=claim.text, allowed=claim.expected)
        for claim in claims
    ]  # fmt: skip
    errors += [
        FieldError(field=f"sections.{rule.section or 'body'}", message=f"{rule.rule}: {rule.reason}", given=rule.text)
        for rule in report.rules if rule.severity == "block" and not rule.passed
    ]  # fmt: skip
    if not report.channel_fit.fits:
        errors.append(FieldError(field="sections", message="do not fit the channel"))
    return FailedChecksError(f"the copy does not pass its checks: {why(report)}", errors=errors)


def why(report: CheckReport) -> str:
    """The first reasons of a report, for people."""
    said = [
        f"{claim.text!r} is {claim.status.replace('_', ' ')}" for claim in report.claims if claim.status != "supported"
    ]
    said += [f"{rule.rule}: {rule.reason}" for rule in report.rules if rule.severity == "block" and not rule.passed]
    said += [] if report.channel_fit.fits else ["does not fit the channel"]
    return "; ".join(said[:5])[:1000]


def no_nul(body: msgspec.Struct) -> None:
    """Raises InvalidInputError for what no table can hold."""
    if has_nul(msgspec.to_builtins(body)):
        raise InvalidInputError("a text contains a NUL character, which cannot be stored")
