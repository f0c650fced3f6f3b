"""Ids of users in the index of their groups, so that a search reads only the rows of matching users."""

from __future__ import annotations

from alembic import op

revision = "0008_ids_by_group"
down_revision = "0007_token_ends"
KEEPS_PROJECTIONS = True


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    op.execute("DROP INDEX user_status_by_group")
    op.execute("CREATE INDEX user_status_by_group ON user_status (group_key, changed_position, user_id)")
