"""The hours in which each app sent something."""

from __future__ import annotations

from alembic import op

revision = "0027_app_hours"
down_revision = "0026_codes_of_storms"
KEEPS_PROJECTIONS = True


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    op.execute(
        """
        CREATE TABLE app_hours (
            app_id BIGINT NOT NULL,
            hour INTEGER NOT NULL,
            minutes BIGINT NOT NULL,
            users INTEGER,
            PRIMARY KEY (app_id, hour)
        ) WITHOUT ROWID
        """
    )
