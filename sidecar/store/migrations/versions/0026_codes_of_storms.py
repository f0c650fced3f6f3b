"""The error codes of the users in the windows of storms."""

from __future__ import annotations

from alembic import op

revision = "0026_codes_of_storms"
down_revision = "0025_alert_counts"
KEEPS_PROJECTIONS = True


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    op.execute("ALTER TABLE storm_members ADD COLUMN code BIGINT")
