"""The metrics of edges: of the edge that this server is, and of those that it is the centre of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import sqlalchemy as sa

from sidecar.domain.app_ids import AppIds
from sidecar.domain.lease import LeaseTime
from sidecar.domain.units import SECOND_US
from sidecar.store.log import forwarding
from sidecar.store.values import StoreGauge

# Of more edges only those that are farthest behind have a series.
NAMED_MOST: Final = 100

_Behind = tuple[float, int]
"""For how many seconds, and how many events."""


def edge_gauges(own_name: str | None) -> tuple[StoreGauge, ...]:
    """``own_name``: of this server as an edge; None where it is none."""

    def read(connection: sa.Connection, now_us: int) -> Mapping[str, _Behind]:
        time = LeaseTime.without_skips(now_us)
        found = {one.name: (one.behind_now_us(time) / SECOND_US, one.waiting) for one in forwarding.edges(connection)}
        farthest = sorted(found, key=lambda name: found[name], reverse=True)[:NAMED_MOST]
        named = {name: found[name] for name in farthest}
        if own_name is not None and (state := forwarding.state(connection)) is not None:
            named[own_name] = (state.behind_us(now_us) / SECOND_US, state.waiting)
        return named

    def part(place: int) -> Callable[[sa.Connection, int, AppIds], dict[str, float]]:
        return lambda connection, now_us, _apps: {name: one[place] for name, one in read(connection, now_us).items()}

    def count(connection: sa.Connection, _now_us: int, _apps: AppIds) -> dict[str, float]:
        return {"": len(forwarding.edges(connection))}

    def removed(connection: sa.Connection, _now_us: int, _apps: AppIds) -> dict[str, float]:
        state = forwarding.state(connection)
        return {} if own_name is None or state is None else {"": state.removed}

    behind = "For how long the centre may have missed something of an edge; of the 100 that are farthest behind"
    waiting = "Events of an edge that the centre does not have; of the same"
    return (
        StoreGauge("zimwatch.edges", "Edges that reported within a week", count),
        StoreGauge("zimwatch.edge.behind", behind, part(0), label="edge", unit="s"),
        StoreGauge("zimwatch.edge.behind.events", waiting, part(1), label="edge"),
        StoreGauge("zimwatch.edge.removed.events", "Events deleted before this edge had forwarded them", removed),
    )
