"""Import torchvision beside a CPU build of torch.

PyPI's torchvision links CUDA libraries: without them its operators are missing and its own import fails, which breaks
transformers, sentence-transformers and open_clip. Declaring the two operators it asks for is enough for everything but
detection models, which are not used here. On a whole torchvision this does nothing.
"""

import importlib


def ensure_torchvision() -> None:
    """Call before the first import of transformers, sentence_transformers, timm or open_clip.

    Raises:
        RuntimeError: torchvision is broken in another way.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        import torch

        schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        for name in ("nms", "qnms"):
            if not hasattr(torch.ops.torchvision, name):
                torch.library.define(f"torchvision::{name}", schema)
        importlib.import_module("torchvision")
