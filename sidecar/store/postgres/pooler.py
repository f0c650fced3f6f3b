"""Refuses a pooler that gives one session to several connections: the locks of Zimwatch would be another's."""

from __future__ import annotations

import contextlib
from typing import Final

from sidecar.errors import DatabaseRefusedError
from sidecar.store.postgres import connections

_SESSION: Final = "SELECT pg_backend_pid()"
# A pooler may open another session meanwhile, and then give that.
_ROUNDS: Final = 4


def refuse_shared_sessions(target: str, name: str) -> None:
    """DatabaseRefusedError where the sessions of two connections are not two.

    A pooler with one free session gives that to both. One with several in turn gives the first connection another one
    for its second statement. Each statement is a transaction, so that this also finds ``pool_mode = statement``.
    """
    with (
        contextlib.closing(connections.connect(target, autocommit=True)) as first,
        contextlib.closing(connections.connect(target, autocommit=True)) as second,
    ):
        for one in (first, second):
            one.prepare_threshold = None  # a pooler would not find what another session prepared
        pids = [[one.execute(_SESSION).fetchall()[0][0] for one in (first, first, second)] for _ in range(_ROUNDS)]
    of_first, of_second = {pid for row in pids for pid in row[:2]}, {row[2] for row in pids}
    if len(of_first) > 1 or of_first & of_second:
        raise DatabaseRefusedError(
            f"{name} is behind a pooler that shares a session between connections; set it to sessions"
            " (pool_mode = session in PgBouncer), or name the server itself"
        )
