"""Checks the leases that may have ended, some users at a time, by the columns of their rows alone.

A lease and what its user is counted by are columns, so that no client is loaded, packed or written again, however many
users fall silent at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.lease import LeaseTime
from sidecar.store.users.user_counts import UserCounts
from sidecar.store.values import UserId

_DUE: Final = (
    "SELECT app_id, user_id, user_key, status, platform, reason, lease_until_us, last_seen_at_us, group_key,"
    " lease_check_us FROM user_status WHERE lease_lapsed = FALSE AND lease_check_us < ? ORDER BY lease_check_us LIMIT ?"
)
_CHECKED: Final = "UPDATE user_status SET lease_check_us = ? WHERE user_key = ?"
_LAPSED: Final = "UPDATE user_status SET group_key = ?, lease_check_us = ?, lease_lapsed = ? WHERE user_key = ?"


class Checked(msgspec.Struct, frozen=True, gc=False):
    """A user whose lease was checked, and the values of its row."""

    user_id: UserId
    group_key: int
    lease_check_us: int | None
    lease_lapsed: bool


def sweep(connection: sa.Connection, counts: UserCounts, time: LeaseTime, limit: int) -> list[Checked]:
    """Checks up to ``limit`` leases as of ``time``, and writes when to check them again, or that they ended.

    The check is set when a lease begins and not at every sign of life, so most leases turn out to run on.
    """
    checked, runs_on, lapsed = [], [], []
    due = connection.exec_driver_sql(_DUE, (time.now_us, limit)).all()
    for row in sorted(due, key=_user_key):
        app_id, user_id, user_key, status, platform, reason, until_us, seen_us, group, check_us = row
        ends_us = None if until_us is None else until_us - time.skipped_at_sign_us(seen_us)
        has_lapsed = ends_us is not None and ends_us < time.now_us
        if has_lapsed:
            # A crash may have set the end back: who follows ended leases has looked until the last sweep.
            ends_us = max(ends_us, check_us)
        key = counts.group_key(app_id, status, platform, reason, has_lapsed)
        if key != group:
            counts.move(group, key)
        if has_lapsed or key != group:
            lapsed.append((key, ends_us, has_lapsed, user_key))
        else:
            runs_on.append((ends_us, user_key))
        checked.append(Checked((app_id, user_id), key, ends_us, has_lapsed))
    for sql, rows in ((_LAPSED, lapsed), (_CHECKED, runs_on)):
        if rows:
            connection.exec_driver_sql(sql, rows)
    counts.write(connection)
    return checked


def _user_key(row: Sequence[Any]) -> int:
    key: int = row[2]
    return key
