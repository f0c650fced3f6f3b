"""The tap or port that sent each event."""

from __future__ import annotations

from alembic import op

revision = "0012_reporter"
down_revision = "0011_texts"
KEEPS_PROJECTIONS = True


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    op.execute("ALTER TABLE events ADD COLUMN reporter_name TEXT")
    op.execute("ALTER TABLE events ADD COLUMN reporter_version TEXT")
