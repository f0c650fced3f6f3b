"""The columns and states of alerts that say what is suppressed and what was notified, in the words of alerting."""

from __future__ import annotations

from alembic import op

revision = "0022_alert_columns"
down_revision = "0021_followers"
KEEPS_PROJECTIONS = True

STATEMENTS = (
    "ALTER TABLE alerts RENAME COLUMN held TO suppressed_by",
    "ALTER TABLE alerts RENAME COLUMN owed TO routed",
    "ALTER TABLE alerts RENAME COLUMN told TO notified",
    "UPDATE alert_notifications SET state = 'planned' WHERE state = 'told'",
    """
    UPDATE alert_notifications SET state = 'suppressed', reason = CASE reason
        WHEN 'its beginning was not told' THEN 'the firing was not delivered'
        WHEN 'over before it was told' THEN 'resolved before it was sent'
        ELSE reason END
    WHERE state = 'held'
    """,
)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for statement in STATEMENTS:
        op.execute(statement)
