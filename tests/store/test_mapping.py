"""Clients as rows of the table and back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from sidecar.domain.login_state import LoginState
from sidecar.store import mapping
from sidecar.store.mapping import Client


def stored_and_read(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row as SQLite returns it: flags are integers."""
    with closing(sqlite3.connect(":memory:")) as connection:
        found: tuple[Any, ...] = connection.execute(f"SELECT {', '.join('?' * len(row))}", row).fetchone()
    return found


@pytest.mark.parametrize("text", ["Web", "", "null", "true", "1", "\0", "手机"])
@pytest.mark.parametrize("flag", [True, False])
def test_a_client_is_the_same_after_it_was_a_row(text: str, flag: bool) -> None:  # noqa: FBT001 - a parameter of the test
    state = LoginState(
        status="offline",
        since_us=1,
        reason=text,
        connection_state=text,
        session_id=b"null",
        reports_login=flag,
        ended=flag,
        last_seq=2**62,
        last_id=b"\0" * 16,
        logged_out=flag,
    )
    client = Client(
        client_key=1,
        client_id=b"1" * 16,
        user_key=2,
        state=state,
        last_seen_at_us=-1,
        sends_heartbeats=flag,
        platform=text,
        device_id=text,
    )
    found = mapping.client_of(stored_and_read(mapping.client_row(client)))
    assert found == client
    assert [type(one) for one in (found.sends_heartbeats, found.state.ended)] == [bool, bool]
