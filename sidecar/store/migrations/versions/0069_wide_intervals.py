"""Intervals between heartbeats of more than 715 s, which PostgreSQL could not put into an index."""

from __future__ import annotations

from alembic import op

revision = "0069_wide_intervals"
down_revision = "0065_edges"
KEEPS_PROJECTIONS = True


def upgrade() -> None:
    """Forward only: a backup is the way back. Integers of SQLite have any width."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE clients ALTER COLUMN heartbeat_after_s TYPE BIGINT")
