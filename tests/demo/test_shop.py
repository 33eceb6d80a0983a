"""The demo shop: a real grocer's year becomes the files that any shop would import, and the counts add up."""

import io
import os
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from services.demo.figures import household_figures
from services.demo.shop import ShopFiles, prepare_shop, read_assets, read_offers
from services.demo.state import DemoState
from services.demo.story import ROLES, Pick, pick_households
from services.demo.table import Shown, card, summary
from shared.contracts.catalog import Asset, Brand, Offer
from shared.contracts.generation import ChannelFit, Claim, Copy, GenerateAnswer, Sections, Usage, Variant
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


def test_sixteen_different_households_play_the_story_the_same_every_time(shop: ShopFiles) -> None:
    figures = household_figures(shop)
    assert len(figures) == 2_467  # two households bought nothing that counts
    picks = pick_households(figures)
    assert picks == pick_households(reversed(figures))
    assert len({pick.profile_id for pick in picks}) == len(picks) == len(ROLES) == 16
    known = {row.profile_id: row for row in figures}
    for role, pick in zip(ROLES, picks, strict=True):
        row = known[pick.profile_id]
        assert role.fits(row), role.name
        assert (row.personalize and row.email) == role.consented
    assert known[picks[0].profile_id].redemptions == max(
        row.redemptions for row in figures if row.personalize and row.email
    )


def test_a_card_shows_what_was_said_and_what_was_thrown_out(shop: ShopFiles) -> None:
    offer = read_offers(shop)[0]
    claim = Claim(section="body", text="$1", kind="price", status="supported", field="offer.discount.value")
    lie = Claim(section="body", text="healthy", kind="sensitive", status="unsupported")
    variant = Variant(
        id="v", sections=Sections(headline="A headline", body="A body", cta="Go"), claims=[claim], source="repaired",
        channel_fit=ChannelFit(fits=True, lengths={}, limits={}), seed=1, model_version="m", prompt_version="p",
        context_ids=[], repairs=1, usage=Usage(), rejected=[lie],
    )  # fmt: skip
    copy = Copy(offer_id=offer.offer_id, asset_id=offer.asset_ids[0], variants=[variant], degraded=[], took_ms=1)
    answer = GenerateAnswer(profile_id="hh-1", personalized=True, copies=[copy], degraded=[])
    row = Shown(pick=Pick("hh-1", "A role", "a reason"), facts=["Buys tea"], answer=answer, seconds=1.5)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(card(1, row, {offer.offer_id: offer}, {a.asset_id: a for a in read_assets(shop)}))
    console.print(summary([row], {"email": 3}))
    shown = console.export_text()
    for said in ("A role", "a reason", "Buys tea", offer.name, "A headline", "A body", "[ Go ]", "1 of 1 claims", "“healthy”",
                 "repaired by m", "1.5 s", "3 refuse email"):  # fmt: skip
        assert said in shown


def test_what_was_imported_is_not_imported_again_until_its_file_changes(shop: ShopFiles, tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    state = DemoState(tmp_path)
    assert len(state.missing(shop)) == 5
    for kind in state.missing(shop):
        state.imported(kind, shop)
    state.refreshed()
    assert (DemoState(tmp_path).missing(shop), DemoState(tmp_path).facts_are_old()) == ([], False)
    state.imported("events", shop)
    assert DemoState(tmp_path).facts_are_old()
    os.utime(shop.offers, (1, 1))
    assert DemoState(tmp_path).missing(shop) == ["offers"]
