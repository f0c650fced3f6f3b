"""What follows from events that are deleted, and goes with them: traces, clients and blocks of their history."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import sqlalchemy as sa

from sidecar.domain.status import NOT_LOGGED_IN
from sidecar.store import mapping, schema
from sidecar.store.mapping import Client

GONE: Final = "its event is no longer in the log"
_SAME: Final = "older.user_key = gone.user_key AND older.client_id = gone.client_id"
_BEFORE: Final = "(older.last_seq, older.last_id) < (gone.last_seq, gone.last_id)"
_BLOCKS: Final = (
    "DELETE FROM client_blocks WHERE (user_key, client_id, last_seq, last_id) IN ("
    "SELECT older.user_key, older.client_id, older.last_seq, older.last_id FROM client_blocks AS gone"
    f" JOIN client_blocks AS older ON {_SAME} AND {_BEFORE}"
    " WHERE gone.newest_position BETWEEN ? AND ?{own} AND older.newest_position <= ?)"
)


def forget_traces(connection: sa.Connection, roots: Sequence[Any]) -> None:
    """A trace that may get more spans keeps its row, or it would get a second root."""
    gone = []
    for root in roots:
        found = connection.exec_driver_sql(
            "SELECT user_key, clients, crowded FROM user_status WHERE app_id = ? AND user_id = ?",
            (root.app_id, root.user_id),
        ).first()
        own = _clients_of(connection, root.client_id, found)
        live = {one.state.session_id or one.client_id for one in own if one.state.status != NOT_LOGGED_IN}
        trace_id = root.session_id or root.client_id
        if trace_id not in live:
            gone.append((trace_id,))
    if gone:
        connection.exec_driver_sql("DELETE FROM traces WHERE trace_id = ?", gone)


def _clients_of(connection: sa.Connection, client_id: bytes, user: Any) -> list[Client]:  # noqa: ANN401 - a row or None
    """The clients in the user's row; of a crowded user only this one."""
    if user is None or not user.crowded:
        return [] if user is None else mapping.unpack(user.clients)
    sql = f"SELECT {mapping.columns(schema.clients)} FROM clients WHERE client_id = ? AND user_key = ?"
    return [mapping.client_of(row) for row in connection.exec_driver_sql(sql, (client_id, user.user_key))]


def forget_clients(connection: sa.Connection, client_ids: set[bytes], last: int) -> None:
    """Deletes clients that decide nothing and have no events left."""
    ended = f"client_id = ? AND last_position <= ? AND status = '{NOT_LOGGED_IN}'"
    ended_clients = [(client_id, last) for client_id in sorted(client_ids)]
    blocks = f"(user_key, client_id) IN (SELECT user_key, client_id FROM clients WHERE {ended})"
    connection.exec_driver_sql(f"DELETE FROM client_blocks WHERE {blocks}", ended_clients)
    connection.exec_driver_sql(f"DELETE FROM clients WHERE {ended}", ended_clients)


def forget_blocks(connection: sa.Connection, first: int, last: int) -> None:
    """Deletes blocks without events, but the newest of a client's: it has the state in which the next one begins."""
    connection.exec_driver_sql(_BLOCKS.format(own=""), (first, last, last))


def forget_blocks_of(connection: sa.Connection, client_ids: Collection[bytes], first: int, last: int) -> None:
    """The same of some clients alone."""
    for some in mapping.chunks(sorted(client_ids)):
        own = f" AND gone.client_id IN ({', '.join('?' * len(some))})"
        connection.exec_driver_sql(_BLOCKS.format(own=own), (first, last, *some, last))
