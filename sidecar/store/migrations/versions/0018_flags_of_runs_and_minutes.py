"""Columns that say which run of spans is open, and which minutes are over every app, for a null and a -1."""

from __future__ import annotations

from alembic import op

revision = "0018_flags_of_runs_and_minutes"
down_revision = "0017_pruning_hold"
KEEPS_PROJECTIONS = True

STATEMENTS = (
    "ALTER TABLE span_outbox RENAME TO runs",
    """
    CREATE TABLE span_outbox (
        first_position INTEGER NOT NULL,
        last_position INTEGER NOT NULL,
        is_open BOOLEAN NOT NULL,
        spans INTEGER NOT NULL,
        PRIMARY KEY (first_position)
    )
    """,
    # An open run reaches to the newest event; where there is none behind its beginning, it is empty.
    """
    INSERT INTO span_outbox (first_position, last_position, is_open, spans)
    SELECT first_position,
        COALESCE(last_position, MAX(first_position - 1, (SELECT COALESCE(MAX(position), 0) FROM events))),
        last_position IS NULL, spans
    FROM runs
    """,
    "DROP TABLE runs",
    "ALTER TABLE rollups RENAME TO minutes",
    """
    CREATE TABLE rollups (
        every_app BOOLEAN NOT NULL,
        app_id BIGINT NOT NULL,
        minute INTEGER NOT NULL,
        online INTEGER NOT NULL,
        offline INTEGER NOT NULL,
        not_logged_in INTEGER NOT NULL,
        kicked_out INTEGER NOT NULL,
        token_expired INTEGER NOT NULL,
        logins INTEGER NOT NULL,
        PRIMARY KEY (every_app, app_id, minute)
    ) WITHOUT ROWID
    """,
    """
    INSERT INTO rollups
    SELECT app_id = -1, MAX(app_id, 0), minute, online, offline, not_logged_in, kicked_out, token_expired, logins
    FROM minutes ORDER BY 1, 2, 3
    """,
    "DROP TABLE minutes",
)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for statement in STATEMENTS:
        op.execute(statement)
