"""Zimwatch's own metrics in Prometheus's format. ``docs/metrics.md`` lists them.

Other packages count through OpenTelemetry's API; this module sets the provider behind it. Histograms of durations are
in :mod:`sidecar.durations`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import sqlalchemy as sa
from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Gauge, generate_latest

from sidecar.clock import Clock
from sidecar.domain.app_ids import AppIds
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE
from sidecar.domain.units import SECOND_US
from sidecar.store import Store, database
from sidecar.store.log import followers, span_outbox
from sidecar.store.users import user_reads
from sidecar.store.values import Storage, StoreGauge
from sidecar.version import VERSION

LOSSES: Final = ("refused", "rejected", "expired")
QUEUE_SIZE: Final = "zimwatch.queue.size"
QUEUE_AGE: Final = "zimwatch.queue.age"

_meter = metrics.get_meter("zimwatch")
_exported = _meter.create_counter("zimwatch.spans.exported", description="Spans that a collector accepted")
_lost = _meter.create_counter("zimwatch.spans.lost", description="Spans that will not be exported, by reason")
_failed = _meter.create_counter("zimwatch.span.export.failures", description="Failed attempts to export")
_meter.create_observable_gauge(
    "zimwatch.build.info",
    [lambda _options: [Observation(1, {"version": VERSION})]],
    description="1, with the version that runs",
)
# The latest values of each gauge: OpenTelemetry calls back at any time, and cannot wait for a database.
_read: Final[dict[str, Sequence[Observation]]] = {}


def _users(connection: sa.Connection, _now_us: int, apps: AppIds) -> dict[str, float]:
    summary = user_reads.summary(connection, apps)
    return {
        ONLINE: summary.online - summary.unconfirmed_online,
        OFFLINE: summary.offline - summary.unconfirmed_offline,
        NOT_LOGGED_IN: summary.not_logged_in,
        "unconfirmed": summary.unconfirmed,
    }


def _pending(connection: sa.Connection, _now_us: int, _apps: AppIds) -> dict[str, float]:
    return {"": span_outbox.count_pending(connection)}


def _age(connection: sa.Connection, now_us: int, _apps: AppIds) -> dict[str, float]:
    oldest_us = span_outbox.backlog(connection).oldest_us
    return {"": 0 if oldest_us is None else max(0, now_us - oldest_us) / SECOND_US}


def _storage(connection: sa.Connection, now_us: int, _apps: AppIds) -> Storage:
    return database.size(connection, now_us)


def _behind(connection: sa.Connection, _now_us: int, _apps: AppIds) -> dict[str, float]:
    return {"": database.of(connection).commits_behind(connection)}


def _sizes(storage: Storage) -> dict[str, float]:
    return {"file": storage.file_bytes, "wal": storage.wal_bytes}


def _free(storage: Storage) -> dict[str, float]:
    return {} if storage.free_bytes is None else {"": storage.free_bytes}


GAUGES: Final = (
    StoreGauge("zimwatch.users", "Users by status, each counted once", _users, label="status", is_of_apps=True),
    StoreGauge("zimwatch.span.backlog", "Spans waiting to be exported", _pending),
    StoreGauge("zimwatch.span.backlog.age", "Age of the oldest span that waits to be exported", _age, unit="s"),
    StoreGauge("zimwatch.database.size", "Size of the database, by part", _storage, _sizes, label="part", unit="By"),
    StoreGauge("zimwatch.node.behind.commits", "Commits of other nodes that this one has not followed", _behind),
    StoreGauge("zimwatch.disk.free", "Free space of the database's disk", _storage, _free, unit="By"),
)


def _behind_of(names: Sequence[str]) -> StoreGauge:
    return StoreGauge(
        "zimwatch.followers.behind",
        "Events that a follower of the log has not followed",
        lambda connection, _now_us, _apps: followers.behind(connection, names),
        label="follower",
    )


class Metrics:
    """The counters of this process, and gauges read from the store: ``gauges``, and those of users and spans."""

    def __init__(self, store: Store, clock: Clock, gauges: Sequence[StoreGauge] = ()) -> None:
        self._store = store
        self._clock = clock
        self._gauges = (*GAUGES, *gauges, _behind_of(store.followers))
        for gauge in self._gauges:
            _create(gauge.name, gauge.unit, gauge.description)
        _create(QUEUE_SIZE, "By", "Size of the events that wait for their commit")
        _create(QUEUE_AGE, "s", "Age of the oldest of them")
        _exported.add(0)  # the series exist from the start, so that the first loss is an increase
        _failed.add(0)
        for kind in LOSSES:
            _lost.add(0, {"kind": kind})

    def spans_exported(self, count: int) -> None:
        """Counts spans that a collector accepted."""
        _exported.add(count)

    def spans_lost(self, count: int, kind: str) -> None:
        """Counts spans that will not be sent again; ``kind`` as in :class:`sidecar.store.values.Loss`."""
        _lost.add(count, {"kind": kind})

    def span_export_failed(self) -> None:
        """Counts a failed attempt to export."""
        _failed.add(1)

    async def text(self, apps: AppIds = None) -> tuple[bytes, str]:
        """All metrics in Prometheus's text format, and the content type; of some apps only their gauges."""
        now_us = self._clock()
        if apps is not None:
            return generate_latest(await self._of_apps(now_us, apps)), CONTENT_TYPE_LATEST
        size_bytes, age_us = self._store.waiting()
        _read[QUEUE_SIZE], _read[QUEUE_AGE] = [Observation(size_bytes)], [Observation(age_us / SECOND_US)]
        for gauge, values in await self._store.read(_values, self._gauges, now_us):
            _read[gauge.name] = [Observation(value, _labels(gauge, name)) for name, value in values.items()]
        return generate_latest(REGISTRY), CONTENT_TYPE_LATEST

    async def _of_apps(self, now_us: int, apps: frozenset[int]) -> CollectorRegistry:
        """The gauges of these apps together, under the same names."""
        registry = CollectorRegistry()
        gauges = [one for one in self._gauges if one.is_of_apps]
        for gauge, values in await self._store.read(_values, gauges, now_us, apps):
            shown = Gauge(gauge.name.replace(".", "_"), gauge.description, [gauge.label], registry=registry)
            for name, value in values.items():
                shown.labels(name).set(value)
        return registry


def _values(
    connection: sa.Connection, gauges: Sequence[StoreGauge], now_us: int, apps: AppIds = None
) -> list[tuple[StoreGauge, Mapping[str, float]]]:
    """The values of all these gauges at one moment."""
    read = {each: each(connection, now_us, apps) for each in dict.fromkeys(gauge.read for gauge in gauges)}
    return [(gauge, read[gauge.read] if gauge.shown is None else gauge.shown(read[gauge.read])) for gauge in gauges]


def _create(name: str, unit: str, description: str) -> None:
    """Creates a gauge of the latest values, once in a process."""
    if name not in _read:
        _read[name] = ()
        _meter.create_observable_gauge(name, [_latest(name)], unit=unit, description=description)


def _latest(name: str) -> Callable[[CallbackOptions], Sequence[Observation]]:
    return lambda _options: _read[name]


def _labels(gauge: StoreGauge, name: str) -> Mapping[str, str]:
    return {gauge.label: name} if gauge.label else {}


def start_metrics(resource: Resource) -> None:
    """Sets the global provider, once in a process."""
    if not isinstance(metrics.get_meter_provider(), MeterProvider):
        metrics.set_meter_provider(MeterProvider([PrometheusMetricReader()], resource=resource))
