"""Tokens with a name, several apps, origins, their last use, and the token that replaces them."""

from __future__ import annotations

from alembic import op

revision = "0052_scoped_tokens"
down_revision = "0055_accounts"
KEEPS_PROJECTIONS = True

STATEMENTS = (
    "ALTER TABLE api_tokens ADD COLUMN name TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE api_tokens ADD COLUMN apps TEXT",
    "ALTER TABLE api_tokens ADD COLUMN origins TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE api_tokens ADD COLUMN made_by TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE api_tokens ADD COLUMN made_by_token BIGINT",
    "ALTER TABLE api_tokens ADD COLUMN last_used_at_us BIGINT",
    "ALTER TABLE api_tokens ADD COLUMN replaced_by BIGINT",
    "UPDATE api_tokens SET apps = CAST(app_id AS TEXT) WHERE app_id IS NOT NULL",
    "ALTER TABLE api_tokens DROP COLUMN app_id",
)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for statement in STATEMENTS:
        op.execute(statement)
