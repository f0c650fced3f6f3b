"""The interval between heartbeats of each client, and what of heartbeats may be lost in memory."""

from __future__ import annotations

from alembic import op

revision = "0023_heartbeats"
down_revision = "0022_alert_columns"
KEEPS_PROJECTIONS = True

STATEMENTS = (
    "ALTER TABLE clients ADD COLUMN heartbeat_after_s INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE lease_stretches ADD COLUMN heartbeat_after_s INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE lease_stretches ADD COLUMN heartbeat_clients INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE lease_stretches ADD COLUMN holds_heartbeats BOOLEAN NOT NULL DEFAULT 0",
    "DROP INDEX IF EXISTS clients_by_lease",
    """
    CREATE INDEX clients_by_lease
    ON clients (user_key, sends_heartbeats, (last_seen_at_us + 3000000 * heartbeat_after_s))
    WHERE status <> 'not_logged_in'
    """,
)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for statement in STATEMENTS:
        op.execute(statement)
