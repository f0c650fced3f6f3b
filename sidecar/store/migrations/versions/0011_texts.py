"""What alerts say is stored as a sentence's id and its parameters; what was English stays as it is, verbatim."""

from __future__ import annotations

from alembic import op

revision = "0011_texts"
down_revision = "0010_rejected_by_app"
KEEPS_PROJECTIONS = True

_TEXTS = (("alerts", "summary"), ("alerts", "end_reason"), ("alert_history", "text"), ("alert_messages", "error"))


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for table, column in _TEXTS:
        op.execute(
            f"UPDATE {table} SET {column} = json_array('verbatim', json_object('text', {column}))"
            f" WHERE {column} IS NOT NULL"
        )
