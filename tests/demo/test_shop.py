"""The demo shop: a real grocer's year becomes the files that any shop would import, and the counts add up."""

from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from services.demo.shop import ShopFiles, prepare_shop
from shared.contracts.catalog import Asset, Brand, Offer
from shared.contracts.profiles import ProfileUpsert


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> ShopFiles:
    return prepare_shop(tmp_path_factory.mktemp("shop"))


def rows(path: Path, kind: type[Any]) -> list[Any]:
    return [msgspec.json.decode(line, type=kind) for line in path.read_bytes().splitlines()]


def test_every_line_of_the_source_is_converted_or_counted_as_dropped(shop: ShopFiles) -> None:
    counts = shop.conversion.events
    assert counts.lines == 1_469_307
    assert counts.purchases + sum(counts.dropped.values()) == counts.lines
    assert pq.ParquetFile(shop.events).metadata.num_rows == counts.purchases + counts.redemptions + counts.sends


def test_every_row_is_one_that_the_public_import_takes(shop: ShopFiles) -> None:
    assert len(rows(shop.profiles, ProfileUpsert)) == 2_469
    assert len(rows(shop.brands, Brand)) == 1
    assets = rows(shop.assets, Asset)
    assert all((shop.images / asset.uri).is_file() for asset in assets)
    known = {asset.asset_id for asset in assets}
    for offer in rows(shop.offers, Offer):
        assert offer.start_date < offer.end_date
        assert set(offer.asset_ids) <= known
        assert "tobacco" not in offer.safety_tags
        assert offer.product_name == offer.product_name.lower() or not offer.product_name.isupper()


def test_a_second_run_converts_nothing(shop: ShopFiles) -> None:
    again = prepare_shop(shop.profiles.parents[2])
    assert not again.converted
    assert again.conversion == shop.conversion
