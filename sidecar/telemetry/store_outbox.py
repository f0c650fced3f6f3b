"""The span outbox of a store, with metrics of what was exported and lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sidecar.store import Store
from sidecar.store.log import settled_events, span_outbox
from sidecar.store.values import Loss, PendingSpan
from sidecar.telemetry.self_metrics import Metrics


class StoreOutbox:
    """A :class:`sidecar.telemetry.relay.Outbox` over a store."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics

    async def claim(self, after: int, limit: int) -> list[PendingSpan]:
        """Reads the store."""
        return await self._store.read(span_outbox.claim, after, limit)

    async def done(self, through: int, spans: int, losses: Sequence[Loss], cursor: str | None = None) -> None:
        """Commits the outcome, then counts it. With ``cursor`` it is that of settled events."""
        if cursor is None:
            await self._store.write(span_outbox.acknowledge, through, spans, losses)
        else:
            await self._store.write(settled_events.acknowledge, cursor, through, losses)
        self._metrics.spans_exported(spans - sum(loss.spans for loss in losses))
        for loss in losses:
            self._metrics.spans_lost(loss.spans, loss.kind)

    def failed(self) -> None:
        """Counts it."""
        self._metrics.span_export_failed()

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Calls ``wake`` after each commit."""
        return self._store.subscribe(lambda _commit: wake())

    def when_erased(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls ``callback`` after each commit that removed the data of a user; returns a function that ends this."""
        return self._store.subscribe(lambda commit: callback() if commit.erased else None)
