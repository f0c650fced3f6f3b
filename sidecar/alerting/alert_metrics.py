"""The metrics of alerts and of the messages about them."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from sidecar.alerting.tables import alert_log, notifications
from sidecar.domain.alerts.rules import KINDS
from sidecar.domain.app_ids import AppIds
from sidecar.store.values import StoreGauge


def _firing(connection: sa.Connection, _now_us: int, apps: AppIds) -> dict[str, float]:
    firing = alert_log.counts(connection, apps)
    return {kind: firing.get(kind, 0) for kind in KINDS}


def _pending(connection: sa.Connection, _now_us: int, _apps: AppIds) -> dict[str, float]:
    return {"": notifications.count_to_send(connection)}


def _dead(connection: sa.Connection, _now_us: int, _apps: AppIds) -> dict[str, float]:
    return {"": notifications.count_dead(connection)}


GAUGES: Final = (
    StoreGauge("zimwatch.alerts", "Alerts that fire, by kind", _firing, label="kind", is_of_apps=True),
    StoreGauge("zimwatch.alert.backlog", "Messages pending for receivers", _pending),
    StoreGauge("zimwatch.alert.undelivered", "Messages that could not be delivered", _dead),
)
