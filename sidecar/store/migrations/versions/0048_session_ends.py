"""Why a browser's session was ended before its time, for the page that its browser opens next."""

from __future__ import annotations

from alembic import op

revision = "0048_session_ends"
down_revision = "0052_scoped_tokens"
KEEPS_PROJECTIONS = True


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    op.execute("ALTER TABLE browser_sessions ADD COLUMN ended TEXT")
