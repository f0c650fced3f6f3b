"""Clients in their user's row as JSON; columns for crowded users and for expired leases.

Before, null instead of packed clients and a negative moment stood for these.
"""

from __future__ import annotations

from typing import Any

import msgspec
from alembic import op

revision = "0019_readable_clients"
down_revision = "0018_flags_of_runs_and_minutes"
KEEPS_PROJECTIONS = True

COLUMNS = (
    "user_key, app_id, user_id, status, since_us, reason, token_expires_at_us, platform, lease_until_us,"
    " last_seen_at_us, last_position, changed_position, group_key, {}, left_elsewhere_us"
)
NEW = COLUMNS.format("lease_check_us, lease_lapsed, clients, crowded")
OLD = COLUMNS.format("abs(lease_check_us), COALESCE(lease_check_us < 0, 0), clients_as_json(clients), clients IS NULL")
STATEMENTS = (
    "ALTER TABLE user_status RENAME TO packed",
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
        group_key INTEGER NOT NULL,
        lease_check_us BIGINT,
        lease_lapsed BOOLEAN NOT NULL,
        clients TEXT NOT NULL,
        crowded BOOLEAN NOT NULL,
        left_elsewhere_us BIGINT,
        PRIMARY KEY (user_key),
        UNIQUE (app_id, user_id)
    )
    """,
    f"INSERT INTO user_status ({NEW}) SELECT {OLD} FROM packed ORDER BY user_key",
    "DROP TABLE packed",
    "CREATE INDEX user_status_by_group ON user_status (group_key, changed_position, user_id)",
    "CREATE INDEX user_status_by_token ON user_status (token_expires_at_us)",
    """
    CREATE INDEX user_status_by_check ON user_status (lease_lapsed, lease_check_us) WHERE lease_check_us IS NOT NULL
    """,
)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    driver: Any = op.get_bind().connection.driver_connection
    driver.create_function("clients_as_json", 1, _as_json)
    for statement in STATEMENTS:
        op.execute(statement)


def _as_json(packed: bytes | None) -> str:
    return "[]" if packed is None else msgspec.json.encode(msgspec.msgpack.decode(packed)).decode()
