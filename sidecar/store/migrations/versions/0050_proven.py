"""Whether the app's backend vouched for the user of an event."""

from __future__ import annotations

from alembic import op

revision = "0050_proven"
down_revision = "0042_audit_log"
KEEPS_PROJECTIONS = True


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    op.execute("ALTER TABLE events ADD COLUMN proven BOOLEAN")
