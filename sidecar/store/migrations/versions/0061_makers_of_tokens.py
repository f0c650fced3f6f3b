"""Which account made a token, and which token rotated itself, so that what they made ends with them."""

from __future__ import annotations

from alembic import op

revision = "0061_makers_of_tokens"
down_revision = "0044_erasures"
KEEPS_PROJECTIONS = True

STATEMENTS = (
    "ALTER TABLE api_tokens ADD COLUMN made_by_account BIGINT",
    "ALTER TABLE api_tokens ADD COLUMN ends_with BIGINT",
    """
    UPDATE api_tokens SET made_by_account = (SELECT id FROM accounts WHERE 'account ' || name = api_tokens.made_by)
    """,
    """
    UPDATE api_tokens SET ends_with = (
        SELECT old.id FROM api_tokens old WHERE old.replaced_by = api_tokens.id
        AND (api_tokens.made_by = 'token ' || old.id OR api_tokens.made_by LIKE '%, by token ' || old.id)
    )
    """,
)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for statement in STATEMENTS:
        op.execute(statement)
