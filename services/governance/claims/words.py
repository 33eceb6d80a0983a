"""Claims made by words alone: urgency, scarcity, free, superlatives, conditions, health, links and the like. Pure."""

import datetime as dt
import re
from collections.abc import Iterator

from services.governance.claims import calendar, quoting, scope
from services.governance.claims.language import Found, Language, stem
from services.governance.claims.record import Record
from services.governance.claims.verdict import UNSUPPORTED, Verdict
from shared.contracts.catalog import Offer

# What nothing in a record can make right but its own name or its own small print, quoted whole.
_NEVER = {"sensitive", "instruction", "banned_word"}
# What counts also where a figure is part of it.
_ANYWHERE = frozenset({*_NEVER, "urgency", "last_day", "scarcity"})
_SOON = dt.timedelta(hours=48)
# Kind of claim -> kinds of discount that bear it out.
_GAINS = {
    "gain": {"percent", "amount", "fixed_price", "multi_buy", "free_item", "free_shipping"},
    "free_shipping": {"free_shipping"},
}
# Words that lead up to a condition whose figures are judged by themselves -> the field that must be there.
_INTRODUCES = (
    ("when you spend", "minimum_spend"), ("when you order", "minimum_spend"), ("minimum spend", "minimum_spend"), ("minimum order", "minimum_spend"),
    ("minimum purchase", "minimum_spend"), ("when you buy", "minimum_quantity"), ("when you order", "minimum_quantity"),
    ("minimum order", "minimum_quantity"),
)  # fmt: skip
_RESTRICTED = ("minimum_spend", "minimum_quantity")
_DOMAINS = "com|net|org|info|biz|io|co|ai|app|dev|shop|store|online|site|xyz|top|club|link|click|me|tv|ly|gl|gg|to|cc|ws|us|uk|de|at|ch|fr|es|it|nl|be|pl|se|no|dk|fi|cz|pt|ie|eu|ru|cn|jp|kr|in|br|au|ca|nz|mx|example|test|zip|mov|live|news|pro|page|web|blog|email"
_LINK = re.compile(
    rf"(?<![\w@])(?:https?:?/?/?\S*|ftp://\S*|www\.\S*|(?:[a-z0-9-]{{1,63}}\.){{1,5}}(?:{_DOMAINS})(?:/\S*)?(?![\w-])|[a-z0-9-]{{2,63}}\.[a-z]{{2,12}}/\S*|"
    rf"[a-z0-9-]{{2,63}} ?[(\[]?dot[)\]]? ?(?:{_DOMAINS})(?!\w)|(?:javascript|data|mailto|tel):\S*)"
)
_WORD = re.compile(r"[a-z0-9]+")


def find(text: str, rest: str, own: Language, known: Record, *, plain: bool = True) -> Iterator[Found]:
    """Every claim by words. `text` is folded, `rest` that with its figures blanked; `plain`: no disguise was taken off."""
    if known.covered:
        yield from _listed(text, rest, own, known)
    for word in known.banned:
        if word:
            for match in re.finditer(rf"(?<![^\W_]){re.escape(word)}(?:ly|ness|er|est|s)?(?![^\W_])", text):
                yield Found("banned_word", *match.span())
    if plain and ("." in text or ":" in text or "dot" in text):
        for match in _LINK.finditer(text):
            yield Found("instruction", match.start(), match.start() + len(match.group(0).rstrip(".,;:!?)")))


def _listed(text: str, rest: str, own: Language, known: Record) -> Iterator[Found]:
    # What is part of a figure ("half price") was judged as one; orders and sensitive words count wherever they stand.
    yield from own.lexicon.find(text, rest, _ANYWHERE)
    shipping = [match.span() for match in own.shipping.finditer(rest)]
    for start, end in shipping:
        yield Found("free_shipping", start, end)
    for match in own.free.finditer(rest):
        if not any(start <= match.start() < end for start, end in shipping):
            yield Found("free", *match.span())
    gains = [match.span() for match in own.gain.finditer(rest)]
    for start, end in gains:
        yield Found("gain", start, end)
    benefit = bool(gains or shipping or rest != text)
    yield from scope.find(rest, own, known, benefit=benefit)


def verdict(said: Found, text: str, own: Language, known: Record, now: dt.datetime | None) -> Verdict:
    """What the record says to it."""
    words = " ".join(text[said.start : said.end].split())
    if said.kind in _NEVER:
        return Verdict("unsupported", None, None, "may not be said")
    if said.kind == "attribute":
        parts = {words, *words.split("-")}
        right = words in known.words or (parts - {words} and parts - {words} <= known.words)
        return Verdict("supported", "offer") if right else UNSUPPORTED
    if said.kind == "product":
        return Verdict("unsupported", None, None, "the offer is not about that")
    by_offer = _by_offer(said, words, text, own, known, now)
    if by_offer is not None:
        return by_offer
    if said.kind == "free":
        words = scope.following(words, text, said.end)
    return _by_texts(said, words, text, own, known)


def _by_texts(said: Found, words: str, text: str, own: Language, known: Record) -> Verdict:
    """By the same words in a text that states, in the same sense; or by the end of the product's own name."""
    stated = known.says(words, turned=quoting.negated(text, said.start, said.end, own))
    if stated:
        field, agrees = stated
        return (
            Verdict("supported", field)
            if agrees
            else Verdict("contradicted", field, known.texts[field], f"{field} says otherwise")
        )
    turned = quoting.negated(text, said.start, said.end, own) or own.negator.search(words) is not None
    telling = {stem(word) for word in _WORD.findall(words)} - own.filler
    if said.kind == "condition" and telling:
        for demand in known.demands:
            same = {word for word in telling if own.same.get(word, frozenset()) & demand.words}
            if telling - same <= demand.words and demand.turned == turned:
                return Verdict("supported", demand.field)
    for field in ("offer.productName", "offer.category"):
        if _ends_name(said, text, known.names.get(field, "")):
            return Verdict("supported", field)
    return UNSUPPORTED


def _ends_name(said: Found, text: str, name: str) -> bool:
    """Do the words stand in the last words of the name ("low-fat yogurt" of "Alpina low-fat yogurt")?"""
    parts = re.split(r"[ -]", name)
    for n in range(len(parts) - 1):
        tail = r"[ -]".join(re.escape(part) for part in parts[n:] if part)
        for match in re.finditer(rf"(?<![^\W_]){tail}(?![^\W_])", text):
            if match.start() <= said.start and said.end <= match.end() and (said.start, said.end) != match.span():
                return True
    return False


def _by_offer(
    said: Found, words: str, text: str, own: Language, known: Record, now: dt.datetime | None
) -> Verdict | None:
    """Claims that the offer's fields decide; None leaves it to the record's texts."""
    offer = known.offer
    if offer.discount.kind in _GAINS.get(said.kind, ()):
        return Verdict("supported", "offer.discount.kind")
    if said.kind == "free":
        return scope.free(said, text, own, known)
    if said.kind == "urgency" and now is not None and dt.timedelta(0) < known.ends - now <= _SOON:
        return Verdict("supported", "offer.endDate")
    if said.kind == "last_day" and now is not None:
        if calendar.ends_today(known, now) and (
            (not words.startswith("one day") and words != "for one day") or known.first_day == known.last_day
        ):
            return Verdict("supported", "offer.endDate")
        return Verdict(
            "contradicted", "offer.endDate", known.last_day.isoformat(), f"the record has {known.last_day.isoformat()}"
        )
    return _condition(words, offer) if said.kind == "condition" else None


def _condition(words: str, offer: Offer) -> Verdict | None:
    limits = [n for n, c in enumerate(offer.conditions) if any(getattr(c, name) for name in _RESTRICTED)]
    if words.startswith("no ") and limits:
        condition = offer.conditions[limits[0]]
        return Verdict(
            "contradicted", f"offer.conditions[{limits[0]}]", condition.text, "the record has such a condition"
        )
    for lead, field in _INTRODUCES:
        for n, condition in enumerate(offer.conditions):
            if words.startswith(lead) and getattr(condition, field):
                return Verdict("supported", f"offer.conditions[{n}]")
    if words.startswith("off e") and offer.discount.kind == "percent":
        return Verdict("supported", "offer.discount.kind")
    if words.startswith("when you buy") and offer.discount.buy_quantity:
        return Verdict("supported", "offer.discount.buyQuantity")
    return None
