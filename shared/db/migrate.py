"""Run a service's own Alembic history (services/NAME/migrations/versions) in a schema of its own."""

import importlib.util
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url


def _script_directory(service: str) -> ScriptDirectory:
    spec = importlib.util.find_spec(f"services.{service}")
    if spec is None or not spec.submodule_search_locations:
        message = f"no service named {service!r}"
        raise LookupError(message)
    return ScriptDirectory(str(Path(spec.submodule_search_locations[0]) / "migrations"))


def upgrade(service: str, database_url: str) -> list[str]:
    """Bring the service's schema to the newest revision; returns the revisions applied, oldest first.

    Safe to call from several processes at once: an advisory lock lets one do the work.
    """
    script = _script_directory(service)
    engine = create_engine(make_url(database_url).set(drivername="postgresql+psycopg"))
    applied: list[str] = []
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"atelier:{service}"})
            connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{service}"'))
            context = MigrationContext.configure(
                connection, opts={"version_table": "alembic_version", "version_table_schema": service}
            )
            current = context.get_current_revision()
            pending = list(script.iterate_revisions("head", current or "base"))[::-1]
            with Operations.context(context):
                for revision in pending:
                    revision.module.upgrade()
                    context.stamp(script, revision.revision)
                    applied.append(revision.revision)
    finally:
        engine.dispose()
    return applied
