"""Counts of firing alerts, and indexes for pages of them."""

from __future__ import annotations

from alembic import op

revision = "0025_alert_counts"
down_revision = "0024_storms_of_due_alerts"
KEEPS_PROJECTIONS = True

STATEMENTS = (
    """
    CREATE TABLE alert_counts (
        kind TEXT NOT NULL,
        app_id BIGINT NOT NULL,
        firing INTEGER NOT NULL,
        PRIMARY KEY (kind, app_id)
    ) WITHOUT ROWID
    """,
    """
    INSERT INTO alert_counts (kind, app_id, firing)
    SELECT kind, COALESCE(app_id, -1), COUNT(*) FROM alerts WHERE state = 'firing' GROUP BY 1, 2
    """,
    "CREATE INDEX alerts_by_kind ON alerts (kind, id)",
    "DROP INDEX alerts_firing_by_kind",
    "CREATE INDEX alerts_firing_by_kind ON alerts (kind, id) WHERE state = 'firing'",
    "CREATE INDEX alerts_firing_by_id ON alerts (id) WHERE state = 'firing'",
    "CREATE INDEX alerts_acknowledged ON alerts (id) WHERE state = 'firing' AND acknowledged_at_us IS NOT NULL",
)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for statement in STATEMENTS:
        op.execute(statement)
