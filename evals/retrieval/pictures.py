"""Pictures to ask with, and small ones to show."""

import base64
import hashlib
import io
import random
from pathlib import Path

from PIL import Image, ImageEnhance, ImageOps

from evals.retrieval.sets import Query
from services.retrieval.images import Limits, normalise
from shared.errors import AtelierError
from shared.files import replace_file
from shared.progress import Report

_LIMITS = Limits(max_bytes=20_000_000, max_pixels=60_000_000)
_SIDE = 96
_CROP = (0.70, 0.85)


def prepare(queries: list[Query], folder: Path, report: Report, *, changed: bool, step: str) -> set[str]:
    """Write each query's picture as ID.webp, normalised as the service does it, or a changed copy; once.

    Returns:
        The ids whose picture cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    failed = set()
    for number, query in enumerate(queries, start=1):
        path = folder / f"{query.id}.webp"
        if query.picture is not None and not path.exists():
            try:
                data = normalise(query.picture.read_bytes(), _LIMITS).data
            except AtelierError:
                failed.add(query.id)
                continue
            replace_file(path, copied(data, query.id) if changed else data)
        report(step, number, len(queries))
    return failed


def copied(data: bytes, key: str) -> bytes:
    """A copy as somebody else's library might have it: cropped, mirrored, tilted, recoloured, on a coloured ground.

    The same for the same key.
    """
    draw = random.Random(f"copy:{key}")
    with Image.open(io.BytesIO(data)) as opened:
        picture = opened.convert("RGBA")
    share = draw.uniform(*_CROP)
    wide, high = round(picture.width * share), round(picture.height * share)
    left, top = (
        round(draw.uniform(0, whole - part)) for whole, part in ((picture.width, wide), (picture.height, high))
    )
    picture = ImageOps.mirror(picture.crop((left, top, left + wide, top + high)))
    picture = picture.rotate(draw.uniform(-12, 12), expand=True, resample=Image.Resampling.BICUBIC)
    ground = Image.new("RGBA", picture.size, (*(draw.randrange(160, 256) for _ in range(3)), 255))
    ground.alpha_composite(picture)
    plain = ground.convert("RGB")
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        plain = enhance(plain).enhance(draw.uniform(0.7, 1.3))
    out = io.BytesIO()
    plain.save(out, "WEBP", quality=85)
    return out.getvalue()


def thumbnail(path: Path | None, cache: Path) -> str:
    """A picture file as a data URI of at most 96 pixels, made once; "" when it cannot be read or there is none."""
    try:
        source = path.read_bytes() if path else b""
        kept = cache / f"{hashlib.sha256(source).hexdigest()[:32]}.webp"
        if not kept.exists():
            cache.mkdir(parents=True, exist_ok=True)
            replace_file(kept, _small(normalise(source, _LIMITS).data))
    except (AtelierError, OSError):
        return ""
    return "data:image/webp;base64," + base64.b64encode(kept.read_bytes()).decode()


def _small(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as opened:
        small = opened.copy()
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "WEBP", quality=70, method=4)
    return out.getvalue()
