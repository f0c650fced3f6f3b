"""How events and clients stand in their tables: the one place that knows the order of the columns.

Written out column by column, because this runs for every event; a test holds the order to the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.events import Event
from sidecar.domain.login_state import LoginState
from sidecar.store import tables
from sidecar.store.records import StoredEvent

if TYPE_CHECKING:
    from sidecar.store.reactions import Effect

_encode: Final = msgspec.json.Encoder().encode


class Client(msgspec.Struct, kw_only=True, array_like=True, gc=False):
    """An SDK instance in the hands of one user (or of nobody, before the first login)."""

    client_key: int
    client_id: bytes
    user_key: int
    state: LoginState
    last_seen_at_us: int
    last_position: int | None = None
    sends_heartbeats: bool = False
    platform: str | None = None
    sdk_name: str | None = None
    sdk_version: str | None = None
    app_version: str | None = None
    device_id: str | None = None


def columns(table: sa.Table, *, of: str = "") -> str:
    """The table's columns in order, each behind the alias ``of`` where one is given."""
    return ", ".join(f"{of}.{column.name}" if of else column.name for column in table.columns)


def insert(table: sa.Table) -> str:
    """An INSERT of whole rows, in the order of the columns."""
    marks = ", ".join("?" * len(table.columns))
    return f"INSERT INTO {table.name} ({columns(table)}) VALUES ({marks})"


def event_row(position: int, event: Event, effect: Effect) -> tuple[Any, ...]:
    """A row of ``events``."""
    return (
        position,
        event.id,
        event.type,
        event.occurred_at_us,
        event.received_at_us,
        event.client_id,
        event.seq,
        event.app_id,
        event.session_id,
        event.user_id,
        event.platform,
        event.sdk_name,
        event.sdk_version,
        event.app_version,
        event.device_id,
        event.connection_state,
        event.connection_event,
        event.extended_data,
        _encode(event.details).decode() if event.details else None,
        effect.previous_user_position,
        effect.previous_client_position,
        effect.previous_state,
        effect.previous_state_duration_us,
        effect.status,
        effect.starts_trace,
    )


_FIELDS_OF_EVENT = tuple(name for name in Event.__struct_fields__ if name != "details")


def stored_event(row: Sequence[Any]) -> StoredEvent:
    """The inverse of :func:`event_row`, from a row with all columns of ``events``."""
    fields = dict(zip(_FIELDS_OF_EVENT, row[1:], strict=False))
    details = row[1 + len(_FIELDS_OF_EVENT)]
    return StoredEvent(row[0], Event(**fields, details=msgspec.json.decode(details) if details else {}))


def client_row(client: Client) -> tuple[Any, ...]:
    """A row of ``clients``."""
    values = {name: getattr(client.state, name) for name in _FIELDS_OF_STATE}
    values |= {name: getattr(client, name) for name in _FIELDS_OF_CLIENT}
    return tuple(values[column.name] for column in tables.clients.columns)


pack: Final = msgspec.msgpack.Encoder().encode
"""A list of clients as ``user_status.clients`` has it."""

unpack: Final = msgspec.msgpack.Decoder(list[Client]).decode


def clients_of(connection: sa.Connection, user_key: int, packed: bytes | None) -> list[Client]:
    """A user's clients as ``user_status.clients`` has them; from rows of their own where it has none."""
    if packed is not None:
        return unpack(packed)
    sql = f"SELECT {columns(tables.clients)} FROM clients WHERE user_key = ?"
    return [client_of(row) for row in connection.exec_driver_sql(sql, (user_key,))]


_FLAGS = ("reports_login", "ended")
_FIELDS_OF_STATE = tuple(LoginState.__struct_fields__)
_FIELDS_OF_CLIENT = tuple(name for name in Client.__struct_fields__ if name != "state")


def client_of(row: Sequence[Any]) -> Client:
    """A client from a row with all columns of ``clients``."""
    values = dict(zip((column.name for column in tables.clients.columns), row, strict=True))
    state = {name: values[name] for name in _FIELDS_OF_STATE} | {name: bool(values[name]) for name in _FLAGS}
    rest = {name: values[name] for name in _FIELDS_OF_CLIENT}
    rest["sends_heartbeats"] = bool(rest["sends_heartbeats"])
    return Client(state=LoginState(**state), **rest)
