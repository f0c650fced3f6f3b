"""The user's status after each event, so that the past can be read without computing it again."""

from __future__ import annotations

from alembic import op

revision = "0004_status_of_events"
down_revision = "0003_keys"


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    op.execute("ALTER TABLE events ADD COLUMN user_status TEXT")
