"""What can go wrong before there is a shop to show."""

from shared.errors import AtelierError, UnavailableError


class PackageUnavailableError(UnavailableError):
    """A package with demo data cannot be had: not installed, or no registry reachable."""

    title = "Demo data unavailable"


class DamagedPackageError(AtelierError):
    """A package is there and is not what was published: its checksum or its content differs."""

    status = 502
    title = "Damaged demo data"
