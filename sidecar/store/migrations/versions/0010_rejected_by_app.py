"""Rejected events by their app, and the signed requests that were accepted, so that none is accepted twice."""

from __future__ import annotations

from alembic import op

revision = "0010_rejected_by_app"
down_revision = "0009_event_ids_by_app"
KEEPS_PROJECTIONS = True


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    op.execute("ALTER TABLE rejected_events ADD COLUMN app_id BIGINT")
    op.execute("CREATE INDEX rejected_events_by_time ON rejected_events (received_at_us, app_id, error)")
    op.execute(
        "CREATE TABLE signed_requests (request BLOB NOT NULL, contents BLOB NOT NULL, until_us BIGINT NOT NULL, "
        "PRIMARY KEY (request)) WITHOUT ROWID"
    )
    op.execute("CREATE INDEX signed_requests_by_end ON signed_requests (until_us)")
