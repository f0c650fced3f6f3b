"""Zimwatch's own metrics, for Prometheus to read. ``docs/metrics.md`` lists them.

The API counts through OpenTelemetry's API alone; this module sets the provider behind it.
"""

from __future__ import annotations

from typing import Final

from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from sidecar.clock import Clock
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE
from sidecar.store import Store
from sidecar.store.records import Backlog, Summary

_SECOND_US: Final = 1_000_000


class Metrics:
    """The metrics of one process: the provider is global, so that there is one at a time."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._summary = Summary(0, 0, 0, 0)
        self._backlog = Backlog(0, None)
        meter = metrics.get_meter("zimwatch")
        self._exported = meter.create_counter("zimwatch.spans.exported", description="Spans that a collector has taken")
        self._failed = meter.create_counter(
            "zimwatch.span.export.failures", description="Attempts to export that failed"
        )
        meter.create_observable_gauge("zimwatch.users", [self._users], description="Users by status")
        meter.create_observable_gauge("zimwatch.span.backlog", [self._owed], description="Spans owed to the collector")
        meter.create_observable_gauge(
            "zimwatch.span.backlog.age", [self._age], unit="s", description="Age of the oldest span that is owed"
        )

    def spans_exported(self, count: int) -> None:
        """A collector has taken ``count`` spans."""
        self._exported.add(count)

    def span_export_failed(self) -> None:
        """An attempt to export failed."""
        self._failed.add(1)

    async def text(self) -> tuple[bytes, str]:
        """Everything in Prometheus's text format, and its content type."""
        self._summary = await self._store.summary()
        self._backlog = await self._store.span_backlog()
        return generate_latest(REGISTRY), CONTENT_TYPE_LATEST

    def _users(self, _options: CallbackOptions) -> list[Observation]:
        return [
            Observation(self._summary.online, {"status": ONLINE}),
            Observation(self._summary.offline, {"status": OFFLINE}),
            Observation(self._summary.not_logged_in, {"status": NOT_LOGGED_IN}),
            Observation(self._summary.unconfirmed, {"status": "unconfirmed"}),
        ]

    def _owed(self, _options: CallbackOptions) -> list[Observation]:
        return [Observation(self._backlog.spans)]

    def _age(self, _options: CallbackOptions) -> list[Observation]:
        oldest_us = self._backlog.oldest_us
        return [Observation(0 if oldest_us is None else max(0, self._clock() - oldest_us) / _SECOND_US)]


def start_metrics(resource: Resource) -> None:
    """Sets the global provider, once in a process: what was counted before is counted from here on."""
    if not isinstance(metrics.get_meter_provider(), MeterProvider):
        metrics.set_meter_provider(MeterProvider([PrometheusMetricReader()], resource=resource))
