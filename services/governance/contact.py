"""Addresses, numbers and accounts of somebody in a text. Pure."""

import re

from shared.folding import Folded

_AT, _DOT = r"(?:@| ?[(\[{]at[)\]}] ?| at )", r"(?:\.| ?[(\[{]dot[)\]}] ?| dot )"
_MAIL = re.compile(
    rf"(?<![\w.+-])[\w.+-]{{1,64}}(?:@| ?[(\[{{]at[)\]}}] ?)[\w-]{{1,63}}(?:{_DOT}[\w-]{{1,63}}){{1,3}}|(?<![\w.+-])[\w.+-]{{1,64}} at [\w-]{{1,63}}(?: ?[(\[{{]dot[)\]}}] ?| dot )[a-z]{{2,12}}"
)
_HANDLE = re.compile(r"(?<![\w.])@[a-z_][\w.]{2,30}")
_PHONE = re.compile(r"(?<![\w.,$€£¥%/#-])(?:\+|\()?\d(?:[ ().\-/]{0,3}\d){6,14}(?![\w%]|[.,]\d)")
_LOCAL = re.compile(r"(?<![\w.,$€£¥-])\d{3}[-. ]\d{4}(?![\w%-])")
# What looks like a number to call and is a day or an amount.
_DATE = re.compile(
    r"\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.]\d{2,4}|(?<!\d)\d{1,3}(?:,\d{3})+(?:\.\d\d)?(?!\d)|(?<!\d)\d{4} ?- ?\d{4}(?!\d)"
)
_CARD = re.compile(r"(?<!\d)(?:\d[ -]?){13,19}(?!\d)")
_IBAN = re.compile(r"(?<![a-z0-9])[a-z]{2}\d{2}(?: ?[a-z0-9]{4}){3,7}(?![a-z0-9])")
_SOCIAL = re.compile(r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)")
_KINDS = "street|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd|court|ct|square|sq|terrace|way|close|crescent|parkway|place|pl"
# A street is told by its capitals; in small letters only by kinds that mean nothing else, after no unit.
_STREET = re.compile(rf"(?<![\w.,$€£-])\d{{1,5}}[a-z]? (?:[A-Z][\w'.-]{{1,20}} ){{1,3}}(?i:{_KINDS})\b\.?")
_SMALL_STREET = re.compile(
    r"(?<![\w.,$€£-])\d{1,5}[a-z]? (?!minute|min |hour|mile|km|metre|meter|step|second|day|week|people|bags?|packs?|bottles?)[a-z'.-]{2,20} (?:[a-z'.-]{2,20} )?(?:street|avenue|boulevard|blvd|st\.|ave\.|rd\.)(?! food)"
)
_ABROAD = re.compile(
    r"(?<![^\W_])[^\W\d_]{2,30}(?:stra(?:ß|ss)e|str\.|gasse|allee|platz|weg) \d{1,4}[a-z]?(?![^\W_])|(?<![\w.,])\d{1,4},? (?:rue|avenue|boulevard|place|via|calle|plaza) (?:de |du |des |la |le )?[^\W\d_]{3,}"
)
_POSTCODE = re.compile(r"(?<![A-Za-z0-9])(?:[A-Z]{2} \d{5}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2})(?![A-Za-z0-9])")
_HINT = re.compile(r"[\d@(\[{]| at ")
_FEW, _MANY = 7, 15


def find(said: Folded) -> list[tuple[int, int]]:
    """Where they stand in the folded text."""
    if not _HINT.search(said.text):
        return []
    patterns = (_MAIL, _HANDLE, _CARD, _IBAN, _SOCIAL, _SMALL_STREET, _ABROAD)
    found = [match.span() for pattern in patterns for match in pattern.finditer(said.text)]
    found += [match.span() for pattern in (_STREET, _POSTCODE) for match in pattern.finditer(said.cased)]
    undated = _DATE.sub(lambda match: "," * len(match.group(0)), said.text)
    numbers = [match.span() for pattern in (_PHONE, _LOCAL) for match in pattern.finditer(undated)]
    found += [(start, end) for start, end in numbers if _FEW <= sum(c.isdigit() for c in undated[start:end]) <= _MANY]
    return sorted(found)
