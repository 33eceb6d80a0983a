"""Which categories and attributes are sensitive: the table is data, the matching is here; pure but for one read."""

import re
from functools import cache
from importlib.resources import files

import msgspec


class SensitiveGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One group of sensitive product categories."""

    tag: str
    words: list[str]
    unless_bought: bool = False
    unsent: bool = False


class _Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    words: list[str]


class SensitiveTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole table."""

    categories: list[SensitiveGroup]
    attributes: _Words


@cache
def table() -> SensitiveTable:
    """The table, read once."""
    return msgspec.yaml.decode(files("services.profiles").joinpath("sensitive.yaml").read_bytes(), type=SensitiveTable)


@cache
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(r"(?<![a-z])(?:" + "|".join(map(re.escape, words)) + r")(?![a-z])", re.IGNORECASE)


def _plain(name: str) -> str:
    """CamelCase and snake_case opened into words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[_\-/.]+", " ", name)


def category_tag(category: str) -> str | None:
    """The tag of the first sensitive group that a category's name falls into."""
    words = _plain(category)
    return next((g.tag for g in table().categories if _pattern(tuple(g.words)).search(words)), None)


def attribute_is_sensitive(name: str) -> bool:
    """Is this attribute about something a shop does not speak of?"""
    return bool(_pattern(tuple(table().attributes.words)).search(_plain(name))) or category_tag(name) is not None


def unsent_tags() -> list[str]:
    """Tags of products that nobody is sent an offer of unasked."""
    return [group.tag for group in table().categories if group.unsent]


def exclude_tags(bought_categories: list[str]) -> list[str]:
    """Tags of products that this person must not be offered, having never bought any."""
    bought = {category_tag(category) for category in bought_categories}
    return [group.tag for group in table().categories if group.unless_bought and group.tag not in bought]
