"""Foreign text into something that may stand in a sentence: no control characters, no markup, no length. Pure."""

import re
import unicodedata

_MAX_WORDS_LENGTH = 60
_MAX_NAME_LENGTH = 40
_MARKUP = re.compile(r"[<>{}\[\]`|\\#*_~^=$]+")
_NAME = re.compile(r"^[^\W\d_]+(?:[ '\u2019\-][^\W\d_]+)*\.?$")
# Words that speak to a model or a reader rather than name a thing; a value with one of them is not put into text.
_INSTRUCTION = re.compile(
    r"\b(ignore|disregard|forget|override|system|assistant|prompt|instruction|instructions|jailbreak|pretend|"
    r"respond|reply|output|write|say|tell|act as|you are|you must|https?|www)\b",
    re.IGNORECASE,
)


def words(value: str) -> str | None:
    """A short, plain rendering of a value for a sentence; None when nothing safe is left of it."""
    text = "".join(
        " " if unicodedata.category(c)[0] in "CZ" else c for c in unicodedata.normalize("NFKC", value[:2000])
    )
    text = " ".join(_MARKUP.sub(" ", text).split())
    if not text or len(text) > _MAX_WORDS_LENGTH or _INSTRUCTION.search(text):
        return None
    return text


def first_name(value: object) -> str | None:
    """A plausible first name: letters with single spaces, hyphens or apostrophes, at most 40 characters."""
    if not isinstance(value, str):
        return None
    text = unicodedata.normalize("NFC", value.strip())
    plausible = len(text) <= _MAX_NAME_LENGTH and _NAME.match(text) and not _INSTRUCTION.search(text)
    return text if plausible else None
