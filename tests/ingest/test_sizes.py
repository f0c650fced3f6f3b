"""Whatever a sender can make many of, a read, and one event more, cost about the same with ten times as many.

To add something that a sender can make many of, add a function to ``MANY``; to add a read, add it to ``READS``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import sqlalchemy as sa

from sidecar.alerting import reaction_of
from sidecar.alerting.tables import rule_reads
from sidecar.domain.events import Event
from sidecar.domain.lease import Leases, LeaseTime, Now
from sidecar.domain.platforms import PLATFORMS
from sidecar.domain.sdk_words import EVENTS
from sidecar.settings import Settings
from sidecar.store import Store
from sidecar.store.users import user_list, user_query, user_reads
from sidecar.store.users.user_query import UserQuery
from tests.support.events import BEGIN_US, Phone, made_id
from tests.support.work import Work, counted, of_append

NOW: Final = Now(LeaseTime.without_skips(BEGIN_US), Leases())
ROWS: Final = 10
FEW: Final = 30
TIMES: Final = 10


def app(number: int) -> Event:
    return Phone("alice", app_id=number + 1).says("CONNECTED", "SUCCESS", at=0)


def platform(number: int) -> Event:
    return Phone(f"user-{number}").says("CONNECTED", "SUCCESS", at=0, platform=f"platform {number}")


def reason(number: int) -> Event:
    return Phone(f"user-{number}").says("DISCONNECTED", f"reason {number}", at=0)


def group(number: int) -> Event:
    platforms, reasons = sorted(PLATFORMS), sorted(EVENTS)
    phone = Phone(f"user-{number}", app_id=1 + number // len(platforms) // len(reasons))
    named = platforms[number // len(reasons) % len(platforms)]
    return phone.says("CONNECTED", reasons[number % len(reasons)], at=0, platform=named)


def version(number: int) -> Event:
    return Phone(f"user-{number}").says(
        "CONNECTED", "SUCCESS", at=0, sdk_version=f"2.{number}", app_version=f"{number}"
    )


def session(number: int) -> Event:
    return Phone("alice", app_id=1).says(
        "CONNECTED", "SUCCESS", at=0, id=made_id(f"{number}"), seq=number + 1, session_id=made_id(f"session {number}")
    )


def device(number: int) -> Event:
    return Phone("alice", f"device {number}", app_id=1).says("CONNECTED", "SUCCESS", at=number)


def device_that_ended(number: int) -> Event:
    return Phone("alice", f"device {number}", app_id=1).says("DISCONNECTED", "LOGIN_TIMEOUT", at=number)


def device_of_nobody(number: int) -> Event:
    return Phone(None, f"device {number}", app_id=1).says("DISCONNECTED", "SUCCESS", at=number)


MANY: Final = (
    app,
    platform,
    reason,
    group,
    version,
    session,
    device,
    device_that_ended,
    device_of_nobody,
)


def search(**wanted: Any) -> Callable[[sa.Connection], Any]:
    """Reads a page."""
    return lambda connection: user_list.list_users_with_clients(connection, UserQuery(limit=ROWS, **wanted), NOW)


READS: Final[dict[str, Callable[[sa.Connection], Any]]] = {
    **{f"users in the order {order}": search(order=order) for order in user_query.ORDERS},
    "an id": search(q="alice", match="exact"),
    "a beginning of an id": search(q="user-2", match="prefix"),
    "the newest change": lambda c: user_list.list_users(c, UserQuery(limit=1), NOW),
    "who is online": lambda c: user_list.list_users(c, UserQuery(status="online", limit=1), NOW),
    "whose platform is Web": lambda c: user_list.list_users(c, UserQuery(platform="Web", limit=1), NOW),
    "what changed since": lambda c: user_reads.users_changed_since(c, 5, ROWS, NOW),
    "a user": lambda c: user_reads.user(c, 1, "alice", NOW),
    "a timeline": lambda c: user_reads.timeline(c, 1, "alice", before=None, limit=ROWS),
    "the counts": user_reads.summary,
    "the crowd of an app": lambda c: rule_reads.crowd(c, 1),
}
# One more group costs a look-up in an index, in a statement that is run anyway.
STEPS_A_GROUP: Final = 60


@pytest.mark.parametrize("many", MANY)
async def test_a_read_costs_about_the_same_with_ten_times_as_many(tmp_path: Path, many: Callable[[int], Event]) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'zimwatch.db'}", clock=lambda: BEGIN_US)
    work: list[dict[str, tuple[int, int]]] = []

    def measure(connection: sa.Connection) -> dict[str, tuple[int, int]]:
        found = {}
        for name, read in READS.items():
            with counted(connection) as done:
                read(connection)
            found[name] = (done.statements, done.steps)
        return found

    for numbers in (range(FEW), range(FEW, FEW * TIMES)):
        await store.append([many(number) for number in numbers])
        work.append(await store.read(measure))
    await store.close()
    before, after = work
    # A row may lie in a group or an app of its own, which is then read for it.
    assert {name: found for name, (found, _) in after.items() if found > before[name][0] + ROWS} == {}
    most = STEPS_A_GROUP * FEW * TIMES
    assert {name: steps for name, (_, steps) in after.items() if steps > before[name][1] * 1.5 + most} == {}


@pytest.mark.parametrize("many", MANY)
async def test_one_event_more_costs_about_the_same_with_ten_times_as_many(
    tmp_path: Path, many: Callable[[int], Event]
) -> None:
    store = Store.open(
        f"sqlite:///{tmp_path / 'zimwatch.db'}", clock=lambda: BEGIN_US, followers=[reaction_of(Settings())]
    )
    work: list[Work] = []
    for numbers in (range(FEW), range(FEW + 3, FEW * TIMES)):
        await store.append([many(number) for number in numbers])
        # One of them sends two more events, and one more client is added; nothing is late.
        last = numbers[-1]
        again, once_more = (
            msgspec.structs.replace(many(last), id=made_id(f"{last} {seq}"), seq=last + seq) for seq in (2, 3)
        )
        new = msgspec.structs.replace(many(FEW * TIMES + last), seq=last + 4)
        await store.append([again])
        work += [await of_append(store, [once_more]), await of_append(store, [new])]
    await store.close()
    for before, after in zip(work[:2], work[2:], strict=True):
        assert after.statements <= before.statements + 2
        assert after.steps <= before.steps * 1.3 + 200
