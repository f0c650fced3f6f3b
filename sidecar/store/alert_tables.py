"""The tables of alerts: what fired, its story, whom it was told, how that went, and what is silenced.

That no two alerts with one fingerprint fire at a time is held by an index, whatever the code does.
"""

from __future__ import annotations

import sqlalchemy as sa

from sidecar.store.tables import metadata

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
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
    sa.Column("position", sa.Integer),
    sa.Column("due_us", sa.BigInteger),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("labels", sa.Text, nullable=False),
    sa.Column("facts", sa.Text, nullable=False),
    sa.Column("held", sa.Text),
    sa.Column("owed", sa.Boolean(create_constraint=False), nullable=False),
    sa.Column("told", sa.Boolean(create_constraint=False), nullable=False),
    sa.Column("repeat_us", sa.BigInteger),
    sa.Column("acknowledged_by", sa.Text),
    sa.Column("acknowledged_at_us", sa.BigInteger),
    sa.Column("changed_at_us", sa.BigInteger, nullable=False),
    sa.Index("alerts_firing", "fingerprint", unique=True, sqlite_where=sa.text("state = 'firing'")),
    sa.Index("alerts_firing_by_kind", "kind", "app_id", sqlite_where=sa.text("state = 'firing'")),
    sa.Index("alerts_by_user", "user_id", "id", sqlite_where=sa.text("user_id IS NOT NULL")),
)

alert_history = sa.Table(
    "alert_history",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("alert_id", sa.Integer, nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("who", sa.Text),
    sa.Column("position", sa.Integer),
    sa.Column("text", sa.Text, nullable=False),
    sa.Index("alert_history_by_alert", "alert_id"),
)

# One row for each alert, receiver and thing to tell; a message tells of one of them, or of many.
alert_notifications = sa.Table(
    "alert_notifications",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("alert_id", sa.Integer, nullable=False),
    sa.Column("receiver", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("grouped", sa.Text, nullable=False),
    sa.Column("due_at_us", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("message_id", sa.Integer),
    sa.Index("alert_notifications_by_alert", "alert_id"),
    sa.Index("alert_notifications_waiting", "receiver", "id", sqlite_where=sa.text("state = 'waiting'")),
    sa.Index("alert_notifications_by_message", "message_id", sqlite_where=sa.text("message_id IS NOT NULL")),
)

alert_messages = sa.Table(
    "alert_messages",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("public_id", sa.Text, nullable=False),
    sa.Column("receiver", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("alert_id", sa.Integer),
    sa.Column("answers", sa.Integer),
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
    sa.Index("alert_messages_pending", "receiver", "id", sqlite_where=sa.text("state = 'pending'")),
    sa.Index("alert_messages_dead", "id", sqlite_where=sa.text("state = 'dead'")),
)

alert_silences = sa.Table(
    "alert_silences",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("matchers", sa.Text, nullable=False),
    sa.Column("starts_at_us", sa.BigInteger, nullable=False),
    sa.Column("ends_at_us", sa.BigInteger, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_at_us", sa.BigInteger, nullable=False),
    sa.Column("app_id", sa.BigInteger),
)
