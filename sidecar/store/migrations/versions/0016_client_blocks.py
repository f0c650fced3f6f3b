"""Each client's events in order, in blocks, so that a late event is inserted without reading all of them."""

from __future__ import annotations

from alembic import op

revision = "0016_client_blocks"
down_revision = "0015_deciding_clients"

STATEMENTS = (
    """
    CREATE TABLE client_blocks (
        user_key INTEGER NOT NULL,
        client_id BLOB NOT NULL,
        last_seq BIGINT NOT NULL,
        last_id BLOB NOT NULL,
        newest_position INTEGER NOT NULL,
        touched INTEGER NOT NULL,
        positions BLOB NOT NULL,
        state BLOB NOT NULL,
        PRIMARY KEY (user_key, client_id, last_seq, last_id)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX client_blocks_by_position ON client_blocks (newest_position)",
    "ALTER TABLE clients ADD COLUMN touched INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE clients ADD COLUMN tail_events INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE clients ADD COLUMN closed_position INTEGER",
)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for statement in STATEMENTS:
        op.execute(statement)
