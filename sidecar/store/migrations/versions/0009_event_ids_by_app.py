"""Event ids belong to their app: the unique key of ``events`` becomes (id, app).

A constraint of a table cannot be dropped, so the rows are copied: once, in their order, with no index to keep, and the
index is built at the end by sorting.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009_event_ids_by_app"
down_revision = "0008_ids_by_group"
KEEPS_PROJECTIONS = True


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    # Every column that there is, whichever migrations came before.
    columns = op.get_bind().execute(sa.text("SELECT name, type, \"notnull\" FROM pragma_table_info('events')")).all()
    definitions = ", ".join(f"{name} {kind}{' NOT NULL' * required}" for name, kind, required in columns)
    names = ", ".join(name for name, _, _ in columns)
    op.execute(f"CREATE TABLE events_copied ({definitions}, PRIMARY KEY (position))")
    op.execute(f"INSERT INTO events_copied ({names}) SELECT {names} FROM events ORDER BY position")
    op.execute("DROP TABLE events")
    op.execute("ALTER TABLE events_copied RENAME TO events")
    op.execute("CREATE UNIQUE INDEX events_by_id ON events (id, app_id)")
