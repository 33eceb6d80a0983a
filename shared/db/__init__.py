"""Postgres for services: engine, session scope, migrations, COPY."""
