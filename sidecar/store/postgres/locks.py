"""Locks of the server that are not of rows: the right to serve, and the order of commits.

They are the database's; those of two schemas in it differ.
"""

from __future__ import annotations

from typing import Final

from sidecar.store.schema import APPLICATION_ID

_OBJECT: Final = "hashtext(current_schema() || '/{}')"
_KEYS: Final = f"({APPLICATION_ID}, {_OBJECT})"
SERVE: Final = f"SELECT pg_advisory_lock{_KEYS.format('serve')}"
"""Takes the right to serve until the session ends. It waits for another that has it, as for any lock."""
COMMIT_IN_ORDER: Final = f"SELECT pg_advisory_xact_lock{_KEYS.format('commit')}"
"""Waits for the transactions that write, and has those wait that begin later."""
# Two numbers of four bytes are shown as unsigned.
IS_SERVED: Final = (
    "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    f" AND classid::bigint = {APPLICATION_ID}"
    f" AND objid::bigint = {_OBJECT.format('serve')}::bigint & 4294967295)"
)
