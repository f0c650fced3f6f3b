"""The outbox of spans as the store has it, and what became of them counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sidecar.store import Store
from sidecar.store.records import Loss, PendingSpan
from sidecar.telemetry.metrics import Metrics


class StoreOutbox:
    """A :class:`sidecar.telemetry.relay.Outbox`."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics

    async def claim(self, after: int, limit: int) -> list[PendingSpan]:
        """Reads."""
        return await self._store.claim_spans(after, limit)

    async def done(self, through: int, spans: int, losses: Sequence[Loss]) -> None:
        """Commits, then counts."""
        await self._store.spans_done(through, spans, losses)
        self._metrics.spans_exported(spans - sum(loss.spans for loss in losses))
        for loss in losses:
            self._metrics.spans_lost(loss.spans, loss.kind)

    def failed(self) -> None:
        """Counts."""
        self._metrics.span_export_failed()

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """After each commit."""
        return self._store.subscribe(lambda _commit: heard())
