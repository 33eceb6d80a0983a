"""An open_clip checkpoint from a local file: loaded for real, measured, and not trusted with words it does not know."""

import io
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image
from sqlalchemy.ext.asyncio import AsyncEngine

from services.retrieval.embedding_service import Embeddings
from services.retrieval.image_embedding import ClipModel
from services.retrieval.match_service import MatchService
from services.retrieval.pictures import Pictures
from services.retrieval.query_adapter import Ends
from services.retrieval.service import CatalogService
from shared.contracts.catalog import Asset
from shared.contracts.retrieval import MatchPair, MatchRequest, PairVectorsRequest
from shared.settings import Settings
from shared.torchvision_guard import ensure_torchvision

ARCHITECTURE = "ViT-S-32-alt"


class Nowhere:
    """No index listens to the catalog of this test."""

    async def catalog_changed(self, *_: object) -> None: ...

    async def catalog_deleted(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, seeded: no trained ones can be had offline."""
    ensure_torchvision()
    import open_clip

    torch.manual_seed(7)
    path = tmp_path_factory.mktemp("clip") / "random.pt"
    torch.save(open_clip.create_model(ARCHITECTURE).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> ClipModel:
    return ClipModel(ARCHITECTURE, str(checkpoint))


def picture(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(out, "WEBP")
    return out.getvalue()


async def test_both_towers_embed_into_one_space(model: ClipModel) -> None:
    images = await model.embed_images([picture("red"), picture("blue")])
    words = model._run_text(["red", "blue"])
    assert images.shape == words.shape == (2, model.dim)
    assert np.allclose(np.linalg.norm(np.vstack([images, words]), axis=1), 1, atol=1e-5)


async def test_a_checkpoint_that_knows_no_words_is_not_asked_for_any(model: ClipModel) -> None:
    assert not model.info.text_queries
    assert await model.embed_texts(["red"]) is None
    assert "plain colours" in model.info.note
    assert "tags and names only" in model.info.note


def test_the_version_names_the_weights(model: ClipModel, checkpoint: Path) -> None:
    assert model.version.startswith(f"{ARCHITECTURE}-")
    again = ClipModel(ARCHITECTURE, str(checkpoint))
    assert again.version == model.version


def test_a_checkpoint_with_trained_words_is_trusted(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trained case by its measure alone: a model that names seven colours of eight may be asked for words."""
    monkeypatch.setattr(ClipModel, "_colours_named", lambda _: 0.875)
    assert ClipModel(ARCHITECTURE, str(checkpoint)).info.text_queries


async def test_a_picture_is_compared_with_words_only_by_a_model_that_knows_them(
    model: ClipModel,
    checkpoint: Path,
    settings: Settings,
    engine: AsyncEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pictures = Pictures.open(engine, msgspec.structs.replace(settings, atelier_data=tmp_path))
    catalog = CatalogService(engine, pictures, Nowhere())
    for key in ("cup", "bare"):
        await catalog.put_asset("acme", key, Asset(asset_id=key, name=key))
    await catalog.put_image("acme", "cup", picture("red"))
    pairs = [MatchPair(asset_id=key, text="red") for key in ("cup", "bare", "none")]

    def matching(clip: ClipModel) -> MatchService:
        return MatchService(engine, Embeddings(engine, None, clip, pictures.store))  # type: ignore[arg-type]

    unfit = await matching(model).match("acme", MatchRequest(pairs=pairs))
    assert (unfit.cosines, unfit.image_model.text_queries) == ([None] * 3, False)
    monkeypatch.setattr(ClipModel, "_colours_named", lambda _: 0.875)
    trusted = ClipModel(ARCHITECTURE, str(checkpoint))
    matched = await matching(trusted).match("acme", MatchRequest(pairs=pairs))
    stored = pictures.store.read("acme", next(iter((tmp_path / "assets" / "acme").rglob("*.webp"))).stem)
    assert stored is not None
    expected = float((await trusted.embed_images([stored]))[0] @ trusted._run_text(["red"])[0])
    assert matched.cosines[0] == pytest.approx(expected, abs=1e-5)
    assert matched.cosines[1:] == [None, None]
    assert (await matching(trusted).match("globex", MatchRequest(pairs=pairs))).cosines == [None] * 3


async def test_an_adapter_stands_within_a_model_that_knows_words(
    checkpoint: Path, settings: Settings, engine: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words and pictures come from the checkpoint alone, so that an adapter begins where its words already are."""
    monkeypatch.setattr(ClipModel, "_colours_named", lambda _: 0.875)
    trusted = ClipModel(ARCHITECTURE, str(checkpoint))
    pictures = Pictures.open(engine, msgspec.structs.replace(settings, atelier_data=tmp_path))
    catalog = CatalogService(engine, pictures, Nowhere())
    await catalog.put_asset("acme", "cup", Asset(asset_id="cup", name="cup"))
    await catalog.put_image("acme", "cup", picture("red"))
    embeddings = Embeddings(engine, None, trusted, pictures.store)  # type: ignore[arg-type]
    assert embeddings.ends("image") == Ends(trusted.version, trusted.dim, trusted.version, trusted.dim)
    asked = PairVectorsRequest(texts=["red"], asset_ids=["cup", "none"])
    found = await MatchService(engine, embeddings).pair_vectors("acme", asked)
    assert (found.embedding, found.target) == (trusted.version, trusted.version)
    assert np.allclose(found.words, trusted._run_text(["red"]), atol=1e-6)
    assert found.pictures[0] is not None
    assert found.pictures[1] is None
    assert (await MatchService(engine, embeddings).pair_vectors("globex", asked)).pictures == [None, None]
