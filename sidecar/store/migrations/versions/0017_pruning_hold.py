"""The hold on pruning after the clock jumped."""

from __future__ import annotations

from alembic import op

revision = "0017_pruning_hold"
down_revision = "0016_client_blocks"
KEEPS_PROJECTIONS = True


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    op.execute(
        "CREATE TABLE pruning_hold (hold INTEGER NOT NULL, by_us BIGINT NOT NULL, begun_us BIGINT NOT NULL,"
        " PRIMARY KEY (hold))"
    )
