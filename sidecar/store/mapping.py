"""Maps events and clients to table rows and back, and builds statements over whole rows.

Column by column, because this runs for every event; a test compares the order with the tables.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy as sa

from sidecar.domain.events import Event
from sidecar.domain.login_state import LoginState
from sidecar.domain.status import NOT_LOGGED_IN
from sidecar.store import schema
from sidecar.store.values import Applied, Effect, StoredEvent

_encode: Final = msgspec.json.Encoder().encode
T = TypeVar("T")
# Below SQLite's limit on the parameters of one statement, also for pairs.
CHUNK: Final = 400


class Client(msgspec.Struct, kw_only=True, array_like=True, gc=False):
    """An SDK instance as used by one user, or by none before the first login."""

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
    # By how much its clock was ahead of ours at its newest event; behind: negative.
    clock_off_us: int = 0
    # How many of its events arrived since a block was closed, and the last position before that: client_history.py.
    tail_events: int = 0
    closed_position: int | None = None
    # The interval between heartbeats that it was given last, if it sends them; 0: none yet.
    heartbeat_after_s: int = 0
    # The tap or port that it reports through.
    reporter_name: str | None = None
    reporter_version: str | None = None


def chunks(values: Iterable[T]) -> Iterator[tuple[T, ...]]:
    """``values`` in chunks that fit one statement."""
    left = iter(values)
    while some := tuple(islice(left, CHUNK)):
        yield some


@cache
def columns(table: sa.Table, *, of: str = "") -> str:
    """The table's columns in order, with the alias ``of`` if there is one."""
    return ", ".join(f"{of}.{column.name}" if of else column.name for column in table.columns)


def named(table: sa.Table, row: Sequence[Any]) -> dict[str, Any]:
    """A row with all columns of the table, by their names."""
    return dict(zip([column.name for column in table.columns], row, strict=True))


def insert(table: sa.Table) -> str:
    """An INSERT of whole rows, in the order of the columns."""
    marks = ", ".join("?" * len(table.columns))
    return f"INSERT INTO {table.name} ({columns(table)}) VALUES ({marks})"


def upsert(table: sa.Table, *, kept: Collection[str] = ()) -> str:
    """As :func:`insert`; a row with the same key is overwritten, except for the columns ``kept``."""
    keys = [column.name for column in table.primary_key]
    others = [column.name for column in table.columns if column.name not in {*keys, *kept}]
    changes = ", ".join(f"{name} = excluded.{name}" for name in others)
    return f"{insert(table)} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}"


def event_row(position: int, event: Event, effect: Effect) -> tuple[Any, ...]:
    """A row of ``events``."""
    return (
        position,
        event.id,
        event.type,
        event.occurred_at_us,
        event.received_at_us,
        event.moment_us,
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
        event.reporter_name,
        event.reporter_version,
        event.proven,
    )


_event_values = itemgetter(*map([column.name for column in schema.events.columns].index, Event.__struct_fields__))
_DETAILS = Event.__struct_fields__.index("details")
_PROVEN = Event.__struct_fields__.index("proven")


def stored_event(row: Sequence[Any]) -> StoredEvent:
    """The inverse of :func:`event_row`, from a row with all columns of ``events``."""
    values: list[Any] = list(_event_values(row))
    values[_DETAILS] = msgspec.json.decode(values[_DETAILS]) if values[_DETAILS] else {}
    if values[_PROVEN] is not None:  # flags are integers in SQLite
        values[_PROVEN] = bool(values[_PROVEN])
    # By position: by keyword it takes several times as long.
    return StoredEvent(row[0], Event(*values))


_FIELDS_OF_EFFECT = (*Effect.__struct_fields__[:-2], "user_status")
# The user's status before an event ``e``: not_logged_in if the log has no earlier event of the user.
STATUS_BEFORE: Final = (
    "COALESCE((SELECT b.user_status FROM events b WHERE b.position = e.previous_user_position),"
    f" CASE WHEN e.user_id IS NOT NULL THEN '{NOT_LOGGED_IN}' END)"
)
_effect_values = itemgetter(*map([column.name for column in schema.events.columns].index, _FIELDS_OF_EFFECT))


def applied(row: Sequence[Any]) -> Applied:
    """The inverse of :func:`event_row` with the effect, from a row with ``STATUS_BEFORE`` after the columns."""
    stored = stored_event(row)
    user, client, starts_trace, state, duration_us, status = _effect_values(row)
    effect = Effect(user, client, bool(starts_trace), state, duration_us, row[-1], status)
    return Applied(stored.event, stored.position, effect)


def client_row(client: Client) -> tuple[Any, ...]:
    """A row of ``clients``."""
    row: tuple[Any, ...] = _in_columns((*_of_client(client), *_of_state(client.state)))
    return row


_FIELDS_OF_STATE = tuple(LoginState.__struct_fields__)
_FIELDS_OF_CLIENT = tuple(name for name in Client.__struct_fields__ if name != "state")
_COLUMNS_OF_CLIENT = tuple(column.name for column in schema.clients.columns)
# Built once, because a crowded user has a row for each client.
_of_client = attrgetter(*_FIELDS_OF_CLIENT)
_of_state = attrgetter(*_FIELDS_OF_STATE)
_in_columns = itemgetter(*((*_FIELDS_OF_CLIENT, *_FIELDS_OF_STATE).index(name) for name in _COLUMNS_OF_CLIENT))
_client_values = itemgetter(*map(_COLUMNS_OF_CLIENT.index, _FIELDS_OF_CLIENT))
_state_values = itemgetter(*map(_COLUMNS_OF_CLIENT.index, _FIELDS_OF_STATE))
_STATE: Final = Client.__struct_fields__.index("state")


def client_of(row: Sequence[Any]) -> Client:
    """A client from a row with all columns of ``clients``."""
    fields = list(_client_values(row))
    fields.insert(_STATE, _state_values(row))
    # Not strict, because flags are integers in SQLite. Field by field in Python it takes seven times as long.
    return msgspec.convert(fields, Client, strict=False)


def pack(clients: Iterable[Client]) -> str:
    """Clients as in ``user_status.clients``: a JSON array of arrays of their fields, ids in base64.

    Field names would be two thirds of the text, and made a commit cost a sixth more.
    """
    return _encode(list(clients)).decode()


unpack: Final = msgspec.json.Decoder(list[Client]).decode
"""The inverse of :func:`pack`."""


def index_of(field: str) -> int:
    """The index of a field in a client's array."""
    return Client.__struct_fields__.index(field)
