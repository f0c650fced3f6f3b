"""The session at the provider that a browser's session was begun with, so that the provider can end it."""

from __future__ import annotations

from alembic import op

revision = "0063_sessions_at_the_provider"
down_revision = "0062_tokens_of_identities"
KEEPS_PROJECTIONS = True


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    op.execute("ALTER TABLE browser_sessions ADD COLUMN sid TEXT")
