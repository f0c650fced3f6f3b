"""Which person whom a provider or a proxy named made a token, so that it ends with what that person may."""

from __future__ import annotations

from alembic import op

revision = "0062_tokens_of_identities"
down_revision = "0061_makers_of_tokens"
KEEPS_PROJECTIONS = True


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    op.execute("ALTER TABLE api_tokens ADD COLUMN made_by_identity TEXT")
