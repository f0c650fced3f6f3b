"""What an edge says of itself with each request: its name, and how far it is behind. Recorded after its events."""

from __future__ import annotations

import re
from typing import Final

import msgspec
from aiohttp import web

from sidecar.clock import Clock
from sidecar.domain import edges
from sidecar.domain.edges import Edge
from sidecar.domain.units import DAY_US, SECOND_US
from sidecar.store import Store
from sidecar.store.log import forwarding
from sidecar.web.params import FLAGS
from sidecar.web.problem import Problem

_NAME: Final = re.compile(edges.NAME_PATTERN)
_NUMBER: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?\Z")
_BEHIND_MOST_US: Final = 36_500 * DAY_US


class EdgeReport(msgspec.Struct, frozen=True):
    """``ends``: it stops, and has passed everything on."""

    name: str
    waiting: int
    behind_us: int
    ends: bool

    async def keep(self, store: Store, token_id: int, clock: Clock) -> None:
        """Writes it in the place of the edge's last one."""
        if self.ends:
            await store.write(forwarding.forget, self.name)
        else:
            edge = Edge(self.name, token_id, clock(), self.waiting, self.behind_us)
            await store.write(forwarding.report, edge)


def edge_report(request: web.Request) -> EdgeReport | None:
    """The report in the query, None without one; 400 that names what is wrong."""
    given = request.query
    name = given.get("edge")
    if name is None:
        return None
    if not _NAME.match(name):
        raise Problem(400, "edge must be a name of up to 63 letters, digits, . _ and -")
    ends = FLAGS.get(given.get("edge_ends", "0"))
    if ends is None:
        raise Problem(400, f"edge_ends must be one of {', '.join(FLAGS)}")
    behind_us = min(_BEHIND_MOST_US, int(_number(request, "edge_behind_s") * SECOND_US))
    return EdgeReport(name, int(_number(request, "edge_waiting")), behind_us, ends)


def _number(request: web.Request, name: str) -> float:
    text = request.query.get(name, "0")
    if not _NUMBER.match(text):
        raise Problem(400, f"{name} must be a number of up to 15 digits, 0 or more")
    return float(text)
