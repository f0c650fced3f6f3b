"""Users in the order of their tokens' ends."""

from __future__ import annotations

from alembic import op

revision = "0007_token_ends"
down_revision = "0006_groups_and_runs"
KEEPS_PROJECTIONS = True


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    op.execute("CREATE INDEX user_status_by_token ON user_status (token_expires_at_us)")
