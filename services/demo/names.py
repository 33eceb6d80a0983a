"""The source's terse names ("SFT DRNK 2 LITER BTL CARB INCL") in words a customer reads. Pure, from two data files."""

import csv
import re
from functools import cache
from importlib.resources import files

import msgspec

from shared.contracts.catalog import Brand

_SOURCE_WIDTH = 30  # product types are cut off at this length, often within a word
_WORD = re.compile(r"[A-Z0-9][A-Z0-9.'\-]*")
_VOWEL = re.compile(r"[AEIOUY]")
_SIZE = re.compile(r"^(\d+(?:\.\d+)?|\d/\d) (OZ|LB|CT|ML|QT|GAL|PT|PK|FL OZ|DZ)$")
_FEWEST_WORD_LETTERS = 3
_MAX_WORDS = 6


class Category(msgspec.Struct, frozen=True):
    """One product category.

    Attributes:
        raw: its name in the source.
        name: a plain lower-case noun.
        emoji: the picture that shows it, "" for none on purpose.
        safety: its brand-safety tag, "" for none; the words of sensitive tables in other rooms recognise `name` too.
    """

    raw: str
    name: str
    emoji: str = ""
    safety: str = ""


class Statements(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`shop.yaml`: what the demo states on its own account."""

    currency: str
    locale: str
    time_zone: str
    brand: Brand
    conditions: dict[str, str]
    legal_text: str
    departments: dict[str, str]
    words: dict[str, str]
    picture_groups: list[str]
    leave_out: list[str]
    leave_out_words: list[str]
    picture_safety: dict[str, list[str]]


def data_file(name: str) -> bytes:
    """The bytes of one of this folder's data files."""
    return files("services.demo").joinpath(name).read_bytes()


@cache
def statements() -> Statements:
    """`shop.yaml`, read once."""
    return msgspec.yaml.decode(data_file("shop.yaml"), type=Statements)


@cache
def categories() -> dict[str, Category]:
    """`categories.csv` by source name, read once."""
    rows = csv.DictReader(data_file("categories.csv").decode().splitlines())
    return {row["raw"]: Category(**row) for row in rows}


def category(raw: str) -> Category:
    """The category of a source name; one that is not in the table gets its own name in lower case."""
    found = categories().get(raw)
    return found or Category(
        raw=raw, name=" ".join(re.sub(r"[^A-Z0-9&']+", " ", raw.upper()).lower().split()) or "other"
    )


def department(raw: str) -> str:
    """A department's name in words."""
    return statements().departments.get(raw, raw.lower())


def product(product_type: str | None, category_name: str | None, size: str | None) -> str | None:
    """A readable product name: the type written out, or the category where the type is not to be read; with its size.

    Returns:
        "french fries, 32 oz", "beef: lean, 5 lb"; None where the source has neither type nor category.
    """
    words = _written_out(product_type) if product_type else None
    name = words or category_name
    if (
        words
        and category_name
        and not {_stem(word) for word in words.split()} & {_stem(word) for word in category_name.split()}
    ):
        name = f"{category_name}: {words}"  # "lean" and "pints" alone say nothing
    if name is None:
        return None
    fits = _SIZE.match(size or "")
    return f"{name}, {fits.group(1)} {fits.group(2).lower()}" if fits else name


def _stem(word: str) -> str:
    return word.removesuffix("s")


def _written_out(product_type: str) -> str | None:
    """A type's words, or None when one of them is an abbreviation nobody has written out."""
    text = product_type.upper().partition("(")[0].replace("*", " ")
    tokens = _WORD.findall(text)
    if len(product_type) >= _SOURCE_WIDTH and "(" not in product_type:
        tokens = tokens[:-1]
    known = statements().words
    out: list[str] = []
    for token in tokens:
        word = known.get(token, token)
        plain = token in known or token.isdigit() or (len(token) >= _FEWEST_WORD_LETTERS and _VOWEL.search(token))
        if not plain and token not in {"OF", "IN", "&"}:
            return None
        if word and word.lower() not in out:
            out.append(word.lower().strip("-.'"))
    return " ".join(out[:_MAX_WORDS]) or None
