"""The tables of alerts."""

from __future__ import annotations

from alembic import op

revision = "alerts"
down_revision = "0001"

TABLES = (
    """
    CREATE TABLE alerts (
        id INTEGER NOT NULL,
        kind TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        severity TEXT NOT NULL,
        app_id BIGINT,
        user_id TEXT,
        other TEXT NOT NULL,
        state TEXT NOT NULL,
        started_at_us BIGINT NOT NULL,
        opened_at_us BIGINT NOT NULL,
        ended_at_us BIGINT,
        end_reason TEXT,
        count INTEGER NOT NULL,
        position INTEGER,
        due_us BIGINT,
        summary TEXT NOT NULL,
        labels TEXT NOT NULL,
        facts TEXT NOT NULL,
        held TEXT,
        owed BOOLEAN NOT NULL,
        told BOOLEAN NOT NULL,
        repeat_us BIGINT,
        acknowledged_by TEXT,
        acknowledged_at_us BIGINT,
        changed_at_us BIGINT NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE UNIQUE INDEX alerts_firing ON alerts (fingerprint) WHERE state = 'firing'
    """,
    """
    CREATE INDEX alerts_firing_by_kind ON alerts (kind, app_id) WHERE state = 'firing'
    """,
    """
    CREATE TABLE alert_history (
        id INTEGER NOT NULL,
        alert_id INTEGER NOT NULL,
        at_us BIGINT NOT NULL,
        what TEXT NOT NULL,
        who TEXT,
        position INTEGER,
        text TEXT NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX alert_history_by_alert ON alert_history (alert_id)
    """,
    """
    CREATE TABLE alert_notifications (
        id INTEGER NOT NULL,
        alert_id INTEGER NOT NULL,
        receiver TEXT NOT NULL,
        what TEXT NOT NULL,
        grouped TEXT NOT NULL,
        due_at_us BIGINT NOT NULL,
        state TEXT NOT NULL,
        reason TEXT,
        message_id INTEGER,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX alert_notifications_by_alert ON alert_notifications (alert_id)
    """,
    """
    CREATE INDEX alert_notifications_by_message ON alert_notifications (message_id) WHERE message_id IS NOT NULL
    """,
    """
    CREATE INDEX alert_notifications_waiting ON alert_notifications (receiver, id) WHERE state = 'waiting'
    """,
    """
    CREATE TABLE alert_messages (
        id INTEGER NOT NULL,
        public_id TEXT NOT NULL,
        receiver TEXT NOT NULL,
        what TEXT NOT NULL,
        alert_id INTEGER,
        answers INTEGER,
        alerts INTEGER NOT NULL,
        body TEXT NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        created_at_us BIGINT NOT NULL,
        due_at_us BIGINT NOT NULL,
        tried_at_us BIGINT,
        sent_at_us BIGINT,
        error TEXT,
        proof TEXT,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX alert_messages_dead ON alert_messages (id) WHERE state = 'dead'
    """,
    """
    CREATE INDEX alert_messages_pending ON alert_messages (receiver, id) WHERE state = 'pending'
    """,
    """
    CREATE TABLE alert_silences (
        id INTEGER NOT NULL,
        matchers TEXT NOT NULL,
        starts_at_us BIGINT NOT NULL,
        ends_at_us BIGINT NOT NULL,
        author TEXT NOT NULL,
        reason TEXT NOT NULL,
        created_at_us BIGINT NOT NULL,
        app_id BIGINT,
        PRIMARY KEY (id)
    )
    """,
)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for statement in TABLES:
        op.execute(statement)
