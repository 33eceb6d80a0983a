"""Settings of retrieval."""

from typing import Annotated

import msgspec

from shared.settings import describe


class RetrievalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How pictures are taken in, and which models embed."""

    retrieval_image_workers: Annotated[int, describe("Pictures decoded at the same time, per process")] = 2
    retrieval_image_megapixels: Annotated[int, describe("Largest picture decoded, in millions of pixels")] = 40
    text_model: Annotated[str, describe("Folder of a sentence-transformers model; empty: all-MiniLM-L6-v2")] = ""
    text_engine: Annotated[str, describe("openvino, or torch")] = "openvino"
    clip_model: Annotated[str, describe("open_clip architecture such as ViT-B-32; empty: a stand-in that says so")] = ""
    clip_pretrained: Annotated[str, describe("open_clip tag such as laion2b_s34b_b79k, or a checkpoint's path")] = ""
