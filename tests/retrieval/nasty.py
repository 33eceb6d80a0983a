"""Pictures as attackers and accidents make them."""

import io
import struct
import zlib
from typing import Any

from PIL import Image

NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


def save(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *, pixels: bytes = b"", extra: bytes = b"") -> bytes:
    """A PNG with right checksums whose header says what it is told to."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(pixels, 9))
    return b"\x89PNG\r\n\x1a\n" + header + extra + body + chunk(b"IEND", b"")


def webp_claiming(width: int, height: int) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + sides


def gif_claiming(width: int, height: int, *, screen: tuple[int, int]) -> bytes:
    frame = b"," + struct.pack("<HHHH", 0, 0, width, height) + b"\0"
    return b"GIF89a" + struct.pack("<HH", *screen) + b"\0\0\0" + frame + b"\x02\x02\x4c\x01\0;"


def svg(body: str, attributes: str = 'width="100" height="50"') -> bytes:
    return f"<svg {NAMESPACES} {attributes}>{body}</svg>".encode()


def photo(width: int = 64, height: int = 48, colour: str = "red") -> bytes:
    return save(Image.new("RGB", (width, height), colour), "PNG")
