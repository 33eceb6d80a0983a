"""Approved and rejected copy as examples: the tenant's own from governance, or a file with a row an answer.

The prompt of each is what generation renders for the same material, asked of it: there is no second copy of its text here.
"""

from pathlib import Path

from services.training.errors import BadDataError
from services.training.lessons import MOST, Example, Message
from services.training.sources import table
from shared.clients.bundle import Clients
from shared.contracts.approval import CopyQuery, CopyState, StoredCopy
from shared.contracts.generation import LessonPiece, LessonRequest

_PAGE, _AT_ONCE = 200, 64
_APPROVED: tuple[CopyState, ...] = ("approved", "live")
_STATES: list[CopyState] = [*_APPROVED, "rejected"]
_COLUMNS = ("subject", "prompt", "answer", "approved")


async def of_governance(clients: Clients) -> tuple[list[Example], list[str]]:
    """The examples of a tenant, and notes on what was left out: what was written for one person, first of all.

    Raises:
        UnavailableError: governance or generation does not answer.
    """
    copies = await _stored(clients)
    neutral = [one for one in copies if not (one.personal or one.required_facts) and one.material is not None]
    notes = (
        [f"{len(copies) - len(neutral)} pieces that speak of a reader left out"] if len(neutral) < len(copies) else []
    )
    found: list[Example] = []
    for start in range(0, len(neutral), _AT_ONCE):
        found += await _examples(clients, neutral[start : start + _AT_ONCE])
    if len(found) < len(neutral):
        notes.append(f"{len(neutral) - len(found)} pieces left out that no answer of the model becomes (text messages, templates, "
                     "figures that a person changed)")  # fmt: skip
    return found, notes


async def _stored(clients: Clients) -> list[StoredCopy]:
    copies: list[StoredCopy] = []
    cursor: str | None = None
    while True:
        page = await clients.governance.copies(CopyQuery(states=_STATES, details=True, cursor=cursor, limit=_PAGE))
        copies += page.copies
        cursor = page.cursor
        if cursor is None or len(copies) >= 2 * MOST:
            return copies


async def _examples(clients: Clients, copies: list[StoredCopy]) -> list[Example]:
    pieces = [
        LessonPiece(material=one.material, channel=one.channel, sections=one.sections)
        for one in copies
        if one.material is not None
    ]
    answer = await clients.generation.lessons(LessonRequest(pieces=pieces))
    return [
        Example(
            subject=one.offer_id,
            messages=tuple(Message(said["role"], said["content"]) for said in lesson.messages),
            answer=lesson.answer,
            approved=one.state in _APPROVED,
        )
        for one, lesson in zip(copies, answer.lessons, strict=True)
        if lesson.answer is not None and one.source != "template"
    ]


def of_file(path: Path) -> list[Example]:
    """The examples of a CSV or Parquet file with the columns subject, prompt, answer, approved (yes or no).

    `python -m evals.lessons` writes such a file.

    Raises:
        BadDataError: the file or one of its columns is missing, or a row has no text.
    """
    rows = table.read(path)
    subjects, prompts, answers, approved = (table.texts(rows, name, name) for name in _COLUMNS)
    wrong = sorted({one for one in approved if one.lower() not in {"yes", "no", "true", "false", "1", "0"}})
    if wrong:
        raise BadDataError(f"approved: must say yes or no, not {wrong[0][:80]!r}")
    return [
        Example(subject, (Message("user", prompt),), answer, verdict.lower() in {"yes", "true", "1"})
        for subject, prompt, answer, verdict in zip(subjects, prompts, answers, approved, strict=True)
    ]
