"""The claim checker: every claim of a piece of copy, where it stands, and what the record says to it. Pure."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from services.governance.claims import calendar, disclaimers, matching, naming, personal, quoting, scope, words
from services.governance.claims.figures import Figure, Reader, weak
from services.governance.claims.language import Found
from services.governance.claims.reading import Read, read
from services.governance.claims.record import Record
from services.governance.claims.verdict import Verdict
from shared.contracts.claims import Claim
from shared.contracts.generation import Sections
from shared.folding import Folded

# The page beside a web or push proposition shows the record's conditions; an e-mail and a text message stand alone.
_ALONE = {"email", "sms"}
_BENEFIT_FIELDS = ("offer.discount", "offer.price")
_KINDS = {
    "gain": "condition",
    "free_shipping": "free",
    "multi_buy": "condition",
    "time": "date",
    "last_day": "urgency",
    "attribute": "product",
}
_NAMES = {"name", "product"}


class _Section:
    """One section while it is read."""

    def __init__(self, read: Read, known: Record, now: dt.datetime | None) -> None:
        self.name, self.original, self.known, self.now = read.name, read.original, known, now
        self.said, self.quotes, self.others = read.said, read.quotes, read.others
        self.reader = Reader(self.said.text, known.locale)
        self.figures = self.reader.figures()
        self.personal = [
            (found, personal.verdict(self.words(found), known.own, known)) for found in self._about_reader()
        ]

    def _about_reader(self) -> Iterator[Found]:
        return personal.find(self.said.text, self.known.own) if self.known.covered else iter(())

    def words(self, found: Found) -> str:
        """What a claim says, on one line."""
        return " ".join(self.said.text[found.start : found.end].split())

    @cached_property
    def judged(self) -> list[tuple[Figure, Verdict]]:
        """Its figures with the record's verdicts; what is mostly none counts only where it contradicts, an idle day not at all."""
        found = [(figure, self._of_figure(figure)) for figure in self.figures]
        return [
            (figure, said) for figure, said in found
            if (said.status == "contradicted" or not weak(figure)) and not calendar.idle(figure, self.known, self.now)
        ]  # fmt: skip

    def _of_figure(self, figure: Figure) -> Verdict:
        quoted = quoting.inside(figure.start, figure.end, self.quotes)
        if quoted:
            return Verdict("supported", quoted)
        said = matching.figure(figure, self.known, self.now, self.figures)
        if said.field and ".conditions[" in said.field and self.known.own.waived.search(self.said.text[: figure.start]):
            return Verdict("contradicted", said.field, said.expected, "the copy lifts the condition")
        about = self._fact(figure.start, figure.end)
        return (
            Verdict("supported", about)
            if said.status != "supported" and about and personal.bears(figure.kind)
            else said
        )

    def _fact(self, start: int, end: int) -> str | None:
        """The fact that bears out the statement about the reader around a span."""
        return next(
            (
                said.field
                for found, said in self.personal
                if found.start <= start and end <= found.end and said.status == "supported"
            ),
            None,
        )

    def by_words(self) -> Iterator[tuple[Found, Verdict, Folded]]:
        """Claims by words, also under a disguise."""
        own, known = self.known.own, self.known
        rest = self.reader.rest()
        if self.now is not None and known.covered and not calendar.running(known, self.now):
            for match in own.present.finditer(rest):
                yield (
                    Found("date", *match.span()),
                    Verdict(
                        "contradicted", "offer.startDate", known.first_day.isoformat(), "the offer is not valid now"
                    ),
                    self.said,
                )
        if known.covered:
            for found in naming.find(self.said, rest, own, known):
                yield found, self._of_name(found), self.said
        for n, said in enumerate([self.said, *self.others]):
            for found in dict.fromkeys(words.find(said.text, rest if n == 0 else said.text, own, known, plain=n == 0)):
                yield found, self._of_words(found, said, plain=n == 0), said

    def _of_name(self, found: Found) -> Verdict:
        quoted = quoting.inside(found.start, found.end, self.quotes) or self._fact(found.start, found.end)
        return Verdict("supported", quoted) if quoted else naming.verdict(found, self.words(found), self.known)

    def _of_words(self, found: Found, said: Folded, *, plain: bool) -> Verdict:
        quoted = quoting.inside(found.start, found.end, self.quotes) if plain else None
        return (
            Verdict("supported", quoted)
            if quoted
            else words.verdict(found, said.text, self.known.own, self.known, self.now)
        )

    def claims(self) -> list[Claim]:
        """All of them by place; a disguised one only where nothing was found in the open."""
        made = [
            self._claim(figure.kind, *self.said.span(figure.start, figure.end), said) for figure, said in self.judged
        ]
        made += [
            self._claim("personal", *self.said.span(found.start, found.end), said) for found, said in self.personal
        ]
        figures = [(claim.start, claim.end) for claim in made]
        for found, said, reading in self.by_words():
            start, end = reading.span(found.start, found.end)
            if reading is not self.said and any(first < end and start < last for first, last in figures):
                continue
            made.append(self._claim(found.kind, start, end, said))
        return sorted(_once(made), key=lambda claim: (claim.start, claim.end))

    def _claim(self, kind: str, start: int, end: int, verdict: Verdict) -> Claim:
        return Claim(section=self.name, text=self.original[start:end], kind=_KINDS.get(kind, kind), status=verdict.status,  # type: ignore[arg-type]
                     field=verdict.field, reason=verdict.reason, expected=verdict.expected, start=start, end=end)  # fmt: skip


def _once(made: Iterable[Claim]) -> list[Claim]:
    """One claim of a kind at a place; a name that two rules found counts once, by what is wrong with it."""
    found: dict[tuple[str, int, int], Claim] = {}
    for claim in made:
        place = ("name" if claim.kind in _NAMES else claim.kind, claim.start, claim.end)
        if place not in found or found[place].status == "supported":
            found[place] = claim
    return list(found.values())


def check(sections: Sections, known: Record, channel: str, now: dt.datetime | None = None) -> list[Claim]:
    """Every claim, in the order of the sections and of the text.

    Args:
        sections: the copy; of a section the first 5,000 characters.
        known: what it may rest on, see `record`.
        channel: e-mail and text messages must carry the conditions themselves.
        now: when it is read; without it relative dates and urgency find support in the record's texts only.
    """
    return judge(read(sections, known), known, channel, now)


def judge(found: Sequence[Read], known: Record, channel: str, now: dt.datetime | None = None) -> list[Claim]:
    """The same of copy that is read already."""
    sections = [_Section(one, known, now) for one in found]
    claims = [claim for section in sections for claim in section.claims()]
    return (
        claims
        + _unqualified(sections, claims, known)
        + (_dropped(sections, claims, known) if channel in _ALONE else [])
    )


def _unqualified(sections: Sequence[_Section], claims: Sequence[Claim], known: Record) -> list[Claim]:
    """On every channel: what is free when others are bought is not told as free without how many must be bought."""
    discount = known.offer.discount
    free = next(
        (c for c in claims if c.kind == "free" and c.status == "supported" and c.field == "offer.discount.kind"), None
    )
    if discount.kind != "free_item" or not discount.buy_quantity or free is None:
        return []
    told = any(
        figure.kind == "multi_buy" or (figure.kind == "number" and figure.value == discount.buy_quantity)
        for section in sections
        for figure in section.figures
    )
    # "Every third one is free" tells it too.
    told = told or any(scope.turn(section.said.text) == discount.buy_quantity + 1 for section in sections)
    expected = f"buy {discount.buy_quantity}, get {discount.get_quantity or 1} free"
    return [] if told else [
        Claim(section=free.section, text=expected, kind="condition", status="dropped_disclaimer", field="offer.discount.buyQuantity",
              start=free.start, end=free.end, expected=expected, reason=f"{free.text!r} is said without how many must be bought")
    ]  # fmt: skip


def _dropped(sections: Sequence[_Section], claims: Sequence[Claim], known: Record) -> list[Claim]:
    """A claim for each condition that is missing beside the first statement of the benefit."""
    stated = [c for c in claims if c.status == "supported" and (c.field or "").startswith(_BENEFIT_FIELDS)]
    if not stated:
        return []
    benefit = stated[0]
    said = [disclaimers.Said(section.said.text, section.judged, section.quotes) for section in sections]
    return [
        Claim(section=benefit.section, text=missing, kind="condition", status="dropped_disclaimer", field=field,
              start=benefit.start, end=benefit.end, expected=missing, reason=f"{benefit.text!r} is said without it")
        for field, missing in disclaimers.dropped(said, known)
    ]  # fmt: skip


def unsupported(claims: Sequence[Claim]) -> list[Claim]:
    """The claims for which a piece of copy may not be served."""
    return [claim for claim in claims if claim.status != "supported"]
