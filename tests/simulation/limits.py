"""Sizes from which on the product does something else, small by the seed, so that a few clients reach them too."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from random import Random
from types import ModuleType
from typing import Final

from sidecar.alerting import alert_reaction
from sidecar.store import heartbeats, writer
from sidecar.store.care import rebuild
from sidecar.store.log import followers
from sidecar.store.sqlite import care
from sidecar.store.users import client_history, projections, recent_blocks, working_set
from sidecar.telemetry import relay

SMALL: Final[tuple[tuple[ModuleType, str, int], ...]] = (
    (working_set, "CLIENTS_KEPT", 1),
    (working_set, "CLIENTS_PACKED", 2),
    (client_history, "BLOCK_EVENTS", 3),
    (recent_blocks, "KEPT", 8),
    (projections, "USERS_CACHED", 2),
    (followers, "SLICE", 3),
    (rebuild, "_SLICE", 50),
    (heartbeats, "HELD_MOST", 4),
    (heartbeats, "SLICE_HEARTBEATS", 2),
    (writer, "COMMIT_EVENTS", 5),
    (care, "CHECKPOINT_EVENTS", 10),
    (alert_reaction, "AT_ONCE", 2),
    (relay, "ROUND_SPANS", 5),
    (relay, "BATCH_SPANS", 3),
)
_SHARE: Final = 0.3


@contextlib.contextmanager
def small(chance: Random) -> Iterator[None]:
    """For as long as the context is open some of :data:`SMALL` are in force."""
    before = [(module, name, getattr(module, name)) for module, name, _ in SMALL]
    for module, name, size in SMALL:
        if chance.random() < _SHARE:
            setattr(module, name, size)
    try:
        yield
    finally:
        for module, name, size in before:
            setattr(module, name, size)
