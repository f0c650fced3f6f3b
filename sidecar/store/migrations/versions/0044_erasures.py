"""Erasures of users."""

from __future__ import annotations

from alembic import op

revision = "0044_erasures"
down_revision = "0048_session_ends"
KEEPS_PROJECTIONS = True

STATEMENTS = (
    """
    CREATE TABLE erasures (
        id INTEGER NOT NULL PRIMARY KEY,
        app_id BIGINT NOT NULL,
        user_id TEXT,
        pseudonym TEXT NOT NULL,
        asked_at_us BIGINT NOT NULL,
        began_at_us BIGINT,
        finished_at_us BIGINT,
        user_key INTEGER,
        through_position INTEGER,
        holding TEXT,
        cursor INTEGER NOT NULL,
        removed TEXT NOT NULL
    )
    """,
    "CREATE INDEX erasures_pending ON erasures (id) WHERE finished_at_us IS NULL",
    "CREATE INDEX erasures_by_pseudonym ON erasures (pseudonym, through_position)",
    "CREATE INDEX erasures_by_position ON erasures (through_position)",
)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for statement in STATEMENTS:
        op.execute(statement)
