"""The view of users by ZEGO's server, and the stretches of lease time."""

from __future__ import annotations

from alembic import op

revision = "server_view_and_leases"
down_revision = "0001"

TABLES = (
    """
    CREATE TABLE lease_stretches (
        stretch INTEGER NOT NULL,
        begins_us BIGINT NOT NULL,
        skipped_us BIGINT NOT NULL,
        alive_us BIGINT NOT NULL,
        PRIMARY KEY (stretch)
    )
    """,
    """
    CREATE TABLE server_views (
        app_id BIGINT NOT NULL,
        user_id TEXT NOT NULL,
        words TEXT NOT NULL,
        differs_since_us BIGINT,
        PRIMARY KEY (app_id, user_id)
    )
    """,
    """
    CREATE INDEX server_views_by_difference ON server_views (differs_since_us) WHERE differs_since_us IS NOT NULL
    """,
)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for statement in TABLES:
        op.execute(statement)
