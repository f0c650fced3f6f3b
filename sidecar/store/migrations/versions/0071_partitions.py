"""The event log in partitions, and a table of the ids of all events, on PostgreSQL alone."""

from __future__ import annotations

from alembic import op

revision = "0071_partitions"
down_revision = "0070_announcements"
KEEPS_PROJECTIONS = True

_LEAST = 100_001
_HASHED = 8


def upgrade() -> None:
    """Forward only: a backup is the way back. All events so far become the first partition; none is copied."""
    if op.get_bind().dialect.name != "postgresql":
        return
    newest = op.get_bind().exec_driver_sql("SELECT COALESCE(MAX(position), 0) FROM events").scalar_one()
    end = max(newest + 1, _LEAST)
    first = f"events_0_{end}"
    for sql in (
        f"ALTER TABLE events RENAME TO {first}",
        f"ALTER TABLE {first} RENAME CONSTRAINT events_pkey TO {first}_pkey",
        "DROP INDEX events_by_id",
        f"CREATE TABLE events (LIKE {first} INCLUDING DEFAULTS) PARTITION BY RANGE (position)",
        "ALTER TABLE events ADD PRIMARY KEY (position)",
        "ALTER SEQUENCE events_position_seq OWNED BY events.position",
        f"ALTER TABLE events ATTACH PARTITION {first} FOR VALUES FROM (MINVALUE) TO ({end})",
        (
            "CREATE TABLE event_ids (app_id BIGINT NOT NULL, id BYTEA NOT NULL, position BIGINT NOT NULL)"
            " PARTITION BY HASH (id)"
        ),
        *(
            f"CREATE TABLE event_ids_{part} PARTITION OF event_ids"
            f" FOR VALUES WITH (MODULUS {_HASHED}, REMAINDER {part})"
            for part in range(_HASHED)
        ),
        "INSERT INTO event_ids (app_id, id, position) SELECT app_id, id, position FROM events",
        # After the rows: an index is made from all of them faster than from one after another.
        "ALTER TABLE event_ids ADD PRIMARY KEY (id, app_id)",
        "ANALYZE event_ids",
        (
            "CREATE FUNCTION add_event_ids() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO event_ids"
            " (app_id, id, position) SELECT app_id, id, position FROM added; RETURN NULL; END $$"
        ),
        (
            "CREATE TRIGGER add_event_ids AFTER INSERT ON events REFERENCING NEW TABLE AS added"
            " FOR EACH STATEMENT EXECUTE FUNCTION add_event_ids()"
        ),
        (
            "CREATE FUNCTION remove_event_ids() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM event_ids"
            " USING removed WHERE event_ids.id = removed.id AND event_ids.app_id = removed.app_id; RETURN NULL; END $$"
        ),
        (
            "CREATE TRIGGER remove_event_ids AFTER DELETE ON events REFERENCING OLD TABLE AS removed"
            " FOR EACH STATEMENT EXECUTE FUNCTION remove_event_ids()"
        ),
        "CREATE TABLE detached_partitions (name TEXT PRIMARY KEY, through BIGINT NOT NULL)",
    ):
        op.execute(sql)
