"""The alerts about a user, for the user's page."""

from __future__ import annotations

from alembic import op

revision = "0005_alerts_by_user"
down_revision = "0004_status_of_events"
KEEPS_PROJECTIONS = True


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    op.execute("CREATE INDEX alerts_by_user ON alerts (user_id, id) WHERE user_id IS NOT NULL")
