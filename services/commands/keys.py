"""API keys: `keys create|list|revoke`."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.table import Table

from services.commands.context import console, explained, running_settings
from services.gateway.keys import SCOPES
from services.gateway.service import KeyService
from services.gateway.settings import GatewaySettings
from shared.db.engine import create_engine
from shared.settings import Settings

ResultT = TypeVar("ResultT")
app = typer.Typer(help="API keys: make, list, revoke.", no_args_is_help=True)
Tenant = Annotated[str, typer.Argument(help="The tenant: lower-case letters, digits, - and _.")]


def with_keys(settings: Settings, use: Callable[[KeyService], Awaitable[ResultT]]) -> ResultT:
    """Run one use case of the key service on the suite's database."""

    async def run() -> ResultT:
        engine = create_engine(settings.database_url, pool_size=1)
        try:
            return await use(KeyService(engine, GatewaySettings()))
        finally:
            await engine.dispose()

    return asyncio.run(run())


@app.command()
def create(
    tenant: Tenant,
    scope: Annotated[list[str] | None, typer.Option(help=f"May be given several times: {', '.join(SCOPES)}.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires; never if left out.")] = None,
) -> None:
    """Make a key with all scopes, or the named ones. It is shown once and stored as a hash."""
    with explained():
        expires = dt.datetime.now(dt.UTC) + dt.timedelta(days=days) if days else None
        key = with_keys(running_settings(), lambda keys: keys.create(tenant, scope or list(SCOPES), expires))
        console.print(key)


@app.command("list")
def listed(tenant: Tenant) -> None:
    """A tenant's keys, oldest first."""
    with explained():
        keys = with_keys(running_settings(), lambda service: service.all(tenant))
        table = Table("key", "scopes", "made", "expires", "revoked")
        for key in keys:
            table.add_row(key.key_id, " ".join(key.scopes), f"{key.created_at:%Y-%m-%d %H:%M}",
                          f"{key.expires_at:%Y-%m-%d}" if key.expires_at else "never",
                          f"{key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "")  # fmt: skip
        console.print(table if keys else f"tenant {tenant} has no keys")


@app.command()
def revoke(tenant: Tenant, key_id: Annotated[str, typer.Argument(help="As `keys list` shows it.")]) -> None:
    """Revoke a key; it stops working within seconds."""
    with explained():
        with_keys(running_settings(), lambda keys: keys.revoke(tenant, key_id))
        console.print(f"{key_id} is revoked")
