"""What happened to users, filled in from the events that are in the log."""

from __future__ import annotations

from alembic import op

revision = "0029_happenings"
down_revision = "0028_accepted_messages"
KEEPS_PROJECTIONS = True

STATEMENTS = (
    """
    CREATE TABLE happenings (
        user_key INTEGER NOT NULL,
        kind TEXT NOT NULL,
        minute INTEGER NOT NULL,
        platform TEXT NOT NULL,
        sdk_version TEXT NOT NULL,
        app_version TEXT NOT NULL,
        app_id BIGINT NOT NULL,
        first_us BIGINT NOT NULL,
        last_us BIGINT NOT NULL,
        times INTEGER NOT NULL,
        PRIMARY KEY (user_key, kind, minute, platform, sdk_version, app_version)
    ) WITHOUT ROWID
    """,
    """
    INSERT INTO happenings
    SELECT user_key, kind, moment_us / 60000000 AS minute, COALESCE(of_kind.platform, ''), COALESCE(sdk_version, ''),
        COALESCE(app_version, ''), of_kind.app_id, MIN(moment_us), MAX(moment_us), COUNT(*)
    FROM (
        SELECT *, CASE WHEN connection_event IN ('KICKED_OUT', 'TOKEN_EXPIRED', 'LOGIN_TIMEOUT', 'UNREGISTERED')
            THEN LOWER(connection_event)
            WHEN type = 'login' THEN 'logged_in' WHEN type = 'api_error' THEN 'calls_failed'
            WHEN type = 'login_result' AND COALESCE(json_extract(details, '$.code'), 0) <> 0 THEN 'login_failed'
        END AS kind FROM events
    ) AS of_kind JOIN user_status USING (app_id, user_id)
    WHERE kind IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6
    """,
    "CREATE INDEX happenings_by_moment ON happenings (app_id, kind, last_us, user_key, first_us, times)",
)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for statement in STATEMENTS:
        op.execute(statement)
