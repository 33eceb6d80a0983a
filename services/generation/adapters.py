"""Which adapter of the chat model writes for which tenant: `GENERATION_ADAPTERS=acme=acme.copy.v3,beta=beta.copy.v1`. Pure."""

import re
from collections.abc import Mapping

from shared.settings import SettingsError

EVERYBODY = "*"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


def read(given: str) -> dict[str, str]:
    """Tenant -> the adapter's name on the model server; `*` is every tenant that is not named.

    Raises:
        SettingsError: not of this form, or a tenant twice.
    """
    found: dict[str, str] = {}
    for part in filter(None, (one.strip() for one in given.split(","))):
        tenant, _, name = (one.strip() for one in part.partition("="))
        if tenant in found or not _NAME.fullmatch(name) or not (tenant == EVERYBODY or _NAME.fullmatch(tenant)):
            message = f"GENERATION_ADAPTERS={given!r} is not valid: {part!r} is not `tenant=adapter`, each tenant once"
            raise SettingsError(message)
        found[tenant] = name
    return found


def of(adapters: Mapping[str, str], tenant: str) -> str:
    """A tenant's adapter; "" for none."""
    return adapters.get(tenant, adapters.get(EVERYBODY, ""))
