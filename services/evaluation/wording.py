"""Words of copy and of records, compared the same way everywhere. Pure."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+(?:[.,][0-9]+)*")
_SHORT = 3


def plain(text: str) -> str:
    """Lower case, compatibility forms and white space made the same."""
    folded = unicodedata.normalize("NFKC", text).replace("\u2019", "'")
    return " ".join(folded.lower().split())


def words(text: str) -> list[str]:
    """The words and numbers of a text, in order."""
    return _WORD.findall(plain(text))


def stems(text: str) -> set[str]:
    """Words of three letters and more without a plural s, and numbers as `number` writes them."""
    return {number(w) if w[0].isdigit() else w.rstrip("s") for w in words(text) if len(w) >= _SHORT or w[0].isdigit()}


def number(said: str) -> str:
    """One spelling of a decimal number: 34.20 and 34.2 are the same."""
    return said.rstrip("0").rstrip(".") if "." in said else said


def has_all(needed: str, said: set[str]) -> bool:
    """Are all words of `needed` among these stems? False when it has none."""
    wanted = stems(needed)
    return bool(wanted) and wanted <= said


def has_half(needed: str, said: set[str]) -> bool:
    """Are at least half of the words of `needed` among these stems?"""
    wanted = stems(needed)
    return bool(wanted) and 2 * len(wanted & said) >= len(wanted)
