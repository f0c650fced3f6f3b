"""Histograms of durations for Prometheus. ``docs/metrics.md`` lists them.

They are prometheus_client's, and not OpenTelemetry's as the other metrics are: those have no series before something
was observed.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import Histogram, disable_created_metrics

BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REQUEST_KINDS: Final = ("ingest", "page", "api")

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each histogram, which only OpenMetrics reads

REQUESTS: Final = Histogram(
    "zimwatch_request_duration_seconds", "How long answers took at the server, by kind", ["kind"], buckets=BOUNDS_S
)
COMMITS: Final = Histogram(
    "zimwatch_commit_duration_seconds", "How long transactions of the writer took", buckets=BOUNDS_S
)
DELIVERIES: Final = Histogram(
    "zimwatch_alert_delivery_duration_seconds",
    "How long attempts to send an alert message took, by receiver",
    ["receiver"],
    buckets=BOUNDS_S,
)
for _kind in REQUEST_KINDS:
    REQUESTS.labels(_kind)  # so that its series are there from the start
