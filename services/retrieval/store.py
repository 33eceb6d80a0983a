"""The pictures on disk: DATA/assets/TENANT/HH/HASH.webp, named by their content, never changed once written."""

import os
import re
import tempfile
from pathlib import Path

_TENANT = re.compile(r"^[a-z0-9][a-z0-9\-_]{0,62}$")
_HASH = re.compile(r"^[0-9a-f]{64}$")


class PictureStore:
    """Normalised pictures by tenant and content hash. Blocking; call it in a thread where it matters."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "assets"

    def path(self, tenant: str, image_hash: str) -> Path:
        """Where a picture lies, if it is there.

        Raises:
            ValueError: not a tenant's name or not a SHA-256: nothing else may become part of a path.
        """
        if not _TENANT.match(tenant) or not _HASH.match(image_hash):
            message = f"no picture can be called {tenant!r}/{image_hash!r}"
            raise ValueError(message)
        return self._folder / tenant / image_hash[:2] / f"{image_hash}.webp"

    def has(self, tenant: str, image_hash: str) -> bool:
        """Is the picture there?"""
        return self.path(tenant, image_hash).is_file()

    def read(self, tenant: str, image_hash: str) -> bytes | None:
        """The picture's bytes, None when it is not there."""
        try:
            return self.path(tenant, image_hash).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, tenant: str, image_hash: str, data: bytes) -> None:
        """Keep a picture. Readers see all of it or nothing, also after a crash; the same picture is kept once."""
        path = self.path(tenant, image_hash)
        if path.is_file():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def remove(self, tenant: str, image_hash: str) -> None:
        """Forget a picture."""
        self.path(tenant, image_hash).unlink(missing_ok=True)

    async def check(self) -> str:
        """Health: "ok" when pictures can be written."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return "ok" if os.access(self._folder, os.W_OK) else f"{self._folder.name} is not writable"
