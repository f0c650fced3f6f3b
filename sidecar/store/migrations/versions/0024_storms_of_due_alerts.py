"""The users of each storm, and whose alerts are held until it is clear that no storm begins."""

from __future__ import annotations

from alembic import op

revision = "0024_storms_of_due_alerts"
down_revision = "0023_heartbeats"
KEEPS_PROJECTIONS = True

STATEMENTS = (
    "ALTER TABLE storm_members ADD COLUMN held BOOLEAN NOT NULL DEFAULT FALSE",
    "CREATE INDEX storm_members_held ON storm_members (kind, app_id, at_us) WHERE held",
    """
    CREATE TABLE alert_members (
        alert_id INTEGER NOT NULL, app_id BIGINT NOT NULL, user_id TEXT NOT NULL, at_us BIGINT NOT NULL,
        PRIMARY KEY (alert_id, app_id, user_id)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX alert_members_by_user ON alert_members (app_id, user_id)",
    # The users of storms that fire now, as far as their windows have them.
    """
    INSERT INTO alert_members (alert_id, app_id, user_id, at_us)
    SELECT alerts.id, storm_members.app_id, storm_members.user_id, storm_members.at_us
    FROM alerts JOIN storm_members USING (kind, app_id) WHERE alerts.state = 'firing'
    """,
)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for statement in STATEMENTS:
        op.execute(statement)
