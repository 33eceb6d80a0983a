"""Settings of retrieval's catalog and pictures."""

from typing import Annotated

import msgspec

from shared.settings import describe


class RetrievalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How pictures are taken in."""

    retrieval_image_workers: Annotated[int, describe("Pictures decoded at the same time, per process")] = 2
    retrieval_image_megapixels: Annotated[int, describe("Largest picture decoded, in millions of pixels")] = 40
