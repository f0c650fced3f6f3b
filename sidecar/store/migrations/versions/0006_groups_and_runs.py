"""User groups instead of counts, and a span outbox of runs of the log.

Projections of the events are dropped here, and rebuilt by the store.
"""

from __future__ import annotations

from alembic import op

revision = "0006_groups_and_runs"
down_revision = "0005_alerts_by_user"

STATEMENTS = (
    "ALTER TABLE events DROP COLUMN previous_session_position",
    "ALTER TABLE events ADD COLUMN previous_state TEXT",
    "ALTER TABLE events ADD COLUMN previous_state_duration_us BIGINT",
    "ALTER TABLE events ADD COLUMN starts_trace BOOLEAN",
    """
    UPDATE events SET starts_trace = 1
    WHERE position IN (SELECT root_position FROM traces WHERE root_position IS NOT NULL)
    """,
    """
    UPDATE events SET (previous_state, previous_state_duration_us, user_status) =
        (SELECT o.previous_state, o.previous_state_duration_us, o.user_status
         FROM span_outbox o WHERE o.position = events.position)
    WHERE position IN (SELECT position FROM span_outbox)
    """,
    "ALTER TABLE span_outbox RENAME TO owed_spans",
    """
    CREATE TABLE span_outbox (
        first_position INTEGER NOT NULL,
        last_position INTEGER,
        spans INTEGER NOT NULL,
        PRIMARY KEY (first_position)
    )
    """,
    """
    INSERT INTO span_outbox (first_position, last_position, spans)
    SELECT position, position, 1 FROM owed_spans ORDER BY position
    """,
    "DROP TABLE owed_spans",
    """
    CREATE TABLE span_losses (
        loss INTEGER NOT NULL,
        lost_at_us BIGINT NOT NULL,
        kind TEXT NOT NULL,
        spans INTEGER NOT NULL,
        position INTEGER,
        event_id BLOB,
        problem TEXT NOT NULL,
        PRIMARY KEY (loss)
    )
    """,
    "DROP TABLE traces",
    """
    CREATE TABLE traces (
        trace_id BLOB NOT NULL,
        root_position INTEGER NOT NULL,
        PRIMARY KEY (trace_id)
    ) WITHOUT ROWID
    """,
    "DROP TABLE user_counts",
    """
    CREATE TABLE user_groups (
        group_key INTEGER NOT NULL,
        app_id BIGINT NOT NULL,
        status TEXT NOT NULL,
        platform TEXT NOT NULL,
        reason TEXT NOT NULL,
        unconfirmed BOOLEAN NOT NULL,
        users INTEGER NOT NULL,
        PRIMARY KEY (group_key),
        UNIQUE (app_id, status, platform, reason, unconfirmed)
    )
    """,
    "ALTER TABLE user_status ADD COLUMN group_key INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE user_status ADD COLUMN lease_check_us BIGINT",
    "ALTER TABLE user_status ADD COLUMN clients BLOB",
    "ALTER TABLE user_status ADD COLUMN left_elsewhere_us BIGINT",
    "DROP INDEX user_status_by_change",
    "DROP INDEX user_status_by_status",
    "DROP INDEX user_status_by_lease",
    "CREATE VIRTUAL TABLE user_search USING fts5(runs, content='', detail=none, tokenize='ascii')",
    "CREATE INDEX user_status_by_check ON user_status (lease_check_us) WHERE lease_check_us IS NOT NULL",
    "CREATE INDEX user_status_by_group ON user_status (group_key, changed_position)",
)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for statement in STATEMENTS:
        op.execute(statement)
