"""Users that somebody watches."""

from __future__ import annotations

from alembic import op

revision = "0030_user_watches"
down_revision = "0029_happenings"
KEEPS_PROJECTIONS = True


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    op.execute(
        """
        CREATE TABLE user_watches (
            id INTEGER NOT NULL PRIMARY KEY,
            app_id BIGINT NOT NULL,
            user_id TEXT NOT NULL,
            author TEXT NOT NULL,
            receiver TEXT,
            created_at_us BIGINT NOT NULL,
            until_us BIGINT NOT NULL,
            UNIQUE (app_id, user_id, author)
        )
        """
    )
