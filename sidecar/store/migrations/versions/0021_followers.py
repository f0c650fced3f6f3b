"""A cursor for each follower of the log. Those of a database of before begin at the newest event, when it is opened."""

from __future__ import annotations

from alembic import op

revision = "0021_followers"
down_revision = "0020_rules_in_tables"
KEEPS_PROJECTIONS = True


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    op.execute(
        "CREATE TABLE followers (name TEXT NOT NULL, position BIGINT NOT NULL, PRIMARY KEY (name)) WITHOUT ROWID"
    )
