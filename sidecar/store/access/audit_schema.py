"""The tables of the audit log."""

from __future__ import annotations

import sqlalchemy as sa

from sidecar.store import schema

# The audit log: a hash chain, to which rows are appended and of which old ones are deleted at the front alone. See
# access/audit_log.py.
audit_log = sa.Table(
    "audit_log",
    schema.metadata,
    sa.Column("id", schema.KEY, primary_key=True, autoincrement=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("subject", sa.Text),
    sa.Column("address", sa.Text),
    sa.Column("request_id", sa.Text),
    sa.Column("details", sa.Text),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Column("seal", sa.LargeBinary, nullable=False),
    sa.Index("audit_log_by_subject", "subject", "id", **schema.where("subject IS NOT NULL")),
    sa.Index("audit_log_by_time", "at_us"),
)

# Its newest row (``head``), and the one before its oldest (``anchor``).
audit_marks = sa.Table(
    "audit_marks",
    schema.metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("id", schema.KEY, nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Column("seal", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# The readable ids behind the pseudonyms of the audit log, which erasing a user deletes; a search has no app.
audit_subjects = sa.Table(
    "audit_subjects",
    schema.metadata,
    sa.Column("pseudonym", sa.Text, primary_key=True),
    sa.Column("app_id", sa.BigInteger),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Index("audit_subjects_by_user", "app_id", "user_id"),
    sqlite_with_rowid=False,
)
