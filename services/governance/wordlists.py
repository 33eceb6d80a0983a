"""Is a word an ordinary one, a first name, a brand? Read once. Pure."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import import_module
from importlib.resources import files

from spellchecker import SpellChecker

from shared.folding import fold

# Where first names come from: Faker's lists of names of these places.
_ENGLISH = ("en_US", "en_GB")
_OTHERS = ("de_DE", "es_ES", "fr_FR", "it_IT", "pl_PL", "pt_BR", "nl_NL", "tr_TR", "en_IN")
# What English uses more often than this is a word there, whoever bears it as a name.
_COMMON, _COMMON_ABROAD = 20_000, 500
_SHORTEST = 3
# The list knows American spellings; British ones count where their American form is known.
_AMERICAN = (("our", "or"), ("ise", "ize"), ("isi", "izi"), ("tre", "ter"), ("ogue", "og"), ("yoghurt", "yogurt"))
_ENDINGS = (
    ("ier", "y"),
    ("iest", "y"),
    ("er", ""),
    ("est", ""),
    ("ed", ""),
    ("ed", "e"),
    ("s", ""),
    ("ing", ""),
    ("ing", "e"),
    ("ly", ""),
)


@lru_cache(maxsize=1)
def _listed() -> Mapping[str, int]:
    return dict(SpellChecker(language="en", distance=1).word_frequency.dictionary)


@lru_cache(maxsize=16384)
def ordinary(word: str) -> bool:
    """Is it on the list of English words (pyspellchecker's), itself or as a British spelling or a form of one that is?

    The list holds names too; `first_name` and `brand` say which.
    """
    bare = word.replace("'", "")
    listed = _listed()
    if word in listed or bare in listed or any(bare.replace(*pair) in listed for pair in _AMERICAN):
        return True
    parts = word.split("-")
    if len(parts) > 1:
        return all(len(part) < _SHORTEST or ordinary(part) for part in parts)
    return any(
        bare.endswith(end) and len(bare) > len(end) + _SHORTEST and bare.removesuffix(end) + back in listed
        for end, back in _ENDINGS
    )


@lru_cache(maxsize=1)
def _first_names() -> frozenset[str]:
    return frozenset(_of(_ENGLISH, _COMMON) | _of(_OTHERS, _COMMON_ABROAD))


def _of(places: Iterable[str], common: int) -> set[str]:
    found: set[str] = set()
    for place in places:
        listed = import_module(f"faker.providers.person.{place}").Provider
        for kind in ("first_names", "first_names_male", "first_names_female", "first_names_nonbinary"):
            found |= {fold(str(name)).text for name in getattr(listed, kind, ())}
    return {name for name in found if name.isalpha() and len(name) >= _SHORTEST and _listed().get(name, 0) < common}


def first_name(word: str) -> bool:
    """Do people bear it?"""
    return word in _first_names()


@lru_cache(maxsize=1)
def _brands() -> frozenset[str]:
    lines = files("services.governance").joinpath("brands.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line.strip() for line in lines if line and not line.startswith("#"))


def warm() -> None:
    """Read the lists, so that the first check does not wait for them."""
    _brands(), _first_names()


def brand(word: str) -> bool:
    """Is it a name that goods and shops are known by, and no word besides?"""
    return word in _brands()
