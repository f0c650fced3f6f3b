"""The tables, as they are now. ``docs/database.md`` explains them to those who query them.

``events`` is append-only under an integer key that only grows, and has no index on a random key but the one that
makes an event id unique. A timeline is read by following pointers: each event names the one before it of its user
and of its client. All ids are a UUID's 16 bytes; ``*_us`` is microseconds since the Unix epoch, UTC.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

# "ZIMW": SQLite's application_id, by which a file is known as ours.
APPLICATION_ID = 0x5A494D57
# The newest migration: a file at this revision has the tables below, and needs none.
REVISION = "0008_ids_by_group"
# The user key of events that came before any login: they belong to a client, and to nobody yet.
NOBODY = 0
# No position is larger.
LARGEST = 2**63 - 1

events = sa.Table(
    "events",
    metadata,
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("id", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("occurred_at_us", sa.BigInteger, nullable=False),
    sa.Column("received_at_us", sa.BigInteger, nullable=False),
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
    sa.Column("previous_user_position", sa.Integer),
    sa.Column("previous_client_position", sa.Integer),
    sa.Column("previous_state", sa.Text),
    sa.Column("previous_state_duration_us", sa.BigInteger),
    sa.Column("user_status", sa.Text),
    sa.Column("starts_trace", sa.Boolean(create_constraint=False)),
)

# One row for each (client, user) that is not packed in its user's row: those that decide nothing any more, those of
# users with many, and those of nobody. An SDK instance may serve one user after another.
clients = sa.Table(
    "clients",
    metadata,
    sa.Column("client_key", sa.Integer, primary_key=True),
    sa.Column("client_id", sa.LargeBinary, nullable=False),
    sa.Column("user_key", sa.Integer, nullable=False),
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
    sa.Column("last_position", sa.Integer),
    sa.Column("last_seen_at_us", sa.BigInteger, nullable=False),
    sa.Column("sends_heartbeats", sa.Boolean(create_constraint=False), nullable=False),
    sa.UniqueConstraint("client_id", "user_key"),
    sa.Index("clients_by_user", "user_key"),
)

# One row for each trace that has a root: a session, or the whole of a client where events name no session.
traces = sa.Table(
    "traces",
    metadata,
    sa.Column("trace_id", sa.LargeBinary, primary_key=True),
    sa.Column("root_position", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)

# Users stand in groups, by all that a list of them can be filtered by: a page is the merge of the groups that fit it.
user_groups = sa.Table(
    "user_groups",
    metadata,
    sa.Column("group_key", sa.Integer, primary_key=True),
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
    sa.Column("user_key", sa.Integer, primary_key=True),
    sa.Column("app_id", sa.BigInteger, nullable=False),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("since_us", sa.BigInteger),
    sa.Column("reason", sa.Text),
    sa.Column("token_expires_at_us", sa.BigInteger),
    sa.Column("platform", sa.Text),
    sa.Column("lease_until_us", sa.BigInteger),
    sa.Column("last_seen_at_us", sa.BigInteger, nullable=False),
    sa.Column("last_position", sa.Integer),
    sa.Column("changed_position", sa.Integer, nullable=False),
    sa.Column("group_key", sa.Integer, nullable=False),
    # When to look whether the lease has run out, in lease time: no later than it does, and not moved on with every sign
    # of life. Once it has, the moment at which it did, with a minus.
    sa.Column("lease_check_us", sa.BigInteger),
    # The clients that decide the status, packed: one row to read and to write for each user. Null where they are many.
    sa.Column("clients", sa.LargeBinary),
    sa.Column("left_elsewhere_us", sa.BigInteger),
    sa.UniqueConstraint("app_id", "user_id"),
    # With the id, so that a search by a part of one reads no row of those that do not have it.
    sa.Index("user_status_by_group", "group_key", "changed_position", "user_id"),
    sa.Index("user_status_by_token", "token_expires_at_us"),
    sa.Index("user_status_by_check", "lease_check_us", sqlite_where=sa.text("lease_check_us IS NOT NULL")),
)

# What each minute looked like, for charts; app_id -1 is over all apps.
rollups = sa.Table(
    "rollups",
    metadata,
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

# The span outbox: runs of positions whose connection state changes are owed to the collector. The last position is
# null while new events join the run.
span_outbox = sa.Table(
    "span_outbox",
    metadata,
    sa.Column("first_position", sa.Integer, primary_key=True),
    sa.Column("last_position", sa.Integer),
    sa.Column("spans", sa.Integer, nullable=False),
)

# Spans that the collector will not have, or that were given up: named, and out of the way of the others.
span_losses = sa.Table(
    "span_losses",
    metadata,
    sa.Column("loss", sa.Integer, primary_key=True),
    sa.Column("lost_at_us", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("spans", sa.Integer, nullable=False),
    sa.Column("position", sa.Integer),
    sa.Column("event_id", sa.LargeBinary),
    sa.Column("problem", sa.Text, nullable=False),
)

# What ZEGO's server last said of each of a user's sessions, as JSON, and since when that differs from the status.
server_views = sa.Table(
    "server_views",
    metadata,
    sa.Column("app_id", sa.BigInteger, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("words", sa.Text, nullable=False),
    sa.Column("differs_since_us", sa.BigInteger),
    sa.Index("server_views_by_difference", "differs_since_us", sqlite_where=sa.text("differs_since_us IS NOT NULL")),
)

# How far lease time is behind the machine's clock, from when on; the newest row also says when Zimwatch last ran.
lease_stretches = sa.Table(
    "lease_stretches",
    metadata,
    sa.Column("stretch", sa.Integer, primary_key=True),
    sa.Column("begins_us", sa.BigInteger, nullable=False),
    sa.Column("skipped_us", sa.BigInteger, nullable=False),
    sa.Column("alive_us", sa.BigInteger, nullable=False),
)

rejected_events = sa.Table(
    "rejected_events",
    metadata,
    sa.Column("rejection", sa.Integer, primary_key=True),
    sa.Column("received_at_us", sa.BigInteger, nullable=False),
    sa.Column("batch_index", sa.Integer, nullable=False),
    sa.Column("event_id", sa.Text),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
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
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("secret_sha256", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("hint", sa.Text, nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("app_id", sa.BigInteger),
    sa.Column("created_at_us", sa.BigInteger, nullable=False),
    sa.Column("expires_at_us", sa.BigInteger),
    sa.Column("revoked_at_us", sa.BigInteger),
)
