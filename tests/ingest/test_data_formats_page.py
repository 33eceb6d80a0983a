"""docs/data-formats.md says what the contracts say."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.contracts.catalog import Asset, Brand, Offer
from shared.contracts.events import Event
from shared.contracts.profiles import ProfileUpsert
from shared.ingest.describe import describe
from shared.ingest.mapping import Mapping, load_mapping

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "data-formats.md").read_text(encoding="utf-8")
KINDS = [("profiles", ProfileUpsert), ("events", Event), ("offers", Offer), ("assets", Asset), ("brands", Brand)]


@pytest.mark.parametrize(("kind", "contract"), KINDS)
def test_the_columns_of_a_kind_are_those_of_its_contract(kind: str, contract: type[Any]) -> None:
    assert f"### {kind}\n\n{describe(contract)}\n" in PAGE


def test_the_example_mapping_is_valid_and_shows_every_key() -> None:
    example = PAGE.split("```yaml\n")[1].split("```")[0]
    load_mapping(example)
    for field in msgspec.structs.fields(Mapping):
        assert f"\n{field.encode_name}:" in f"\n{example}", field.encode_name
