"""Locks of the server that are not of rows: which processes serve, the order of commits, and duties.

They are the database's; those of two schemas in it differ.
"""

from __future__ import annotations

from typing import Final

from sidecar.store.schema import APPLICATION_ID

_OBJECT: Final = "hashtext(current_schema() || '/{}')"
_KEYS: Final = f"({APPLICATION_ID}, {_OBJECT})"
SERVE: Final = f"SELECT pg_advisory_lock_shared{_KEYS.format('serve')}"
"""Shows until the session ends that its process serves the database, as others may."""
COMMIT_IN_ORDER: Final = f"SELECT pg_advisory_xact_lock{_KEYS.format('commit')}"
"""Waits for the transactions that write, and has those wait that begin later."""
# Two numbers of four bytes are shown as unsigned.
_IS_LOCK: Final = (
    "locktype = 'advisory' AND granted AND objsubid = 2"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    f" AND classid::bigint = {APPLICATION_ID} AND objid::bigint = {{}}::bigint & 4294967295"
)
_IS_SERVE: Final = _IS_LOCK.format(_OBJECT.format("serve"))
IS_SERVED: Final = f"SELECT EXISTS (SELECT 1 FROM pg_locks WHERE {_IS_SERVE})"
IS_SHARED: Final = f"SELECT EXISTS (SELECT 1 FROM pg_locks WHERE {_IS_SERVE} AND pid <> pg_backend_pid())"
"""Whether another session shows that its process serves the database."""
SERVING: Final = (
    "SELECT pid, application_name, (EXTRACT(EPOCH FROM backend_start) * 1000000)::bigint,"
    " (EXTRACT(EPOCH FROM state_change) * 1000000)::bigint FROM pg_locks JOIN pg_stat_activity USING (pid)"
    f" WHERE {_IS_SERVE} ORDER BY backend_start"
)
"""The sessions that may serve, the oldest first: process id, name, when it began, and when it did something last."""
COMMITTING: Final = (
    "SELECT pid, application_name FROM pg_locks JOIN pg_stat_activity USING (pid)"
    f" WHERE {_IS_LOCK.format(_OBJECT.format('commit'))}"
)
"""Process id and name of the session whose transaction is the one that may write."""
_DUTY: Final = "hashtext(current_schema() || '/duty/' || duty)"
_DUTIES: Final = "json_array_elements_text(?::json) AS duties (duty)"
TAKE_DUTIES: Final = f"SELECT duty FROM {_DUTIES} WHERE pg_try_advisory_lock({APPLICATION_ID}, {_DUTY})"
"""Takes those duties of a JSON array that no session has, until this session ends; gives them."""
HOLDING: Final = f"SELECT pid, duty FROM {_DUTIES} JOIN pg_locks ON {_IS_LOCK.format(_DUTY)} ORDER BY duty"
"""Process id and duty, for each duty of a JSON array that a session has."""
