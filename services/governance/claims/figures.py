"""Figures in a text: percentages, prices, dates, durations, numbers, in digits and in words, with place and role. Pure."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from services.governance.claims import dates
from services.governance.claims.language import Language, stem
from services.governance.claims.numbers import SIGNS, currency, value
from services.governance.claims.patterns import Patterns, patterns

_ABOUT = 40  # characters around a figure that may give it a role
_CLAUSE = re.compile(r"[,:()]|\b(?:for|on|off|of|at|with|and|or|when|until|from)\b")
_LETTERS = re.compile(r"[a-z]+")
_HEAD = re.compile(r"[a-z][a-z'-]+")
# A stop ends a sentence, but for the one of an abbreviation.
_SHORTENED = (
    "jan",
    "feb",
    "mar",
    "apr",
    "jun",
    "jul",
    "aug",
    "sep",
    "sept",
    "oct",
    "nov",
    "dec",
    "max",
    "min",
    "approx",
    "vs",
    "fr",
)
_ABBREVIATED = "".join(rf"(?<!\b{word}\.)" for word in _SHORTENED)
_SENTENCE = re.compile(rf"(?:\.{_ABBREVIATED}|[!?;])(?:\s|$)|\n")
_LETTER = re.compile(r"(?<=\d)o(?=\d|\s?%|[.,]\d)|(?<![a-z])[il](?=\d{1,3}\s?%)|(?<=[$€£])[il](?=[\d.])")
_STOP = frozenset(["a", "an", "the", "and", "or", "on", "in", "at", "to", "for", "with", "per", "each", "off", "is", "are", "was", "be", "by", "from", "your", "you", "our", "we", "it", "this", "that", "as", "until", "when", "just", "only", "now", "more", "get", "take", "save", "buy", "of"])  # fmt: skip
_HUNDRED = 100
_TOLD = re.compile(rf"[\d%‰{re.escape(SIGNS)}]|percent|per cent|pct")
_SHARE = "share"  # of a percentage told as a fraction: "a third" is 33 as well as 33.33


class Figure(NamedTuple):
    """A figure and where it stands. `unit`: currency, unit of time or measure, or "". `roles`: what it may be a figure of.
    `head`: the words after it that may say of what; `near`: all words of its sentence; `gain`: that speaks of a benefit.
    `day`: (year or 0, month or 0, day or 0) of a date; `words`: how a relative date is named; `until`: the end of a range.
    """

    kind: str
    start: int
    end: int
    value: Decimal | None = None
    unit: str = ""
    roles: tuple[str, ...] = ()
    bound: str = ""
    head: tuple[str, ...] = ()
    near: frozenset[str] = frozenset()
    gain: bool = False
    day: tuple[int, int, int] | None = None
    words: str = ""
    weekday: str = ""
    until: "Figure | None" = None


class Reader:
    """Reads the figures of one folded text; what a more telling pattern has taken, no later one looks at."""

    def __init__(self, text: str, locale: str) -> None:
        self.text = _LETTER.sub(lambda match: "0" if match.group(0) == "o" else "1", text)
        self._rest = self.text
        self._locale = locale
        self._patterns: Patterns = patterns(locale.replace("_", "-").partition("-")[0].lower())
        self._own: Language = self._patterns.own
        self._sentences = [0, *(match.end() for match in _SENTENCE.finditer(self.text)), len(self.text) + 1]
        self._near: dict[int, tuple[frozenset[str], bool]] = {}

    def figures(self) -> list[Figure]:
        """All figures, by place."""
        found: list[Figure] = []
        for read in self._readers():
            taken = list(read())
            for figure in taken:
                blank = " " * (figure.end - figure.start)
                self._rest = self._rest[: figure.start] + blank + self._rest[figure.end :]
            found += taken
        return dates.ranges(sorted(found, key=lambda figure: figure.start), self.text, self._patterns)

    def _readers(self) -> list[Callable[[], Iterator[Figure]]]:
        """What is worth reading for: amounts where something counts, dates where something dates."""
        said = set(_LETTERS.findall(self.text))
        told = bool(_TOLD.search(self.text)) or not self.text.isascii()
        counting = told or not said.isdisjoint(self._patterns.counting) or "one" in said
        dating = told or not said.isdisjoint(self._patterns.dating)
        amounts = [self._multi, self._percents, self._prices] if counting else []
        days = [self._times, self._dates, self._vague] if dating else []
        spans = [self._measures, self._durations] if counting else []
        return [
            *amounts,
            *days,
            *spans,
            *([self._relatives] if dating else []),
            *([self._numbers, self._residue] if counting else []),
        ]

    def rest(self) -> str:
        """The text with every figure blanked."""
        return self._rest

    def sentence(self, place: int) -> tuple[int, int]:
        """Where the sentence around a place begins and ends."""
        after = bisect_right(self._sentences, place)
        return self._sentences[after - 1], self._sentences[after]

    def _around(self, place: int) -> tuple[frozenset[str], bool]:
        start, end = self.sentence(place)
        if start not in self._near:
            said = self.text[start:end]
            told = bool(
                self._own.gain.search(said)
                or self._own.validity.search(said)
                or re.search(r"\d ?%|[$€£¥]|\boff\b|\bfree\b", said)
            )
            self._near[start] = frozenset(map(stem, _HEAD.findall(said))) - _STOP, told
        return self._near[start]

    def _made(self, kind: str, start: int, end: int, *, glued: str = "", **more: Any) -> Figure:
        first, last = self.sentence(start)
        before, after = (
            self.text[max(first, start - _ABOUT) : start],
            self.text[end : min(last, end + _ABOUT)].rstrip(" .!?;\n"),
        )
        bound = self._own.bound(before, after)
        roles = self._own.roles(before, after)
        if (
            bound in self._own.bounds
        ):  # "orders over" and "save over": the word may belong to the role or stand before it
            bare = self._own.bounds[bound].sub("", before).rstrip() + " "
            roles += [role for role in self._own.roles(bare, after) if role not in roles]
        words = [stem(word) for word in _HEAD.findall(_CLAUSE.split(after)[0])[:3] if word not in _STOP]
        near, gain = self._around(start)
        return Figure(
            kind,
            start,
            end,
            roles=tuple(roles),
            bound=bound,
            head=tuple(([glued] if glued else []) + words[:2]),
            near=near,
            gain=gain,
            **more,
        )

    def _read(self, text: str) -> Decimal | None:
        return value(text, self._own.words.numbers, self._locale)

    def _multi(self) -> Iterator[Figure]:
        for match in self._patterns.buy.finditer(self._rest):
            got = 1 if match["one"] or match["then"] else self._read(match["g"])
            share = "half" if match["free"].startswith("half") else "free"
            yield self._made(
                "multi_buy",
                *match.span(),
                value=Decimal(1) if match["b"] in {"a", "an"} else self._read(match["b"]),
                words=f"{share}:{got}",
            )
        for match in self._patterns.bogo.finditer(self._rest):
            yield self._made("multi_buy", *match.span(), value=Decimal(1), words="free:1")
        for match in self._patterns.pay.finditer(self._rest):
            take, pay = (
                self._read(next(said for n in ("", "2", "3", "4") if (said := match[f"{name}{n}"]))) for name in "bg"
            )
            if take and pay and take > pay:
                yield self._made("multi_buy", *match.span(), value=pay, words=f"free:{take - pay}")

    def _percents(self) -> Iterator[Figure]:
        for match in self._patterns.percent.finditer(self._rest):
            yield self._made("percent", *match.span(), value=self._read(match["n"]))
        for match in self._patterns.share.finditer(self._rest):
            share = Decimal(str(self._own.words.shares[match["n"] or match["n2"]]))
            yield self._made("percent", *match.span(), value=share, words=_SHARE)._replace(roles=("discount",))

    def _prices(self) -> Iterator[Figure]:
        words = self._own.words
        for match in self._patterns.price.finditer(self._rest):
            said = match["n"] or match["n2"] or match["n5"] or match["n3"] or match["n4"]
            amount = Decimal(1) if said in {"a", "an"} else self._read(said)
            if match["c5"]:
                unit, cents = (
                    _named(words.currencies, match["name5"]),
                    Decimal(50) if match["c5"] == "a half" else self._read(match["c5"]),
                )
                amount = amount + cents / _HUNDRED if amount is not None and cents is not None else None
            elif match["cent"]:
                unit = _named(words.cents, match["cent"])
                amount = amount / _HUNDRED if amount is not None else None
            else:
                sign = match["sign"] or match["sign2"]
                unit = currency(sign) if sign else _named(words.currencies, match["name"])
            yield self._made("price", *match.span(), value=amount, unit=unit)

    def _times(self) -> Iterator[Figure]:
        for match in self._patterns.time.finditer(self._rest):
            yield self._made("time", *match.span(), value=dates.minutes(match, self._own.words.times))

    def _dates(self) -> Iterator[Figure]:
        american = self._locale.replace("_", "-").lower().endswith("-us")
        for start, end, more in dates.days(self._rest, self._patterns, american=american):
            yield self._made("date", start, end, **more)

    def _vague(self) -> Iterator[Figure]:
        for match in self._patterns.vague.finditer(self._rest):
            made = self._made("date", *match.span("w"), words=match["w"], unit="vague")
            if made.gain:
                yield made

    def _measures(self) -> Iterator[Figure]:
        for match in self._patterns.measure.finditer(self._rest):
            factor, unit = _named(self._own.words.measures, match["u"]).split()
            amount = Decimal("0.5") if match["half"] else self._read(match["n"])
            scaled = amount * Decimal(factor) if amount is not None else None
            yield self._made("number", *match.span(), value=scaled, unit=unit)

    def _durations(self) -> Iterator[Figure]:
        for match in self._patterns.duration.finditer(self._rest):
            unit = _named(self._own.words.units, match["u"])
            yield self._made("duration", *match.span(), value=self._read(match["n"]), unit=unit)

    def _relatives(self) -> Iterator[Figure]:
        for match in self._patterns.relative.finditer(self._rest):
            yield self._made("date", *match.span(), words=match["w"])

    def _numbers(self) -> Iterator[Figure]:
        weak = self._own.words.weak_numbers
        for match in self._patterns.number.finditer(self._rest):
            said = match["d"] or match["w"]
            made = self._made(
                "number", *match.span(), value=self._read(said) if said else None, glued=match["glued"] or ""
            )
            if said not in weak:
                yield made
            elif {"uses", "quantity"} & set(made.roles):
                yield made._replace(words="weak")

    def _residue(self) -> Iterator[Figure]:
        """What looks like a figure and no pattern reads: nothing states it, unless the record has the very words."""
        if not _TOLD.search(self._rest):
            return
        for match in self._patterns.residue.finditer(self._rest):
            said = match.group(0).strip(".,:'-/ ")
            if said:
                start = match.start() + match.group(0).find(said)
                kind = (
                    "percent"
                    if re.search(r"[%‰]|percent|per cent|pct", said)
                    else "price"
                    if not re.search(r"\d", said)
                    else "number"
                )
                yield self._made(kind, start, start + len(said), words=said)


def _named(table: dict[str, str], said: str) -> str:
    """The entry whose expression a word is."""
    return next(unit for name, unit in table.items() if re.fullmatch(name, said))


def weak(figure: Figure) -> bool:
    """A number word that is mostly none ("one")."""
    return figure.words == "weak"


def is_share(figure: Figure) -> bool:
    """Is the percentage told as a fraction?"""
    return figure.words == _SHARE


def blank(text: str, found: Iterable[Figure]) -> str:
    """The text with some figures blanked."""
    for figure in found:
        text = text[: figure.start] + " " * (figure.end - figure.start) + text[figure.end :]
    return text
