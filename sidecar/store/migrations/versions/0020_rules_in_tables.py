"""Tables for what the alert rules kept in memory: offline users, kicks, the windows of storms, the cursor.

Offline users are filled in by each start of the rules, which know the settings.
"""

from __future__ import annotations

from alembic import op

revision = "0020_rules_in_tables"
down_revision = "0019_readable_clients"
KEEPS_PROJECTIONS = True

# Kicks that are older than this are in no window.
_DAY_US = 86_400_000_000
# Each kicked_out alert has the last kicks of its user, with those before it.
KICKED = f"""
    FROM alerts WHERE kind = 'kicked_out' AND user_id IS NOT NULL AND app_id IS NOT NULL
    AND COALESCE(held, '') <> 'late' AND opened_at_us > (SELECT MAX(opened_at_us) FROM alerts) - {_DAY_US}
"""

STATEMENTS = (
    "CREATE INDEX alerts_firing_by_user ON alerts (app_id, user_id) WHERE state = 'firing'",
    "CREATE INDEX alerts_due ON alerts (due_us) WHERE state = 'firing' AND due_us IS NOT NULL",
    "CREATE INDEX alerts_to_repeat ON alerts (repeat_us) WHERE state = 'firing' AND repeat_us IS NOT NULL",
    "CREATE INDEX alerts_opened ON alerts (fingerprint, opened_at_us)",
    "ALTER TABLE alert_silences ADD COLUMN is_over BOOLEAN NOT NULL DEFAULT FALSE",
    "CREATE INDEX alert_silences_to_end ON alert_silences (ends_at_us) WHERE NOT is_over",
    """
    CREATE TABLE offline_watch (
        app_id BIGINT NOT NULL,
        user_id TEXT NOT NULL,
        since_us BIGINT NOT NULL,
        late BOOLEAN NOT NULL,
        state TEXT NOT NULL,
        PRIMARY KEY (app_id, user_id)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX offline_watch_waiting ON offline_watch (since_us) WHERE state = 'waiting'",
    """
    CREATE TABLE kicks (
        app_id BIGINT NOT NULL,
        user_id TEXT NOT NULL,
        position INTEGER NOT NULL,
        device TEXT NOT NULL,
        at_us BIGINT NOT NULL,
        PRIMARY KEY (app_id, user_id, position)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX kicks_by_time ON kicks (at_us)",
    """
    CREATE TABLE storm_members (
        kind TEXT NOT NULL,
        app_id BIGINT NOT NULL,
        user_id TEXT NOT NULL,
        at_us BIGINT NOT NULL,
        platform TEXT,
        sdk_version TEXT,
        app_version TEXT,
        PRIMARY KEY (kind, app_id, user_id)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX storm_members_by_time ON storm_members (kind, app_id, at_us)",
    """
    CREATE TABLE storm_windows (
        kind TEXT NOT NULL,
        app_id BIGINT NOT NULL,
        users_at_most INTEGER NOT NULL,
        oldest_us BIGINT NOT NULL,
        PRIMARY KEY (kind, app_id)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE alert_cursors (name TEXT NOT NULL, at_us BIGINT NOT NULL, PRIMARY KEY (name))",
    # Positions below those of events, in the order in which the kicks came.
    f"""
    INSERT INTO kicks (app_id, user_id, position, device, at_us)
    SELECT app_id, user_id, ROW_NUMBER() OVER (ORDER BY at_us) - 1 - COUNT(*) OVER (), device, at_us FROM (
        SELECT DISTINCT app_id, user_id, json_extract(k.value, '$[0]') AS device, json_extract(k.value, '$[1]') AS at_us
        FROM (SELECT app_id, user_id, facts {KICKED}), json_each(facts, '$.kicks') AS k
    )
    """,
    f"""
    INSERT INTO storm_members (kind, app_id, user_id, at_us, platform, sdk_version, app_version)
    SELECT 'kick_storm', app_id, user_id, MAX(opened_at_us), json_extract(labels, '$.platform'),
        json_extract(labels, '$.sdk_version'), json_extract(labels, '$.app_version')
    {KICKED} GROUP BY app_id, user_id
    """,
    """
    INSERT INTO storm_windows (kind, app_id, users_at_most, oldest_us)
    SELECT kind, app_id, COUNT(*), MIN(at_us) FROM storm_members GROUP BY kind, app_id
    """,
)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for statement in STATEMENTS:
        op.execute(statement)
