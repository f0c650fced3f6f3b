"""Runs the migrations on the connection that the store hands over: there is no alembic.ini and no second URL."""

from __future__ import annotations

from alembic import context

from sidecar.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,  # the caller's transaction is the one that counts
)
context.run_migrations()
