"""What an edge has passed on, and the edges that a centre knows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0065_edges"
down_revision = "0064_pruned_apps"
KEEPS_PROJECTIONS = True


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    op.create_table(
        "forwarding",
        sa.Column("forwarding", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("removed", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "edges",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("token_id", sa.BigInteger, nullable=False),
        sa.Column("seen_at_us", sa.BigInteger, nullable=False),
        sa.Column("waiting", sa.BigInteger, nullable=False),
        sa.Column("behind_us", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
