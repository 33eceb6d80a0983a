"""Words that are none: small models invent some. English only; other languages are not judged."""

import re
from collections.abc import Iterable
from functools import cache

from spellchecker import SpellChecker

_WORD = re.compile(r"[A-Za-z']+")
_SHORT = 2
# The list knows American spellings; British ones count where their American form is known.
_AMERICAN = (("our", "or"), ("ise", "ize"), ("isi", "izi"), ("tre", "ter"))


@cache
def _english() -> SpellChecker:
    return SpellChecker(language="en", distance=1)


class Speller:
    """A word list of English (pyspellchecker's, from word frequencies), loaded once a process."""

    def __init__(self) -> None:
        self._known = _english()

    def unknown(self, text: str, allowed: Iterable[str], locale: str) -> list[str]:
        """Words of `text` that are neither in the list nor in one of the `allowed` texts, sorted.

        Args:
            text: what a model wrote.
            allowed: names that count as words: of the product, the brand.
            locale: BCP 47; empty list for anything but English.
        """
        if not locale.lower().startswith("en"):
            return []
        names = {word.lower() for name in allowed for word in _WORD.findall(name)}
        words = {word.lower().strip("'") for word in _WORD.findall(text)} - names
        odd = self._known.unknown(word for word in words if len(word) > _SHORT)
        return sorted(word for word in odd if not self._known.known(word.replace(*pair) for pair in _AMERICAN))
