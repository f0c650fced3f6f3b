"""The clients that decide a user's status are found by indexes, however many clients the user has."""

from __future__ import annotations

from alembic import op

revision = "0015_deciding_clients"
down_revision = "0014_browser_sessions"
KEEPS_PROJECTIONS = True

STATEMENTS = (
    "DROP INDEX clients_by_user",
    "CREATE INDEX clients_by_change ON clients (user_key, status, since_us, last_id)",
    "CREATE INDEX clients_by_sign_of_life ON clients (user_key, last_seen_at_us)",
    "CREATE INDEX clients_by_end ON clients (user_key, left_online_us) WHERE left_online_us IS NOT NULL",
    """
    CREATE INDEX clients_by_lease ON clients (user_key, sends_heartbeats, last_seen_at_us)
    WHERE status <> 'not_logged_in'
    """,
)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for statement in STATEMENTS:
        op.execute(statement)
