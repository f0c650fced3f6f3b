"""The schema of alerting: alerts, their history, notifications and messages, silences, and the state of the rules.

A unique index guarantees that of one fingerprint at most one alert fires at a time.
"""

from __future__ import annotations

import sqlalchemy as sa

from sidecar.store.schema import KEY, metadata, where

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("app_id", sa.BigInteger),
    sa.Column("user_id", sa.Text),
    sa.Column("other", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("started_at_us", sa.BigInteger, nullable=False),
    sa.Column("opened_at_us", sa.BigInteger, nullable=False),
    sa.Column("ended_at_us", sa.BigInteger),
    sa.Column("end_reason", sa.Text),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("position", KEY),
    sa.Column("due_us", sa.BigInteger),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("labels", sa.Text, nullable=False),
    sa.Column("facts", sa.Text, nullable=False),
    sa.Column("suppressed_by", sa.Text),
    sa.Column("routed", sa.Boolean(create_constraint=False), nullable=False),
    sa.Column("notified", sa.Boolean(create_constraint=False), nullable=False),
    sa.Column("repeat_us", sa.BigInteger),
    sa.Column("acknowledged_by", sa.Text),
    sa.Column("acknowledged_at_us", sa.BigInteger),
    sa.Column("changed_at_us", sa.BigInteger, nullable=False),
    sa.Index("alerts_firing", "fingerprint", unique=True, **where("state = 'firing'")),
    # For pages, newest first.
    sa.Index("alerts_by_kind", "kind", "id"),
    sa.Index("alerts_firing_by_id", "id", **where("state = 'firing'")),
    sa.Index("alerts_firing_by_kind", "kind", "id", **where("state = 'firing'")),
    sa.Index("alerts_acknowledged", "id", **where("state = 'firing' AND acknowledged_at_us IS NOT NULL")),
    sa.Index("alerts_firing_by_user", "app_id", "user_id", **where("state = 'firing'")),
    sa.Index("alerts_due", "due_us", **where("state = 'firing' AND due_us IS NOT NULL")),
    sa.Index("alerts_to_repeat", "repeat_us", **where("state = 'firing' AND repeat_us IS NOT NULL")),
    sa.Index("alerts_opened", "fingerprint", "opened_at_us"),
    sa.Index("alerts_by_user", "user_id", "id", **where("user_id IS NOT NULL")),
)

# How many alerts of each kind and app fire, so that no count reads them all. Those about no app have the app -1.
alert_counts = sa.Table(
    "alert_counts",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("app_id", sa.BigInteger, primary_key=True),
    sa.Column("firing", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)

alert_history = sa.Table(
    "alert_history",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("alert_id", KEY, nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("who", sa.Text),
    sa.Column("position", KEY),
    sa.Column("text", sa.Text, nullable=False),
    sa.Index("alert_history_by_alert", "alert_id"),
)

# One row for each alert, receiver and change to notify. A message has one of them, or many (a digest).
alert_notifications = sa.Table(
    "alert_notifications",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("alert_id", KEY, nullable=False),
    sa.Column("receiver", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("grouped", sa.Text, nullable=False),
    sa.Column("due_at_us", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("message_id", KEY),
    sa.Index("alert_notifications_by_alert", "alert_id"),
    sa.Index("alert_notifications_waiting", "receiver", "id", **where("state = 'waiting'")),
    sa.Index("alert_notifications_by_message", "message_id", **where("message_id IS NOT NULL")),
)

alert_messages = sa.Table(
    "alert_messages",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("public_id", sa.Text, nullable=False),
    sa.Column("receiver", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("alert_id", KEY),
    sa.Column("answers", KEY),
    sa.Column("alerts", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("created_at_us", sa.BigInteger, nullable=False),
    sa.Column("due_at_us", sa.BigInteger, nullable=False),
    sa.Column("tried_at_us", sa.BigInteger),
    sa.Column("sent_at_us", sa.BigInteger),
    sa.Column("error", sa.Text),
    sa.Column("proof", sa.Text),
    sa.Index("alert_messages_pending", "receiver", "id", **where("state = 'pending'")),
    sa.Index("alert_messages_dead", "id", **where("state = 'dead'")),
    sa.Index("alert_messages_by_acceptance", "sent_at_us", **where("sent_at_us IS NOT NULL")),
)

alert_silences = sa.Table(
    "alert_silences",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("matchers", sa.Text, nullable=False),
    sa.Column("starts_at_us", sa.BigInteger, nullable=False),
    sa.Column("ends_at_us", sa.BigInteger, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_at_us", sa.BigInteger, nullable=False),
    sa.Column("app_id", sa.BigInteger),
    # Whether its end was recorded, and the alerts that it hid and that still fire were notified.
    sa.Column("is_over", sa.Boolean(create_constraint=False), nullable=False),
    sa.Index("alert_silences_to_end", "ends_at_us", **where("NOT is_over")),
)

# Users that somebody watches. Those that have ended are deleted with the next one that is added.
user_watches = sa.Table(
    "user_watches",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("app_id", sa.BigInteger, nullable=False),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("receiver", sa.Text),
    sa.Column("created_at_us", sa.BigInteger, nullable=False),
    sa.Column("until_us", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("app_id", "user_id", "author"),
)

# One row for each offline user while the rules measure for how long: waiting for its alert, or alerted.
offline_watch = sa.Table(
    "offline_watch",
    metadata,
    sa.Column("app_id", sa.BigInteger, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("since_us", sa.BigInteger, nullable=False),
    # Reported so late that its alert is suppressed.
    sa.Column("late", sa.Boolean(create_constraint=False), nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Index("offline_watch_waiting", "since_us", **where("state = 'waiting'")),
    sqlite_with_rowid=False,
)

# The kicks within the window of the ping-pong rule, each by the position of its event.
kicks = sa.Table(
    "kicks",
    metadata,
    sa.Column("app_id", sa.BigInteger, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("position", KEY, primary_key=True),
    sa.Column("device", sa.Text, nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Index("kicks_by_time", "at_us"),
    sqlite_with_rowid=False,
)

# The users that may be part of a storm, each with the last time; and for each kind of storm and app an upper bound of
# their number, and a moment before which there is none.
storm_members = sa.Table(
    "storm_members",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("app_id", sa.BigInteger, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("platform", sa.Text),
    sa.Column("sdk_version", sa.Text),
    sa.Column("app_version", sa.Text),
    # Its own alert is to open unless a storm begins.
    sa.Column("held", sa.Boolean(create_constraint=False), nullable=False),
    # Of the SDK's error, where that is what happened.
    sa.Column("code", sa.BigInteger),
    sa.Index("storm_members_by_time", "kind", "app_id", "at_us"),
    sa.Index("storm_members_held", "kind", "app_id", "at_us", **where("held")),
    sqlite_with_rowid=False,
)
storm_windows = sa.Table(
    "storm_windows",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("app_id", sa.BigInteger, primary_key=True),
    sa.Column("users_at_most", sa.Integer, nullable=False),
    sa.Column("oldest_us", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The users of each storm that opened, with the first time. They stay with its alert.
alert_members = sa.Table(
    "alert_members",
    metadata,
    sa.Column("alert_id", KEY, primary_key=True),
    sa.Column("app_id", sa.BigInteger, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Index("alert_members_by_user", "app_id", "user_id"),
    sqlite_with_rowid=False,
)

# The cursors of the rules over things other than events.
alert_cursors = sa.Table(
    "alert_cursors",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("at_us", sa.BigInteger, nullable=False),
)
