"""What reacts to events is in their transaction: with them, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from sidecar.domain.events import HEARTBEAT
from sidecar.store import Store
from sidecar.store.reactions import Applied
from sidecar.store.records import UserFilter
from tests.support.events import APP_ID, BEGIN_US, SECOND_US, Phone


class Notes:
    """Writes down each change of a status, in the transaction; fails on mallory."""

    def __init__(self) -> None:
        self.calls: list[list[Applied]] = []

    def react(self, connection: sa.Connection, applied: Sequence[Applied], _now_us: int, /) -> None:
        self.calls.append(list(applied))
        for one in applied:
            if one.event.user_id == "mallory":
                raise RuntimeError("a bug")
            if one.effect.status != one.effect.status_before:
                sql = (
                    "INSERT INTO span_losses (lost_at_us, kind, spans, position, problem) VALUES (0, 'note', 1, ?, '')"
                )
                connection.exec_driver_sql(sql, (one.position,))

    def committed(self) -> None:
        return None

    def undone(self) -> None:
        pass


def opened(folder: Path, notes: Notes) -> Store:
    return Store.open(f"sqlite:///{folder / 'zimwatch.db'}", clock=lambda: BEGIN_US, reactions=[notes])


async def test_it_is_told_each_new_event_with_what_it_did_and_its_rows_are_committed_with_it(tmp_path: Path) -> None:
    notes = Notes()
    store = opened(tmp_path, notes)
    alice = Phone("alice")
    events = [alice.says("CONNECTED", "SUCCESS", at=0), alice.says("RECONNECTING", "LOGIN_INTERRUPTED", at=2)]
    late = alice.says("CONNECTING", "ACTIVE_LOGIN", at=1, seq=1, id=bytes(15) + b"\1")
    await store.append([*events, events[0], alice.event(HEARTBEAT, 3)])
    await store.append([late])
    (first, second), (third,) = notes.calls
    assert [one.position for one in (first, second, third)] == [1, 2, 3]
    assert (first.effect.status_before, first.effect.status) == ("not_logged_in", "online")
    assert (second.effect.previous_state, second.effect.previous_state_duration_us) == ("CONNECTED", 2 * SECOND_US)
    assert (second.effect.late, third.effect.late) == (False, True)
    assert second.effect.client is not None
    assert second.effect.client.client_id == alice.client_id
    assert [loss.position for loss in await store.span_losses(10)] == [2, 1]
    await store.close()


async def test_its_error_undoes_the_whole_of_that_batch_and_no_other(tmp_path: Path) -> None:
    store = opened(tmp_path, Notes())
    await store.append([Phone("alice").says("CONNECTED", "SUCCESS", at=0)])
    with pytest.raises(RuntimeError):
        await store.append([Phone(name).says("CONNECTED", "SUCCESS", at=1) for name in ("bob", "mallory")])
    await store.append([Phone("carol").says("CONNECTED", "SUCCESS", at=2)])
    assert [user.user_id for user in (await store.users(UserFilter())).users] == ["carol", "alice"]
    assert [loss.position for loss in await store.span_losses(10)] == [2, 1]
    assert await store.user(APP_ID, "bob") is None
    await store.close()


async def test_users_become_unconfirmed_without_an_event_and_are_counted_and_listed_as_such(tmp_path: Path) -> None:
    now_us = BEGIN_US
    store = Store.open(f"sqlite:///{tmp_path / 'zimwatch.db'}", clock=lambda: now_us)
    alice, bob = Phone("alice"), Phone("bob")
    await store.append([alice.says("CONNECTED", "SUCCESS", at=0), bob.says("CONNECTED", "SUCCESS", at=0)])
    await store.append([alice.event(HEARTBEAT, 0)])

    async def unconfirmed() -> tuple[int, list[str]]:
        await store.tend()
        found = await store.users(UserFilter(unconfirmed=True))
        return (await store.summary()).unconfirmed, [user.user_id for user in found.users]

    assert await unconfirmed() == (0, [])
    now_us += 46 * SECOND_US
    assert await unconfirmed() == (1, ["alice"])
    await store.append([alice.event(HEARTBEAT, 46)])
    assert await unconfirmed() == (0, [])
    now_us += 86_400 * SECOND_US
    assert await unconfirmed() == (2, ["bob", "alice"])
    await store.close()
