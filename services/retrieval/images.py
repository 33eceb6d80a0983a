"""Pictures from strangers into one shape: WebP of at most 1,024 pixels a side, upright, without metadata.

Nothing is believed but the bytes: the format by content, the size by the header and before anything is decoded.
"""

import asyncio
import hashlib
import io
import struct

import msgspec
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from services.retrieval import svg
from services.retrieval.errors import ImageTooLargeError, NotAnImageError
from shared.errors import AtelierError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
SIDE = 1024
# Effort 2 of 6: twice as fast as the default at 5 % more bytes; quality above where banding shows in gradients.
_WEBP = {"quality": 88, "method": 2}
_VERSION = b"normalise-1\n"  # part of the source's hash: a change of this module's result takes every picture in anew
_ALLOWED = "PNG, JPEG, WebP, GIF (its first frame) or SVG"


class Picture(msgspec.Struct, frozen=True):
    """A normalised picture: WebP bytes, their SHA-256, and the size in pixels."""

    data: bytes
    image_hash: str
    width: int
    height: int


class Limits(msgspec.Struct, frozen=True):
    """The most bytes read and the most pixels decoded."""

    max_bytes: int
    max_pixels: int


def source_hash(data: bytes) -> str:
    """SHA-256 of a picture's bytes as they came in, to tell a known source without decoding it."""
    return hashlib.sha256(_VERSION + data).hexdigest()


def check_bytes(size: int, limits: Limits) -> None:
    """Raises ImageTooLargeError for more bytes than are read."""
    if size > limits.max_bytes:
        message = f"The picture has {size:,} bytes; allowed are {limits.max_bytes:,}."
        raise ImageTooLargeError(message)


def normalise(data: bytes, limits: Limits) -> Picture:
    """Decode, turn upright, shrink, re-encode.

    Args:
        data: the file's bytes, whatever it is called.
        limits: what is refused unread.

    Returns:
        The first frame, RGB or RGBA, each side at most `SIDE` pixels; metadata and colour profile are gone.

    Raises:
        ImageTooLargeError: too many bytes, or a header that claims too many pixels.
        NotAnImageError: empty, broken, cut off, or no picture at all.
        UnsafeSvgError: see `svg.draw`.
    """
    check_bytes(len(data), limits)
    if not data:
        raise NotAnImageError("The picture is empty (0 bytes).")
    if svg.looks_like_svg(data):
        data = svg.draw(data)
    try:
        return _encode(_decode(data, limits))
    except AtelierError:
        raise
    except Image.DecompressionBombError as error:
        message = f"The picture claims more than the {limits.max_pixels:,} pixels allowed."
        raise ImageTooLargeError(message) from error
    except UnidentifiedImageError as error:
        message = f"The bytes are not a picture we take; allowed are {_ALLOWED}."
        raise NotAnImageError(message) from error
    except Exception as error:
        # Decoders fail on broken input in many ways (OSError, SyntaxError, ValueError, struct.error, ...): all of them
        # mean that this picture is broken, none that the service is.
        message = f"The picture is broken or cut off: {str(error)[:200] or type(error).__name__}."
        raise NotAnImageError(message) from error


def _decode(data: bytes, limits: Limits) -> Image.Image:
    _check_pixels(_webp_size(data), limits)
    image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    _check_pixels(image.size, limits)
    image.draft("RGB", (SIDE, SIDE))
    image.seek(0)
    image.load()
    upright = ImageOps.exif_transpose(_eight_bit(image))
    upright.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return upright


def _eight_bit(image: Image.Image) -> Image.Image:
    """RGBA where there is transparency, else RGB; 16-bit grey is scaled, which Pillow's own conversion would clip."""
    exif = image.getexif()
    if image.mode.startswith("I"):
        scaled = (np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        image = Image.fromarray(scaled)
    made = image.convert("RGBA" if image.has_transparency_data else "RGB")
    made.info = {"exif": exif.tobytes()} if exif else {}
    return made


def _encode(image: Image.Image) -> Picture:
    buffer = io.BytesIO()
    image.info = {}
    image.save(buffer, "WEBP", exif=b"", icc_profile=b"", xmp=b"", **_WEBP)
    data = buffer.getvalue()
    return Picture(data=data, image_hash=hashlib.sha256(data).hexdigest(), width=image.size[0], height=image.size[1])


def _check_pixels(size: tuple[int, int], limits: Limits) -> None:
    if size[0] * size[1] > limits.max_pixels:
        message = f"The picture claims {size[0]:,} x {size[1]:,} pixels; allowed are {limits.max_pixels:,} in all."
        raise ImageTooLargeError(message)


def _webp_size(data: bytes) -> tuple[int, int]:
    """The size in a WebP's header, (0, 0) for anything else: its decoder takes memory for all pixels at opening."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return 0, 0
    kind, head = data[12:16], data[20:30].ljust(10, b"\0")
    if kind == b"VP8X":
        return 1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    wide, high = struct.unpack("<HH", head[6:10])
    return wide & 0x3FFF, high & 0x3FFF


class Normaliser:
    """Normalises pictures in threads, a few at a time: what waits costs its bytes, what runs costs its pixels."""

    def __init__(self, limits: Limits, workers: int) -> None:
        self.limits = limits
        self._slots = asyncio.Semaphore(workers)

    async def __call__(self, data: bytes) -> Picture:
        """See `normalise`."""
        check_bytes(len(data), self.limits)
        async with self._slots:
            return await asyncio.to_thread(normalise, data, self.limits)
