"""An adapter that was stored before there were spaces goes on serving texts."""

import hashlib

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from shared.db.migrate import upgrade
from shared.stack.postgres import Postgres

FACTORS = b"\x01" * 32


def test_a_stored_adapter_is_one_of_texts_afterwards(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    url = postgres.create_database("adapter_migration")
    whole = ScriptDirectory.iterate_revisions
    monkeypatch.setattr(
        ScriptDirectory, "iterate_revisions", lambda self, _, lower: whole(self, "retrieval_0003", lower)
    )
    assert upgrade("retrieval", url)[-1] == "retrieval_0003"
    monkeypatch.undo()
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        old = "INSERT INTO retrieval.query_adapter VALUES ('acme', 'words', 3, 'm', 4, 1, :factors)"
        connection.execute(text(old), {"factors": FACTORS})
    assert upgrade("retrieval", url)[0] == "retrieval_0004"
    with engine.begin() as connection:
        row = connection.execute(text("SELECT * FROM retrieval.query_adapter")).mappings().one()
    engine.dispose()
    assert (row["space"], row["inputs"], row["target"]) == ("text", 4, "m")
    assert row["digest"] == hashlib.sha256(FACTORS).hexdigest()
