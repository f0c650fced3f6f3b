"""An index by which the messages are found that a receiver accepted lately."""

from __future__ import annotations

from alembic import op

revision = "0028_accepted_messages"
down_revision = "0027_app_hours"
KEEPS_PROJECTIONS = True

STATEMENTS = ("CREATE INDEX alert_messages_by_acceptance ON alert_messages (sent_at_us) WHERE sent_at_us IS NOT NULL",)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for statement in STATEMENTS:
        op.execute(statement)
