"""Errors of PostgreSQL in a sentence: the cause, and whether the database is to blame."""

from __future__ import annotations

from typing import Final

import psycopg
import sqlalchemy as sa

from sidecar.errors import StoreUnavailableError
from sidecar.store.database import CANNOT_READ, RETRY_AFTER_S

# By class of SQLSTATE: connections, resources, an operator, the system, and PostgreSQL's own faults; a transaction that
# was rolled back for another. https://www.postgresql.org/docs/current/errcodes-appendix.html
_OF_THE_SERVER: Final = ("08", "28", "40", "53", "57", "58", "XX")
# A read-only server, as a standby is, and a lock that was waited for in vain.
_STATES: Final = ("25006", "55P03")


def is_of_the_server(error: BaseException) -> bool:
    """Whether the server could not be reached, or could not do it now, rather than the statement being wrong."""
    if isinstance(error, sa.exc.TimeoutError):  # no connection of the pool became free
        return True
    cause = getattr(error, "orig", error)
    if not isinstance(cause, psycopg.Error):
        return False
    state = cause.sqlstate
    if state is None:
        return isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError)
    return state.startswith(_OF_THE_SERVER) or state in _STATES


def reason(error: BaseException) -> str:
    """What the server or the driver said, in one line."""
    return " ".join(str(getattr(error, "orig", error)).split())


def unreadable(error: BaseException) -> StoreUnavailableError | None:
    """The error to raise where the database could not be read; None where the statement was wrong."""
    if not is_of_the_server(error):
        return None
    return StoreUnavailableError(CANNOT_READ(why=reason(error)), retry_after_s=RETRY_AFTER_S)
