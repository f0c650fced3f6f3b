"""From where on the events of an app are in the log that is kept for a shorter time than others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0064_pruned_apps"
down_revision = "0063_sessions_at_the_provider"
KEEPS_PROJECTIONS = True


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    op.create_table(
        "pruned_apps",
        sa.Column("app_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("first_position", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
