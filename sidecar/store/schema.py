"""The tables of the newest migration. ``docs/database.md`` explains them to those who query them.

``events`` is append-only under a growing integer key. Its only index on a random key makes event ids unique; a timeline
is read along pointers from each event to the one before it of its user and of its client. Ids are a UUID's 16 bytes;
``*_us`` is microseconds since the Unix epoch, UTC.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData()

# "ZIMW": SQLite's application_id, which marks a file as Zimwatch's.
APPLICATION_ID = 0x5A494D57
# The newest migration: a file at this revision has the tables below.
REVISION = "0071_partitions"
# The cursor that exists after a migration that changed projections, until they are rebuilt.
OUTDATED = "projections"
# The user key of clients before any login, and of their events.
NOBODY = 0
# The largest position and key.
LARGEST = 2**63 - 1
# Keys and positions. SQLite takes a primary key as the rowid only where its type is called INTEGER.
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def where(condition: str) -> dict[str, Any]:
    """The arguments that make an index partial."""
    return {f"{engine}_where": sa.text(condition) for engine in ("sqlite", "postgresql")}


events = sa.Table(
    "events",
    metadata,
    sa.Column("position", KEY, primary_key=True),
    sa.Column("id", sa.LargeBinary, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("occurred_at_us", sa.BigInteger, nullable=False),
    sa.Column("received_at_us", sa.BigInteger, nullable=False),
    sa.Column("moment_us", sa.BigInteger, nullable=False),
    sa.Column("client_id", sa.LargeBinary, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("app_id", sa.BigInteger, nullable=False),
    sa.Column("session_id", sa.LargeBinary),
    sa.Column("user_id", sa.Text),
    sa.Column("platform", sa.Text),
    sa.Column("sdk_name", sa.Text),
    sa.Column("sdk_version", sa.Text),
    sa.Column("app_version", sa.Text),
    sa.Column("device_id", sa.Text),
    sa.Column("connection_state", sa.Text),
    sa.Column("connection_event", sa.Text),
    sa.Column("extended_data", sa.Text),
    sa.Column("details", sa.Text),
    sa.Column("previous_user_position", KEY),
    sa.Column("previous_client_position", KEY),
    sa.Column("previous_state", sa.Text),
    sa.Column("previous_state_duration_us", sa.BigInteger),
    sa.Column("user_status", sa.Text),
    sa.Column("starts_trace", sa.Boolean(create_constraint=False)),
    sa.Column("reporter_name", sa.Text),
    sa.Column("reporter_version", sa.Text),
    # Whether the app's backend vouched for the user; null where that cannot be said.
    sa.Column("proven", sa.Boolean(create_constraint=False)),
    # The key of idempotency. The id comes first, so that each of many ids looked up is one range of the index.
    sa.Index("events_by_id", "id", "app_id", unique=True),
)

# One row for each (client, user) that is not packed in its user's row: those that decide nothing any more, those of
# crowded users, and those without a user. An SDK instance may serve one user after another.
clients = sa.Table(
    "clients",
    metadata,
    sa.Column("client_key", KEY, primary_key=True),
    sa.Column("client_id", sa.LargeBinary, nullable=False),
    sa.Column("user_key", KEY, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("since_us", sa.BigInteger),
    sa.Column("reason", sa.Text),
    sa.Column("left_online_us", sa.BigInteger),
    sa.Column("outages", sa.Integer, nullable=False),
    sa.Column("connection_state", sa.Text),
    sa.Column("connection_state_since_us", sa.BigInteger),
    sa.Column("session_id", sa.LargeBinary),
    sa.Column("reports_login", sa.Boolean(create_constraint=False), nullable=False),
    sa.Column("ended", sa.Boolean(create_constraint=False), nullable=False),
    sa.Column("ended_session_id", sa.LargeBinary),
    sa.Column("login_at_us", sa.BigInteger),
    sa.Column("token_expires_at_us", sa.BigInteger),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
    sa.Column("last_id", sa.LargeBinary, nullable=False),
    sa.Column("platform", sa.Text),
    sa.Column("sdk_name", sa.Text),
    sa.Column("sdk_version", sa.Text),
    sa.Column("app_version", sa.Text),
    sa.Column("device_id", sa.Text),
    sa.Column("last_position", KEY),
    sa.Column("last_seen_at_us", sa.BigInteger, nullable=False),
    sa.Column("sends_heartbeats", sa.Boolean(create_constraint=False), nullable=False),
    sa.Column("logged_out", sa.Boolean(create_constraint=False), nullable=False),
    sa.Column("clock_off_us", sa.BigInteger, nullable=False),
    sa.Column("touched", sa.Integer, nullable=False),
    # How many of its events arrived since a block was closed, and the last position before that.
    sa.Column("tail_events", sa.Integer, nullable=False),
    sa.Column("closed_position", KEY),
    # The interval between heartbeats that it was given last, if it sends them; 0: none yet. It is as wide as a moment,
    # because an index of PostgreSQL adds it to one in microseconds.
    sa.Column("heartbeat_after_s", KEY, nullable=False),
    sa.Column("reporter_name", sa.Text),
    sa.Column("reporter_version", sa.Text),
    sa.UniqueConstraint("client_id", "user_key"),
    # Each finds one of the deciding clients: see users/client_rows.py.
    sa.Index("clients_by_change", "user_key", "status", "since_us", "last_id"),
    sa.Index("clients_by_sign_of_life", "user_key", "last_seen_at_us"),
    sa.Index("clients_by_end", "user_key", "left_online_us", **where("left_online_us IS NOT NULL")),
    sa.Index(
        "clients_by_lease",
        "user_key",
        "sends_heartbeats",
        sa.text("(last_seen_at_us + 3000000 * heartbeat_after_s)"),
        **where("status <> 'not_logged_in'"),
    ),
)

# The events of a client in their order, in blocks with the client's state at the end of each: for late events.
client_blocks = sa.Table(
    "client_blocks",
    metadata,
    sa.Column("user_key", KEY, primary_key=True),
    sa.Column("client_id", sa.LargeBinary, primary_key=True),
    # Of the last event in it.
    sa.Column("last_seq", sa.BigInteger, primary_key=True),
    sa.Column("last_id", sa.LargeBinary, primary_key=True),
    sa.Column("newest_position", KEY, nullable=False),
    sa.Column("touched", sa.Integer, nullable=False),
    sa.Column("positions", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.LargeBinary, nullable=False),
    sa.Index("client_blocks_by_position", "newest_position"),
    sqlite_with_rowid=False,
)

# One row for each trace with a root: a session, or a client whose events name no session.
traces = sa.Table(
    "traces",
    metadata,
    sa.Column("trace_id", sa.LargeBinary, primary_key=True),
    sa.Column("root_position", KEY, nullable=False),
    sqlite_with_rowid=False,
)

# Groups of users, by all that lists are filtered by: a page merges the groups that match.
user_groups = sa.Table(
    "user_groups",
    metadata,
    sa.Column("group_key", KEY, primary_key=True),
    sa.Column("app_id", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("platform", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("unconfirmed", sa.Boolean(create_constraint=False), nullable=False),
    sa.Column("users", sa.Integer, nullable=False),
    sa.UniqueConstraint("app_id", "status", "platform", "reason", "unconfirmed"),
)

user_status = sa.Table(
    "user_status",
    metadata,
    sa.Column("user_key", KEY, primary_key=True),
    sa.Column("app_id", sa.BigInteger, nullable=False),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("since_us", sa.BigInteger),
    sa.Column("reason", sa.Text),
    sa.Column("token_expires_at_us", sa.BigInteger),
    sa.Column("platform", sa.Text),
    sa.Column("lease_until_us", sa.BigInteger),
    sa.Column("last_seen_at_us", sa.BigInteger, nullable=False),
    sa.Column("last_position", KEY),
    sa.Column("changed_position", KEY, nullable=False),
    sa.Column("group_key", KEY, nullable=False),
    # When to check the lease, in lease time: no later than its end, and not updated at every sign of life. Once it has
    # lapsed, when it did; or when the last device logged out that was not silent. Null where no client is live.
    sa.Column("lease_check_us", sa.BigInteger),
    sa.Column("lease_lapsed", sa.Boolean(create_constraint=False), nullable=False),
    # The deciding clients as JSON, so that a user is one row to read and to write. Empty for a crowded user: all of its
    # clients have rows of their own.
    sa.Column("clients", sa.Text, nullable=False),
    sa.Column("crowded", sa.Boolean(create_constraint=False), nullable=False),
    sa.Column("left_elsewhere_us", sa.BigInteger),
    sa.UniqueConstraint("app_id", "user_id"),
    # With the id, so that a search by a part of it reads no row in vain.
    sa.Index("user_status_by_group", "group_key", "changed_position", "user_id"),
    sa.Index("user_status_by_token", "token_expires_at_us"),
    sa.Index("user_status_by_check", "lease_lapsed", "lease_check_us", **where("lease_check_us IS NOT NULL")),
)

# What happened to users: a row for each minute of a user in which events of a kind have their moment, and for each
# platform and version (empty: none) that these report. See users/happenings.py.
happenings = sa.Table(
    "happenings",
    metadata,
    sa.Column("user_key", KEY, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("minute", sa.Integer, primary_key=True),
    sa.Column("platform", sa.Text, primary_key=True),
    sa.Column("sdk_version", sa.Text, primary_key=True),
    sa.Column("app_version", sa.Text, primary_key=True),
    sa.Column("app_id", sa.BigInteger, nullable=False),
    sa.Column("first_us", sa.BigInteger, nullable=False),
    sa.Column("last_us", sa.BigInteger, nullable=False),
    sa.Column("times", sa.Integer, nullable=False),
    # All that lists and totals read. SQLite adds the primary key.
    sa.Index("happenings_by_moment", "app_id", "kind", "last_us", "user_key", "first_us", "times"),
    sqlite_with_rowid=False,
)

# Counts per minute, for charts: of each app, and of every app together with ``app_id`` 0.
rollups = sa.Table(
    "rollups",
    metadata,
    sa.Column("every_app", sa.Boolean(create_constraint=False), primary_key=True),
    sa.Column("app_id", sa.BigInteger, primary_key=True),
    sa.Column("minute", sa.Integer, primary_key=True),
    sa.Column("online", sa.Integer, nullable=False),
    sa.Column("offline", sa.Integer, nullable=False),
    sa.Column("not_logged_in", sa.Integer, nullable=False),
    sa.Column("kicked_out", sa.Integer, nullable=False),
    sa.Column("token_expired", sa.Integer, nullable=False),
    sa.Column("logins", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)

# The hours of the last days in which each app sent something, events or heartbeats.
app_hours = sa.Table(
    "app_hours",
    metadata,
    sa.Column("app_id", sa.BigInteger, primary_key=True),
    # Since the Unix epoch.
    sa.Column("hour", sa.Integer, primary_key=True),
    # Bit 0 is the first minute.
    sa.Column("minutes", sa.BigInteger, nullable=False),
    # The fewest at once, sampled each minute.
    sa.Column("users", sa.Integer),
    sqlite_with_rowid=False,
)

# Devices that began to report through a tap or port that is older than the server, today and yesterday.
old_reporters = sa.Table(
    "old_reporters",
    metadata,
    sa.Column("app_id", sa.BigInteger, primary_key=True),
    # Since the Unix epoch, UTC.
    sa.Column("day", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, primary_key=True),
    sa.Column("devices", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)

# The span outbox: runs of positions whose connection state changes are pending. New ones join the open run, which is
# empty while its last position is before its first.
span_outbox = sa.Table(
    "span_outbox",
    metadata,
    sa.Column("first_position", KEY, primary_key=True),
    sa.Column("last_position", KEY, nullable=False),
    sa.Column("is_open", sa.Boolean(create_constraint=False), nullable=False),
    sa.Column("spans", sa.Integer, nullable=False),
)

# The followers of the log and their cursors, which are moved in the transaction of the effect.
followers = sa.Table(
    "followers",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Spans that the collector rejected or that were given up.
span_losses = sa.Table(
    "span_losses",
    metadata,
    sa.Column("loss", KEY, primary_key=True),
    sa.Column("lost_at_us", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("spans", sa.Integer, nullable=False),
    sa.Column("position", KEY),
    sa.Column("event_id", sa.LargeBinary),
    sa.Column("problem", sa.Text, nullable=False),
)

# The last report of ZEGO's server on each of a user's sessions, as JSON, and since when it differs from the status.
server_views = sa.Table(
    "server_views",
    metadata,
    sa.Column("app_id", sa.BigInteger, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("words", sa.Text, nullable=False),
    sa.Column("differs_since_us", sa.BigInteger),
    sa.Index("server_views_by_difference", "differs_since_us", **where("differs_since_us IS NOT NULL")),
)

# How far lease time is behind the machine's clock, and from when on; the newest row has when Zimwatch last ran.
lease_stretches = sa.Table(
    "lease_stretches",
    metadata,
    sa.Column("stretch", sa.Integer, primary_key=True),
    sa.Column("begins_us", sa.BigInteger, nullable=False),
    sa.Column("skipped_us", sa.BigInteger, nullable=False),
    sa.Column("alive_us", sa.BigInteger, nullable=False),
    # The interval between heartbeats that was given then, how many clients sent some, and whether such may have been in
    # memory alone.
    sa.Column("heartbeat_after_s", sa.Integer, nullable=False),
    sa.Column("heartbeat_clients", sa.Integer, nullable=False),
    sa.Column("holds_heartbeats", sa.Boolean(create_constraint=False), nullable=False),
)

# One row while pruning by age is on hold, because the clock jumped. ``begun_us`` is lease time.
pruning_hold = sa.Table(
    "pruning_hold",
    metadata,
    sa.Column("hold", sa.Integer, primary_key=True),
    sa.Column("by_us", sa.BigInteger, nullable=False),
    sa.Column("begun_us", sa.BigInteger, nullable=False),
)

# The events of an app before this position are deleted, as it is kept for a shorter time than others.
pruned_apps = sa.Table(
    "pruned_apps",
    metadata,
    sa.Column("app_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("first_position", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

rejected_events = sa.Table(
    "rejected_events",
    metadata,
    sa.Column("rejection", KEY, primary_key=True),
    sa.Column("received_at_us", sa.BigInteger, nullable=False),
    sa.Column("batch_index", sa.Integer, nullable=False),
    sa.Column("event_id", sa.Text),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("app_id", sa.BigInteger),
    sa.Index("rejected_events_by_time", "received_at_us", "app_id", "error"),
)

# Accepted signed requests, by a digest of what identifies each, until their signatures expire.
signed_requests = sa.Table(
    "signed_requests",
    metadata,
    sa.Column("request", sa.LargeBinary, primary_key=True),
    sa.Column("contents", sa.LargeBinary, nullable=False),
    sa.Column("until_us", sa.BigInteger, nullable=False),
    sa.Index("signed_requests_by_end", "until_us"),
    sqlite_with_rowid=False,
)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)

api_tokens = sa.Table(
    "api_tokens",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("secret_sha256", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("hint", sa.Text, nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("created_at_us", sa.BigInteger, nullable=False),
    sa.Column("expires_at_us", sa.BigInteger),
    sa.Column("revoked_at_us", sa.BigInteger),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("apps", sa.Text),
    sa.Column("origins", sa.Text, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("made_by_token", sa.BigInteger),
    sa.Column("made_by_account", sa.BigInteger),
    sa.Column("made_by_identity", sa.Text),
    sa.Column("last_used_at_us", sa.BigInteger),
    sa.Column("replaced_by", sa.BigInteger),
    # The token that rotated itself, and so began the line that this one is of.
    sa.Column("ends_with", sa.BigInteger),
)
