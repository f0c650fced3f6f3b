"""Zimwatch's own metrics, for Prometheus to read. ``docs/metrics.md`` lists them.

The API counts through OpenTelemetry's API alone; this module sets the provider behind it.
"""

from __future__ import annotations

from typing import ClassVar, Final

from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from sidecar.clock import Clock
from sidecar.domain.alerting.kinds import KINDS
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE
from sidecar.store import Store, alert_log, notifications
from sidecar.store.records import Backlog, Summary

_SECOND_US: Final = 1_000_000


class _Read:
    """What the store told last. OpenTelemetry asks for gauges when it likes, and cannot wait for a database."""

    summary = Summary(0, 0, 0, 0, 0)
    backlog = Backlog(0, None)
    alerts: ClassVar[dict[str, int]] = {}
    messages = (0, 0)
    now_us = 0


def _users(_options: CallbackOptions) -> list[Observation]:
    summary = _Read.summary
    return [
        Observation(summary.online - summary.unconfirmed_online, {"status": ONLINE}),
        Observation(summary.offline - summary.unconfirmed_offline, {"status": OFFLINE}),
        Observation(summary.not_logged_in, {"status": NOT_LOGGED_IN}),
        Observation(summary.unconfirmed, {"status": "unconfirmed"}),
    ]


def _owed(_options: CallbackOptions) -> list[Observation]:
    return [Observation(_Read.backlog.spans)]


def _age(_options: CallbackOptions) -> list[Observation]:
    oldest_us = _Read.backlog.oldest_us
    return [Observation(0 if oldest_us is None else max(0, _Read.now_us - oldest_us) / _SECOND_US)]


def _firing(_options: CallbackOptions) -> list[Observation]:
    return [Observation(_Read.alerts.get(kind, 0), {"kind": kind}) for kind in KINDS]


def _owed_messages(_options: CallbackOptions) -> list[Observation]:
    return [Observation(_Read.messages[0])]


def _dead_messages(_options: CallbackOptions) -> list[Observation]:
    return [Observation(_Read.messages[1])]


_meter = metrics.get_meter("zimwatch")
_exported = _meter.create_counter("zimwatch.spans.exported", description="Spans that a collector has taken")
_lost = _meter.create_counter("zimwatch.spans.lost", description="Spans that no collector will have, by why")
_failed = _meter.create_counter("zimwatch.span.export.failures", description="Attempts to export that failed")
_meter.create_observable_gauge("zimwatch.users", [_users], description="Users by status, each counted once")
_meter.create_observable_gauge("zimwatch.span.backlog", [_owed], description="Spans owed to the collector")
_meter.create_observable_gauge(
    "zimwatch.span.backlog.age", [_age], unit="s", description="Age of the oldest span that is owed"
)


_meter.create_observable_gauge("zimwatch.alerts", [_firing], description="Alerts that fire, by kind")
_meter.create_observable_gauge("zimwatch.alert.backlog", [_owed_messages], description="Messages owed to receivers")
_meter.create_observable_gauge(
    "zimwatch.alert.undelivered", [_dead_messages], description="Messages that could not be delivered"
)


class Metrics:
    """The metrics of this process, and what the store adds to them."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def spans_exported(self, count: int) -> None:
        """A collector has taken ``count`` spans."""
        _exported.add(count)

    def spans_lost(self, count: int, kind: str) -> None:
        """``count`` spans will not be offered again; ``kind`` as :class:`sidecar.store.records.Loss` has it."""
        _lost.add(count, {"kind": kind})

    def span_export_failed(self) -> None:
        """An attempt to export failed."""
        _failed.add(1)

    async def text(self) -> tuple[bytes, str]:
        """Everything in Prometheus's text format, and its content type."""
        _Read.summary = await self._store.summary()
        _Read.backlog = await self._store.span_backlog()
        _Read.alerts = await self._store.read(alert_log.counts)
        _Read.messages = await self._store.read(notifications.backlog)
        _Read.now_us = self._clock()
        return generate_latest(REGISTRY), CONTENT_TYPE_LATEST


def start_metrics(resource: Resource) -> None:
    """Sets the global provider, once in a process: what was counted before is counted from here on."""
    if not isinstance(metrics.get_meter_provider(), MeterProvider):
        metrics.set_meter_provider(MeterProvider([PrometheusMetricReader()], resource=resource))
