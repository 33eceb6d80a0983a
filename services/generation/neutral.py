"""Foreign text on its way into a prompt or a template: short, one line, no markup, no orders. Pure."""

import re
import unicodedata

from services.generation.screening import gives_orders

# Abbreviations (St. Ives, Mrs. Meyer, Bros.) have shorter last words than sentences do.
_SENTENCE_END = re.compile(r"(?<=[a-z]{4})[.!?]\s+(?=\S)")
_SENTENCE_WORDS = 4
_MARKUP = re.compile(r"[<>{}\[\]`|\\#*_~^=]+")


def one_line(text: str, limit: int) -> str:
    """Without control characters and markup, cut at a word before `limit` characters."""
    plain = "".join(
        " " if unicodedata.category(c)[0] in "CZ" else c for c in unicodedata.normalize("NFKC", text[:4000])
    )
    plain = " ".join(_MARKUP.sub(" ", plain).split())
    return plain if len(plain) <= limit else plain[:limit].rsplit(" ", 1)[0]


def passage(given: str | None, limit: int) -> str:
    """A text fit for a prompt; "" when it gives orders."""
    return "" if gives_orders(given or "") else one_line(given or "", limit)


def named(given: str | None, limit: int, otherwise: str) -> str:
    """A name fit for a sentence; `otherwise` when the given one is empty, gives orders, or is a sentence itself.

    A name that goes on after a sentence ends with it ("Milk. Now with more calcium").
    """
    plain = passage(given, limit)
    end = _SENTENCE_END.search(plain)
    name = plain[: end.start()] if end else plain
    if name.endswith(".") and len(name.split()) >= _SENTENCE_WORDS:
        return otherwise
    return name.rstrip(".") or otherwise
