"""Foreign text on its way into a prompt or a template: short, one line, no markup, no orders. Pure."""

import re
import unicodedata

_MARKUP = re.compile(r"[<>{}\[\]`|\\#*_~^=]+")
_ORDER = re.compile(
    r"\b(ignore|disregard|forget|override|instructions?|prompt|system|assistant|jailbreak|pretend|respond|"
    r"act as|you are|you must|say that|https?|www)\b",
    re.IGNORECASE,
)


def one_line(text: str, limit: int) -> str:
    """Without control characters and markup, cut at a word before `limit` characters."""
    plain = "".join(
        " " if unicodedata.category(c)[0] in "CZ" else c for c in unicodedata.normalize("NFKC", text[:4000])
    )
    plain = " ".join(_MARKUP.sub(" ", plain).split())
    return plain if len(plain) <= limit else plain[:limit].rsplit(" ", 1)[0]


def gives_orders(text: str) -> bool:
    """Does this text speak to a model instead of naming a thing?"""
    return bool(_ORDER.search(text))


def named(text: str | None, limit: int, otherwise: str) -> str:
    """A name fit for a sentence; `otherwise` when the given one is empty or gives orders."""
    plain = one_line(text or "", limit)
    return otherwise if not plain or gives_orders(plain) else plain
