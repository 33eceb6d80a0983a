"""An open_clip checkpoint from a local file: loaded for real, measured, and not trusted with words it does not know."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from services.retrieval.image_embedding import ClipModel
from services.retrieval.torchvision_guard import ensure_torchvision

ARCHITECTURE = "ViT-S-32-alt"


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
