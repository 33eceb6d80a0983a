"""What a benefit is said to be on, and what is said to be free: it must be what the offer is about. Pure."""

import re
from collections.abc import Iterator
from functools import lru_cache

from services.governance.claims.language import Found, Language, stem
from services.governance.claims.record import Record
from services.governance.claims.verdict import UNSUPPORTED, Verdict

_TOKEN = re.compile(r"[^\W\d_][^\W_]*(?:['-][^\W_]+)*")
_ORDINALS = {"second": 2, "third": 3, "fourth": 4, "fifth": 5}
_LINKS = {"is", "are", "comes", "come", "totally", "completely", "absolutely", "for"}
_MANY = 6  # words of one object at most
_PRAISING = re.compile(r"(?:ful|ous|able|ible|ish|ing|ly)$")
# "... and mugs": a second thing, told by its plural at the end of a clause.
_MORE = re.compile(
    r"\s*(?:and|or|plus|&)\s+(?:our |the |all |any )?(?:[a-z-]+ )?(?P<thing>[a-z-]{2,}[^s\W]s)(?=\s*(?:[.,;:!?]|$))"
)
_BEFORE = re.compile(r"(?<![^\W_])([a-z]+)[ -]$")
_SORT = 20  # characters of a word that tells a sort
_NEXT = re.compile(r"\s*([a-z]+)")


@lru_cache(maxsize=8)
def _patterns(own: Language) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    scope = own.words.scope
    return (re.compile(rf"(?<![a-z0-9]){scope['before']}(?![a-z0-9])"), re.compile(rf"(?<![a-z0-9]){scope['every']}(?![a-z0-9])"),
            re.compile(str(scope["stop"])))  # fmt: skip


@lru_cache(maxsize=8)
def _allowed(own: Language) -> tuple[frozenset[str], frozenset[str]]:
    """(words that only lead up to the thing, words that any thing may be called or praised by)."""
    scope = own.words.scope
    lead = frozenset(scope["lead"])
    return lead, frozenset(
        {stem(word) for name in ("lead", "things", "kind_words") for word in scope[name]}
        | lead
        | set(own.words.numbers)
    )


def find(rest: str, own: Language, known: Record, *, benefit: bool) -> Iterator[Found]:
    """Objects of a benefit that the record does not know; `benefit`: the text states one."""
    before, every, stop = _patterns(own)
    for match in before.finditer(rest):
        yield from _unknown(rest, match.end(), stop, own, known)
    yield from _swapped(rest, own, known)
    if benefit:
        for match in every.finditer(rest):
            yield from _unknown(rest, match.end(), stop, own, known, whole=match.start())


def _swapped(rest: str, own: Language, known: Record) -> Iterator[Found]:
    """Another sort of the same thing: "black tea" where green tea is offered."""
    sorts = own.words.scope["swaps"]
    for thing in known.product.difference(sorts):
        at = rest.find(thing)
        while at >= 0:
            before = _BEFORE.search(rest[max(0, at - _SORT) : at])
            if before and before.group(1) in sorts and before.group(1) not in known.words:
                yield Found("product", at - len(before.group(0)), at + len(thing))
            at = rest.find(thing, at + 1)


def _unknown(
    rest: str, start: int, stop: re.Pattern[str], own: Language, known: Record, whole: int | None = None
) -> Iterator[Found]:
    """The first word of an object that is neither the record's nor one that any thing may be called."""
    lead, allowed = _allowed(own)
    first = _TOKEN.search(rest, start)
    while first and first.group(0) in lead and not rest[start : first.start()].strip():
        start, first = first.end(), _TOKEN.search(rest, first.end())
    ends = stop.search(rest, start)
    object_end = ends.start() if ends else len(rest)
    tokens = list(_TOKEN.finditer(rest, start, object_end))[:_MANY]
    for n, token in enumerate(tokens):
        word = token.group(0)
        right = stem(word) in allowed or stem(word) in known.product or word in known.words or stem(word) in known.words
        praising = n < len(tokens) - 1 and _PRAISING.search(word)
        if not right and not praising and not all(part in known.words for part in word.split("-")):
            yield Found("product", token.start() if whole is None else whole, token.end())
            return
    if tokens and whole is None:
        more = _MORE.match(rest, object_end)
        if more and stem(more["thing"]) not in allowed | known.product and more["thing"] not in known.words:
            yield Found("product", more.start("thing"), more.end("thing"))


def free(said: Found, text: str, own: Language, known: Record) -> Verdict | None:
    """Of an offer with a free item: is what is called free the product? None leaves it to the record's texts."""
    if known.offer.discount.kind != "free_item":
        return None
    _, _, stop = _patterns(own)
    lead, allowed = _allowed(own)
    ends = stop.search(text, said.end)
    behind = [stem(t.group(0)) for t in _TOKEN.finditer(text, said.end, ends.start() if ends else len(text))][:_MANY]
    before = own.item.search(text[: said.start])
    words = [word for word in behind if word not in lead]
    if not words:
        # "Get one free": what stands between "get" and "free" is the thing.
        if before is None:
            return None
        said_before = _TOKEN.findall(before.group(0))
        turn = _ORDINALS.get(said_before[0])
        buys = known.offer.discount.buy_quantity
        if turn and buys and turn != buys + 1:
            expected = f"buy {buys}, get {known.offer.discount.get_quantity or 1} free"
            return Verdict("contradicted", "offer.discount", expected, f"the record has {expected}")
        words = [stem(word) for word in said_before[1:] if word not in lead and word not in _LINKS]
        if not words:
            return Verdict("supported", "offer.discount.kind")
    known_words = known.product | {stem(word) for word in known.words & set(words)}
    if all(word in allowed or word in known_words or word in known.words for word in words) and (
        words[-1] in known.product or words[-1] in allowed
    ):
        return Verdict("supported", "offer.discount.kind")
    return UNSUPPORTED


def turn(text: str) -> int | None:
    """Of "every third one is free": which is free."""
    return next((number for word, number in _ORDINALS.items() if re.search(rf"\b{word}\b", text)), None)


def following(words: str, text: str, end: int) -> str:
    """The words with the one behind them: what is free must be what the record calls free."""
    behind = _NEXT.match(text, end)
    return f"{words} {behind.group(1)}" if behind else words
