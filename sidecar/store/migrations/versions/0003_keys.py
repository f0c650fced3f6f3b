"""Keys that Zimwatch signs with; they never leave the database."""

from __future__ import annotations

from alembic import op

revision = "0003_keys"
down_revision = "0002_rollups"
KEEPS_PROJECTIONS = True


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    op.execute("CREATE TABLE keys (name TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (name))")
    op.execute("INSERT INTO keys (name, value) VALUES ('hand_off', randomblob(32))")
