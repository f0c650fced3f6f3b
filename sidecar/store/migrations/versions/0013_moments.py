"""When each event happened by the server's clock; clients that reported their logout, and whose clocks are off."""

from __future__ import annotations

from alembic import op

revision = "0013_moments"
down_revision = "0012_reporter"


def upgrade() -> None:
    """Forward only: a backup is the way back. What senders' clocks showed as they sent was not known by then."""
    op.execute("ALTER TABLE events ADD COLUMN moment_us BIGINT NOT NULL DEFAULT 0")
    op.execute(
        "UPDATE events SET moment_us = CASE"
        " WHEN occurred_at_us BETWEEN 946684800000000 AND received_at_us THEN occurred_at_us ELSE received_at_us END"
    )
    op.execute("ALTER TABLE clients ADD COLUMN logged_out BOOLEAN NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE clients ADD COLUMN clock_off_us BIGINT NOT NULL DEFAULT 0")
