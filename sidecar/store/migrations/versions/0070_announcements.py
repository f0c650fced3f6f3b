"""The announcements of commits to all nodes, on PostgreSQL alone."""

from __future__ import annotations

from alembic import op

revision = "0070_announcements"
down_revision = "0069_wide_intervals"
KEEPS_PROJECTIONS = True


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TABLE announcements"
            " (number BIGINT PRIMARY KEY, previous BIGINT NOT NULL, changes TEXT, owners TEXT)"
        )
        op.execute("CREATE SEQUENCE commit_numbers")
