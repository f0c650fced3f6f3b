"""Suspends pruning by age after the clock jumped: a clock that is a year ahead would delete everything.

A jump is a difference of more than a day from Zimwatch's last record in the database that the steady clock does not
explain. A stop of more than a day looks the same, and delays pruning by a day. Pruning by size continues meanwhile.
"""

from __future__ import annotations

from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.lease import Now
from sidecar.domain.units import DAY_US

JUMP_US: Final = DAY_US
HELD_US: Final = DAY_US


class Hold(msgspec.Struct, frozen=True):
    """The clock jumped ``by_us``, back where that is negative; ``left_us``: lease time until pruning resumes."""

    by_us: int
    left_us: int


def jumped(connection: sa.Connection, by_us: int, lease_us: int) -> None:
    """Holds pruning from the lease time ``lease_us`` on, where ``by_us`` is a jump."""
    if abs(by_us) <= JUMP_US:
        return
    sql = (
        "INSERT INTO pruning_hold (hold, by_us, begun_us) VALUES (1, ?, ?)"
        " ON CONFLICT (hold) DO UPDATE SET by_us = excluded.by_us, begun_us = excluded.begun_us"
    )
    connection.exec_driver_sql(sql, (by_us, lease_us))


def current(connection: sa.Connection, now: Now) -> Hold | None:
    """The hold in force; None where there is none."""
    row = connection.exec_driver_sql("SELECT by_us, begun_us FROM pruning_hold").first()
    if row is None or (left_us := row[1] + HELD_US - now.time.now_us) <= 0:
        return None
    return Hold(row[0], left_us)


def release(connection: sa.Connection) -> None:
    """Ends the hold, because the clock was confirmed."""
    connection.exec_driver_sql("DELETE FROM pruning_hold")
