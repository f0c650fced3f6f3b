"""An edge and its centre, each a Zimwatch of its own, and what the database of each has."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from sidecar.settings import ForwardSettings, LeaseSettings
from tests.support.commands import zimwatch as command
from tests.support.running import Zimwatch, zimwatch
from tests.support.tokens import new_token

DATABASE: Final = "zimwatch.db"
EDGE_NAME: Final = "edge-1"
# What the centre may know better or later than the edge: when it got the event, and the keys of its own rows.
_OWN: Final = ("received_at_us", "previous_user_position", "previous_client_position")
WITHIN_S: Final = 60


async def forward_token(folder: Path, *options: str) -> str:
    """The secret of a new token of scope forward, of the database in ``folder``."""
    made = await command(
        *("token", "create", "--scope", "forward", "--database-url", f"sqlite:///{DATABASE}", *options), folder=folder
    )
    assert made.code == 0, made.err
    return made.out.strip()


def settings_of_edge(centre: str, token: str) -> dict[str, str]:
    """The environment of an edge's process."""
    return {
        "ZIMWATCH_FORWARD__URL": centre,
        "ZIMWATCH_FORWARD__TOKEN": token,
        "ZIMWATCH_FORWARD__NAME": EDGE_NAME,
        "ZIMWATCH_RETENTION__EVENTS": "36500d",
    }


def rows(folder: Path, sql: str) -> list[dict[str, Any]]:
    """Of the database in ``folder``, while a server may write to it."""
    with contextlib.closing(sqlite3.connect(f"file:{folder / DATABASE}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]


def log_of(folder: Path) -> list[dict[str, Any]]:
    """The events in the order of the log, without what is of one server alone."""
    found = rows(folder, "SELECT * FROM events WHERE type <> 'server_user_action' ORDER BY position")
    return [{name: value for name, value in row.items() if name not in {*_OWN, "position"}} for row in found]


def users_of(folder: Path) -> list[dict[str, Any]]:
    """What is known of each user."""
    columns = "app_id, user_id, status, since_us, reason, token_expires_at_us, platform, left_elsewhere_us"
    return rows(folder, f"SELECT {columns} FROM user_status ORDER BY app_id, user_id")


def count(folder: Path) -> int:
    """How many events there are; 0 where there is no database yet."""
    try:
        return int(rows(folder, "SELECT COUNT(*) AS found FROM events")[0]["found"])
    except sqlite3.OperationalError:
        return 0


async def until_it_has(folder: Path, events: int) -> None:
    """Waits until the database has so many events."""
    async with asyncio.timeout(WITHIN_S):
        while count(folder) < events:  # noqa: ASYNC110 - it is another process that is waited for
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def edge_and_centre(
    folder: Path,
    *,
    scope: str = "forward",
    apps: tuple[int, ...] = (),
    centre_leases: LeaseSettings | None = None,
    **of_centre: Any,
) -> AsyncIterator[tuple[Zimwatch, Zimwatch]]:
    """Both in the test's own event loop, in folders of their names."""
    (folder / "edge").mkdir()
    (folder / "centre").mkdir()
    async with zimwatch(folder / "centre", leases=centre_leases, **of_centre) as centre:
        _, secret = await new_token(centre.store, scope, apps=apps)
        forward = ForwardSettings(url=centre.url, token=secret, name=EDGE_NAME)
        async with zimwatch(folder / "edge", forward=forward) as edge:
            yield edge, centre
