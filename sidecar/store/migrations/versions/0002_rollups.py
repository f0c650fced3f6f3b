"""Minutes of the day, for charts."""

from __future__ import annotations

from alembic import op

revision = "0002_rollups"
down_revision = ("server_view_and_leases", "alerts")


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    op.execute(
        """
        CREATE TABLE rollups (
            app_id BIGINT NOT NULL,
            minute INTEGER NOT NULL,
            online INTEGER NOT NULL,
            offline INTEGER NOT NULL,
            not_logged_in INTEGER NOT NULL,
            kicked_out INTEGER NOT NULL,
            token_expired INTEGER NOT NULL,
            logins INTEGER NOT NULL,
            PRIMARY KEY (app_id, minute)
        ) WITHOUT ROWID
        """
    )
