"""The tap or port that each client reports through, and how many devices report through an old one."""

from __future__ import annotations

from alembic import op

revision = "0031_reporters"
down_revision = "0030_user_watches"
KEEPS_PROJECTIONS = True

STATEMENTS = (
    "ALTER TABLE clients ADD COLUMN reporter_name TEXT",
    "ALTER TABLE clients ADD COLUMN reporter_version TEXT",
    """
    CREATE TABLE old_reporters (
        app_id BIGINT NOT NULL,
        day INTEGER NOT NULL,
        name TEXT NOT NULL,
        version TEXT NOT NULL,
        devices INTEGER NOT NULL,
        PRIMARY KEY (app_id, day, name, version)
    ) WITHOUT ROWID
    """,
)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for statement in STATEMENTS:
        op.execute(statement)
