"""Checks of an edge: that its centre takes its events, and how far it is behind; and of the edges of a centre."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Final
from urllib.parse import urlsplit

from sidecar.clock import Clock
from sidecar.doctor.result import Result, note, ok, problem
from sidecar.domain.lease import LeaseTime
from sidecar.domain.texts import duration
from sidecar.forwarding.centre import Centre, NotTakenError
from sidecar.http_client import HttpClient
from sidecar.settings import Settings, wait_us
from sidecar.store import engines
from sidecar.store.log import forwarding

_CENTRE: Final = "centre"
_BEHIND: Final = "forwarding"
_EDGES: Final = "edges"
_NOBODY: Final = "zimwatch-doctor"


async def centre(settings: Settings, clock: Clock) -> AsyncIterator[Result]:
    """Sends the centre a request without events, of which it keeps nothing. Nothing where this is no edge."""
    url = settings.forward.url
    if url is None:
        return
    async with HttpClient([*settings.alerts.allowed_hosts, urlsplit(url).hostname or ""]) as http:
        try:
            is_believed = await Centre(settings.forward, _NOBODY, http, clock).try_token()
        except NotTakenError as error:
            yield problem(_CENTRE, str(error), "Check forward.url and forward.token, and whether the centre runs.")
            return
    if is_believed:
        yield ok(_CENTRE, f"{url} takes events of this edge")
    else:
        yield problem(
            _CENTRE,
            f"{url} takes events, but the token is not of scope forward, so it does not believe their moments",
            "Make another at the centre: `zimwatch token create --scope forward`.",
        )


def behind(settings: Settings, now_us: int) -> Iterator[Result]:
    """How far this edge is behind, by its database. Nothing where it is no edge, or has not begun."""
    state = None if settings.forward.url is None else engines.look(settings.database.url, forwarding.state)
    if state is None:
        return
    if state.removed:
        yield note(
            _BEHIND, f"{state.removed:,} events were deleted before the centre had them", "Raise retention.events."
        )
    if not state.waiting:
        yield ok(_BEHIND, "the centre has every event")
        return
    behind_us = state.behind_us(now_us)
    text = f"{state.waiting:,} events wait for the centre, the oldest for {duration(behind_us)}"
    if _is_long(behind_us, settings):
        yield problem(_BEHIND, text, "Run `zimwatch serve`, which passes them on; its overview says why it cannot.")
    else:
        yield ok(_BEHIND, text)


def known(settings: Settings, now_us: int) -> Iterator[Result]:
    """How far the edges of this centre are behind. Nothing where it has none."""
    found = engines.look(settings.database.url, forwarding.edges)
    if not found:
        return
    time = LeaseTime.without_skips(now_us)
    behind_us = {one.name: one.behind_now_us(time) for one in found}
    late = sum(_is_long(one_us, settings) for one_us in behind_us.values())
    if not late:
        yield ok(_EDGES, f"{len(found):,} report, and none is far behind")
        return
    farthest = max(behind_us, key=lambda name: behind_us[name])
    yield problem(
        _EDGES,
        f"{late:,} of {len(found):,} are behind; {farthest} for {duration(behind_us[farthest])}",
        "Look at /settings, and run `zimwatch doctor` at the edge.",
    )


def _is_long(behind_us: int, settings: Settings) -> bool:
    return 0 < wait_us(settings.alerts.edge_behind) <= behind_us
