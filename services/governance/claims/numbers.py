"""Numbers and currencies as people write them. Pure."""

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

# Grouped by thousands at most six times: what is longer is no figure of an offer, and the time to read it stays linear.
DIGITS = r"\d{1,15}(?:[.,']\d{3}){0,5}(?:[.,]\d{1,9})?(?:\.-)?|\.\d{1,9}"
SPACED_DIGITS = r"\d{1,3}(?: \d{3}){1,5}(?:[.,]\d{1,9})?|" + DIGITS
SYMBOLS = {"$": "$", "us$": "USD", "u.s.$": "USD", "usd$": "USD", "ca$": "CAD", "cad$": "CAD", "c$": "CAD", "a$": "AUD", "au$": "AUD", "aud$": "AUD", "nz$": "NZD", "hk$": "HKD", "s$": "SGD", "sg$": "SGD",
           "mx$": "MXN", "r$": "BRL", "€": "EUR", "£": "GBP", "¥": "¥", "chf": "CHF", "fr.": "CHF", "sfr.": "CHF", "usd": "USD", "eur": "EUR", "gbp": "GBP", "cad": "CAD", "aud": "AUD", "jpy": "JPY", "nzd": "NZD",
           "sek": "SEK", "nok": "NOK", "dkk": "DKK", "kr": "kr", "pln": "PLN", "zł": "PLN", "zl": "PLN", "inr": "INR", "rs.": "INR", "cny": "CNY", "hkd": "HKD", "sgd": "SGD", "mxn": "MXN", "brl": "BRL",
           "krw": "KRW", "zar": "ZAR", "czk": "CZK", "huf": "HUF", "thb": "THB", "ils": "ILS", "php": "PHP", "₹": "INR", "₩": "KRW", "₽": "RUB", "₺": "TRY", "₪": "ILS", "₫": "VND", "₱": "PHP", "₦": "NGN", "฿": "THB"}  # fmt: skip
# What a sign that several currencies share may stand for.
SHARED = {"$": {"USD", "CAD", "AUD", "NZD", "SGD", "HKD", "MXN"}, "¥": {"JPY", "CNY"}, "kr": {"SEK", "NOK", "DKK"}}
SIGNS = "".join(chr(n) for n in range(0x10000) if unicodedata.category(chr(n)) == "Sc")
_NAMES = "|".join(re.escape(s) for s in sorted((s for s in SYMBOLS if s[-1] not in SIGNS), key=len, reverse=True))
# Also signs that no table knows: they make a price that no record states, never a bare number.
SIGN = rf"(?:[a-z.]{{0,4}}[{re.escape(SIGNS)}]|{_NAMES})"
_DECIMAL_COMMA = {"de", "fr", "es", "it", "nl", "pt", "pl", "da", "sv", "nb", "no", "fi", "cs", "ru", "tr", "id"}
_HUNDRED = 100
_GROUP = 3


def currency(sign: str) -> str:
    """The currency of a sign; a sign that is not known is a currency of its own."""
    bare = sign.strip()
    return SYMBOLS.get(bare) or SYMBOLS.get(bare.replace(".", "")) or bare


def number(digits: str, locale: str) -> Decimal | None:
    """The value of digits with separators; "1.234" is a thousand and something only where commas are decimal."""
    text = digits.strip(" .,'-").replace("'", "").replace(" ", "")
    comma = locale.partition("-")[0].lower() in _DECIMAL_COMMA
    marks = [c for c in text if c in ".,"]
    if len(set(marks)) > 1:
        decimal = marks[-1]
        text = text.replace("," if decimal == "." else ".", "").replace(decimal, ".")
    elif marks:
        tail = text.rpartition(marks[0])[2]
        grouped = len(tail) == _GROUP and (marks[0] == ("." if comma else ",") or len(marks) > 1)
        text = text.replace(marks[0], "" if grouped else ".")
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def in_words(text: str, names: Mapping[str, int]) -> Decimal:
    """A number in words ("a hundred and twenty", "eleven hundred")."""
    total = part = 0
    for word in re.split(r"[ -]+", text):
        n = names.get(word)
        if n is None:
            continue
        if n >= _HUNDRED:
            part = max(part, 1) * n
            if n > _HUNDRED:
                total, part = total + part, 0
        else:
            part = part * n if word == "dozen" and part else part + n
    return Decimal(total + part)


def value(text: str, names: Mapping[str, int], locale: str) -> Decimal | None:
    """A number in digits or in words."""
    return number(text, locale) if any(c.isdigit() for c in text) else in_words(text, names)
