"""The first tables."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

TABLES = (
    """
    CREATE TABLE api_tokens (
        id INTEGER NOT NULL,
        secret_sha256 BLOB NOT NULL,
        hint TEXT NOT NULL,
        scope TEXT NOT NULL,
        app_id BIGINT,
        created_at_us BIGINT NOT NULL,
        expires_at_us BIGINT,
        revoked_at_us BIGINT,
        PRIMARY KEY (id),
        UNIQUE (secret_sha256)
    )
    """,
    """
    CREATE TABLE clients (
        client_key INTEGER NOT NULL,
        client_id BLOB NOT NULL,
        user_key INTEGER NOT NULL,
        status TEXT NOT NULL,
        since_us BIGINT,
        reason TEXT,
        left_online_us BIGINT,
        outages INTEGER NOT NULL,
        connection_state TEXT,
        connection_state_since_us BIGINT,
        session_id BLOB,
        reports_login BOOLEAN NOT NULL,
        ended BOOLEAN NOT NULL,
        ended_session_id BLOB,
        login_at_us BIGINT,
        token_expires_at_us BIGINT,
        last_seq BIGINT NOT NULL,
        last_id BLOB NOT NULL,
        platform TEXT,
        sdk_name TEXT,
        sdk_version TEXT,
        app_version TEXT,
        device_id TEXT,
        last_position INTEGER,
        last_seen_at_us BIGINT NOT NULL,
        sends_heartbeats BOOLEAN NOT NULL,
        PRIMARY KEY (client_key),
        UNIQUE (client_id, user_key)
    )
    """,
    """
    CREATE INDEX clients_by_user ON clients (user_key)
    """,
    """
    CREATE TABLE events (
        position INTEGER NOT NULL,
        id BLOB NOT NULL,
        type TEXT NOT NULL,
        occurred_at_us BIGINT NOT NULL,
        received_at_us BIGINT NOT NULL,
        client_id BLOB NOT NULL,
        seq BIGINT NOT NULL,
        app_id BIGINT NOT NULL,
        session_id BLOB,
        user_id TEXT,
        platform TEXT,
        sdk_name TEXT,
        sdk_version TEXT,
        app_version TEXT,
        device_id TEXT,
        connection_state TEXT,
        connection_event TEXT,
        extended_data TEXT,
        details TEXT,
        previous_user_position INTEGER,
        previous_session_position INTEGER,
        previous_client_position INTEGER,
        PRIMARY KEY (position),
        UNIQUE (id)
    )
    """,
    """
    CREATE TABLE rejected_events (
        rejection INTEGER NOT NULL,
        received_at_us BIGINT NOT NULL,
        batch_index INTEGER NOT NULL,
        event_id TEXT,
        error TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (rejection)
    )
    """,
    """
    CREATE TABLE span_outbox (
        position INTEGER NOT NULL,
        trace_id BLOB NOT NULL,
        is_root BOOLEAN NOT NULL,
        previous_state TEXT,
        previous_state_duration_us BIGINT,
        user_status TEXT,
        attempts INTEGER NOT NULL,
        due_at_us BIGINT NOT NULL,
        PRIMARY KEY (position)
    )
    """,
    """
    CREATE TABLE traces (
        trace_key INTEGER NOT NULL,
        trace_id BLOB NOT NULL,
        last_position INTEGER NOT NULL,
        root_position INTEGER,
        PRIMARY KEY (trace_key),
        UNIQUE (trace_id)
    )
    """,
    """
    CREATE TABLE user_counts (
        app_id BIGINT NOT NULL,
        status TEXT NOT NULL,
        users INTEGER NOT NULL,
        PRIMARY KEY (app_id, status)
    )
    """,
    """
    CREATE TABLE user_status (
        user_key INTEGER NOT NULL,
        app_id BIGINT NOT NULL,
        user_id TEXT NOT NULL,
        status TEXT NOT NULL,
        since_us BIGINT,
        reason TEXT,
        token_expires_at_us BIGINT,
        platform TEXT,
        lease_until_us BIGINT,
        last_seen_at_us BIGINT NOT NULL,
        last_position INTEGER,
        changed_position INTEGER NOT NULL,
        PRIMARY KEY (user_key),
        UNIQUE (app_id, user_id)
    )
    """,
    """
    CREATE INDEX user_status_by_change ON user_status (changed_position)
    """,
    """
    CREATE INDEX user_status_by_lease ON user_status (lease_until_us) WHERE lease_until_us IS NOT NULL
    """,
    """
    CREATE INDEX user_status_by_status ON user_status (status, changed_position)
    """,
)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for statement in TABLES:
        op.execute(statement)
