"""Offensive words, also in their disguises: signs for letters, letters left out or repeated, dots between them. Pure."""

import re
from collections import defaultdict
from functools import lru_cache
from importlib.resources import files

from better_profanity.utils import get_complete_path_of_file, read_wordlist

_WORD = re.compile(r"[a-z@$!*#][a-z0-9@$!*#'-]*")
_LEET = str.maketrans("@$0134578!", "asoleastbi")
_LONG = 4
_REPEATED = re.compile(r"(.)\1{2,}")
_DOUBLED = re.compile(r"(.)\1+")


@lru_cache(maxsize=1)
def _ordinary() -> tuple[frozenset[str], re.Pattern[str]]:
    """(words, phrases) that a shop says in earnest."""
    lines = files("services.governance").joinpath("ordinary.txt").read_text(encoding="utf-8").splitlines()
    said = [line for line in lines if line and not line.startswith("#")]
    phrases = "|".join(re.escape(line) for line in said if " " in line)
    return frozenset(line for line in said if " " not in line), re.compile(rf"(?<![a-z])(?:{phrases})(?![a-z])")


@lru_cache(maxsize=1)
def _listed() -> tuple[frozenset[str], dict[tuple[str, int], list[str]]]:
    """better-profanity's words without the ordinary ones; and by first letter and length, for what is masked."""
    listed = {word.lower() for word in read_wordlist(get_complete_path_of_file("profanity_wordlist.txt"))}
    words = frozenset(word for word in listed - _ordinary()[0] if " " not in word)
    table: dict[tuple[str, int], list[str]] = defaultdict(list)
    for word in words:
        table[word[0], len(word)].append(word)
    return words, table


@lru_cache(maxsize=16384)
def offends(word: str) -> bool:
    """Is it on the list, as it is written or as it is read?"""
    words, table = _listed()
    if word in words:
        return True
    if len(word) < _LONG - 1 or (word.isalpha() and not _REPEATED.search(word)):
        return False
    if re.search(r"[a-z][*#]+[a-z]|^[a-z][*#]{2,}$|^[*#]+[a-z]{2,}", word):
        shape = re.compile(
            re.sub(r"[*#]", "[a-z]", word.translate(_LEET.copy() | {ord("!"): "i"}) if not word.isalpha() else word)
        )
        first = [word[0]] if word[0].isalpha() else [chr(n) for n in range(ord("a"), ord("z") + 1)]
        return any(shape.fullmatch(other) for letter in first for other in table.get((letter, len(word)), ()))
    read = word.translate(_LEET).replace("*", "").replace("#", "").replace("-", "")
    forms = {
        read,
        _REPEATED.sub(r"\1", read),
        _REPEATED.sub(r"\1\1", read),
        _DOUBLED.sub(r"\1", read) if _REPEATED.search(read) else read,
    }
    return any(form in words for form in forms if len(form) >= _LONG - (word[0] in "@$"))


def find(text: str, names: set[str]) -> tuple[int, int] | None:
    """The first such word; what the product or the brand is called is no insult, nor is an ordinary phrase."""
    fine = [match.span() for match in _ordinary()[1].finditer(text)]
    for match in _WORD.finditer(text):
        word = match.group(0)
        if word.isalpha():
            if offends(word) and word not in names and not any(s <= match.start() < e for s, e in fine):
                return match.span()
            continue
        word = word.rstrip("!'-#")
        parts = [word, *word.split("-")] if "-" in word else [word.removesuffix("'s")]
        if (
            any(offends(part) for part in parts if part)
            and word not in names
            and not any(s <= match.start() < e for s, e in fine)
        ):
            return match.start(), match.start() + len(word)
    return None
