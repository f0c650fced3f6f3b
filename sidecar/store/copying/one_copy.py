"""The right to write to the target, which one copy at a time has.

It is a duty of the session that writes, so each transaction knows whether it still holds. With SQLite the lock of the
file is enough.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa

from sidecar.errors import DatabaseRefusedError
from sidecar.store import copy_marks, engines
from sidecar.store.database import Database, Term

_DUTY: Final = "copying"


class OneCopy:
    """The transactions that write to the target."""

    def __init__(self, target: Database) -> None:
        self._target = target
        self._term: Term | None = None

    def take(self) -> None:
        """Takes the right, again too after its session was lost; DatabaseRefusedError where another has it."""
        with self._target.begin() as connection:
            self._target.take_duties(connection, (_DUTY,))
        self._term = self._target.term(_DUTY)
        if self._term is None:
            raise _another(self._target.name)

    @contextlib.contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """See :meth:`Database.begin`; DatabaseRefusedError if another copy may write."""
        if self._term is None or self._target.term(_DUTY) is not self._term:
            self.take()
        with self._target.begin() as connection:
            if self._term is None or not self._target.is_held(self._term):
                raise _another(self._target.name)
            yield connection


def refuse_in_use(url: str) -> None:
    """DatabaseRefusedError where the target is served, or another copy writes to it."""
    if not engines.is_served(url):
        return
    if _is_unfinished(url):
        raise _another(engines.name(url))
    raise DatabaseRefusedError(
        f"{engines.name(url)} is already served by another Zimwatch, or one copies to it; stop that first"
    )


def _is_unfinished(url: str) -> bool:
    # Where another process has just created it there may be no tables yet.
    with contextlib.suppress(sa.exc.SQLAlchemyError), engines.reading(url) as connect, connect() as connection:
        return copy_marks.found(connection, copy_marks.UNFINISHED) is not None
    return False


def _another(name: str) -> DatabaseRefusedError:
    return DatabaseRefusedError(
        f"another `zimwatch db copy` writes to {name}; wait until that one has ended or stop it, then run this one"
    )
