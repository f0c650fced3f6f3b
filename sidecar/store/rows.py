"""How events and clients stand in their tables: the one place that knows the order of the columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from sidecar.domain.events import Event
from sidecar.domain.login_state import LoginState
from sidecar.store import tables
from sidecar.store.records import StoredEvent

_FIELDS_OF_EVENT = tuple(name for name in Event.__struct_fields__ if name != "details")
_FIELDS_OF_STATE = tuple(LoginState.__struct_fields__)
_FLAGS = ("reports_login", "ended")


class Client(msgspec.Struct, kw_only=True):
    """One row of ``clients``: an SDK instance in the hands of one user (or of nobody, before the first login)."""

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

    @property
    def shown(self) -> tuple[object, ...]:
        """What of it a person sees change."""
        state = self.state
        return (state.status, state.since_us, state.reason, state.token_expires_at_us)


_FIELDS_OF_CLIENT = tuple(name for name in Client.__struct_fields__ if name != "state")


def columns(table: sa.Table, *, of: str = "") -> str:
    """The table's columns in order, each behind the alias ``of`` where one is given."""
    return ", ".join(f"{of}.{column.name}" if of else column.name for column in table.columns)


def insert(table: sa.Table, *, replace: bool = False) -> str:
    """An INSERT of whole rows, in the order of the columns."""
    marks = ", ".join("?" * len(table.columns))
    return f"INSERT {'OR REPLACE ' if replace else ''}INTO {table.name} ({columns(table)}) VALUES ({marks})"


def event_row(
    position: int, event: Event, previous: tuple[int | None, int | None, int | None], user_status: str | None
) -> tuple[Any, ...]:
    """A row of ``events``; ``previous`` is the position before it of its user, its session and its client."""
    details = msgspec.json.encode(event.details).decode() if event.details else None
    return (position, *(getattr(event, name) for name in _FIELDS_OF_EVENT), details, *previous, user_status)


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


def client_of(row: Sequence[Any]) -> Client:
    """The inverse of :func:`client_row`, from a row with all columns of ``clients``."""
    values = dict(zip((column.name for column in tables.clients.columns), row, strict=True))
    state = {name: values[name] for name in _FIELDS_OF_STATE} | {name: bool(values[name]) for name in _FLAGS}
    rest = {name: values[name] for name in _FIELDS_OF_CLIENT}
    rest["sends_heartbeats"] = bool(rest["sends_heartbeats"])
    return Client(state=LoginState(**state), **rest)
