"""Names in copy: of people who are greeted, of goods and shops, also at the beginning of a sentence and in small letters. Pure."""

import re
import unicodedata
from collections.abc import Iterator

from services.governance.claims.language import Found, Language
from services.governance.claims.record import Record
from services.governance.claims.verdict import UNSUPPORTED, Verdict
from services.governance.wordlists import brand, first_name, ordinary
from shared.folding import Folded

_TOKEN = re.compile(r"[^\W\d_](?:[^\W_]|['&-](?=[^\W\d_]))*")
_NAME = re.compile(r"[^\W\d_][\w'-]*(?: [^\W\d_a-z][\w'-]*){0,2}")
_OPENS = set(".!?:;\n-\u2026\u2022|/>(\"'[{*#~+=\u00bf\u00a1")
_TITLE = 0.6
_LONG, _FEW = 4, 3


def find(said: Folded, rest: str, own: Language, known: Record) -> Iterator[Found]:
    """Every name; `rest`: the folded text with its figures blanked."""
    greeted = {}
    for greeting in own.greeting.finditer(said.text):
        name = _greeted(said, greeting.end(), own, known)
        if name:
            greeted[name.start] = name
            yield name
    title = _titled(said.cased)
    past = 0
    for match in _TOKEN.finditer(said.cased):
        start, end = match.span()
        if (
            start < past
            or (match.group(0).islower() and not brand(match.group(0).removesuffix("'s")))
            or rest[start:end].isspace()
        ):
            continue
        if start in greeted:
            past = greeted[start].end
            continue
        kind = _kind(match.group(0), said, start, own, known, title=title)
        if kind:
            yield Found(kind, start, end)


def _greeted(said: Folded, start: int, own: Language, known: Record) -> Found | None:
    """Who is greeted: a capitalised word, or a first name in small letters."""
    match = _NAME.match(said.cased, start)
    if match is None:
        return None
    first = match.group(0).split()[0]
    lower = first.lower()
    if lower in own.greeted or not (first[0].isupper() or (first_name(lower) and lower not in own.also_words)):
        return None
    if lower in known.words and not first_name(lower) and lower != known.first_name:
        return None
    whole = match.group(0) if first[0].isupper() else first
    if said.text.startswith(known.first_name, start) and len(known.first_name) > len(whole):
        whole = said.cased[start : start + len(known.first_name)]
    return Found("name", start, start + len(whole))


def _kind(token: str, said: Folded, start: int, own: Language, known: Record, *, title: bool) -> str | None:
    """What sort of name a word is, if it is one."""
    lower = token.lower()
    bare = lower.removesuffix("'s")
    if brand(bare) or brand(lower):
        return "product"
    if not any(c.isupper() for c in token) or lower in own.capitals or lower.partition("'")[0] in own.capitals:
        return None
    person = first_name(bare) and bare not in own.also_words
    opens = _opens(said.cased, start)
    if not opens and not title and len(token) > 1 and not _shouted(token):
        return "name" if person else "product"
    if person:
        return "name"
    inner = any(c.isupper() for c in token[1:]) and not _shouted(token)
    return "product" if len(bare) > 1 and (inner or not ordinary(bare)) and bare not in known.words else None


def _shouted(token: str) -> bool:
    return len(token) > 1 and token.upper() == token


def _opens(text: str, start: int) -> bool:
    """Does a sentence, a line, a bracket or a quotation begin here? A sign or an emoji before it counts as such."""
    before = text[:start].rstrip(" \t\r\"'([{*_\u201c")
    if not before or text[start - 1] in "\"'([{\n":
        return True
    last = before[-1]
    return last in _OPENS or unicodedata.category(last) in {"So", "Sk", "Cs", "Sm"}


def _titled(text: str) -> bool:
    """Is it set in title case, so that a capital says nothing?"""
    words = _TOKEN.findall(text)
    long = [word for word in words if len(word) >= _LONG]
    if len(long) >= _FEW:
        return sum(bool(word[0].isupper()) for word in long) >= _TITLE * len(long)
    return len(words) >= _FEW and all(word[0].isupper() for word in words)


def verdict(said: Found, words: str, known: Record) -> Verdict:
    """Is it the reader's own first name, or a word of the record?"""
    bare = words.removesuffix("'s").strip("'-.")
    if said.kind == "name" and known.first_name:
        if bare in {known.first_name, known.first_name.split()[0]}:
            return Verdict("supported", "profile.firstName")
        if first_name(bare.split()[0]) and not set(bare.split()) <= known.words:
            return UNSUPPORTED
    if said.kind == "name" and not known.first_name and first_name(bare.split()[0]) and bare not in known.words:
        return UNSUPPORTED
    if said.kind == "name" and not first_name(bare.split()[0]):
        return UNSUPPORTED
    parts = {bare, *re.split(r"[-&']", bare)} - {""}
    if parts <= known.words or bare in known.words:
        return Verdict("supported", "offer")
    stated = known.says(bare, turned=False) if bare in known.own.alike else None
    return Verdict("supported", stated[0]) if stated and stated[1] else UNSUPPORTED
