"""Which weights a model folder holds: two places that load the same model know it by one name."""

import hashlib
from pathlib import Path


def named(path: Path) -> str:
    """The folder's name and the hash of the weights in it."""
    digest = hashlib.sha256()
    for file in sorted(path.glob("*.safetensors")) or sorted(path.glob("*.bin")):
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return f"{path.name}-{digest.hexdigest()[:12]}"
