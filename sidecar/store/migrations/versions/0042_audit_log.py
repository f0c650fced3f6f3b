"""The audit log, its marks, and the readable ids behind its pseudonyms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sidecar.store.access import audit_chain

revision = "0042_audit_log"
down_revision = "0031_reporters"
KEEPS_PROJECTIONS = True

STATEMENTS = (
    """
    CREATE TABLE audit_log (
        id INTEGER NOT NULL,
        at_us BIGINT NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT,
        address TEXT,
        request_id TEXT,
        details TEXT,
        hash BLOB NOT NULL,
        seal BLOB NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX audit_log_by_subject ON audit_log (subject, id) WHERE subject IS NOT NULL",
    "CREATE INDEX audit_log_by_time ON audit_log (at_us)",
    """
    CREATE TABLE audit_marks (
        name TEXT NOT NULL,
        id INTEGER NOT NULL,
        at_us BIGINT NOT NULL,
        hash BLOB NOT NULL,
        seal BLOB NOT NULL,
        PRIMARY KEY (name)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE audit_subjects (
        pseudonym TEXT NOT NULL,
        app_id BIGINT,
        user_id TEXT NOT NULL,
        PRIMARY KEY (pseudonym)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX audit_subjects_by_user ON audit_subjects (app_id, user_id)",
    "INSERT INTO keys (name, value) VALUES ('audit', randomblob(32)), ('audit_subjects', randomblob(32))",
)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for statement in STATEMENTS:
        op.execute(statement)
    connection = op.get_bind()
    key = connection.execute(sa.text("SELECT value FROM keys WHERE name = 'audit'")).scalar_one()
    first = audit_chain.first_hash(key)
    for name in ("head", "anchor"):
        row = {"name": name, "hash": first, "seal": audit_chain.seal_of_mark(key, name, 0, 0, first)}
        sql = "INSERT INTO audit_marks (name, id, at_us, hash, seal) VALUES (:name, 0, 0, :hash, :seal)"
        connection.execute(sa.text(sql), row)
