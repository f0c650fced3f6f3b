"""An alert as programs see it: the shape of the webhook, version 1, and of the API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from sidecar.domain import rfc3339
from sidecar.domain.alerts.alert import FIRING, RESOLVED, SEVERITIES, Alert, Subject
from sidecar.domain.alerts.naming import user_name
from sidecar.domain.alerts.rules import advice
from sidecar.domain.apps import Apps
from sidecar.domain.outside_text import one_line
from sidecar.domain.paths import user_path
from sidecar.domain.texts import duration
from sidecar.domain.units import MINUTE_US
from sidecar.domain.user_naming import PLAIN, UserNaming

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# The most users named in a digest's summary, and the most alerts in its body.
_NAMED: Final = 3
CARRIED: Final = 1_000
_COMMON: Final = (("platform", ""), ("sdk_version", "SDK "), ("app_version", "app "))
_WORTH_NAMING: Final = 0.5

View = dict[str, Any]


def moment(us: int) -> datetime:
    """Microseconds since the Unix epoch as a datetime in UTC."""
    return _EPOCH + timedelta(microseconds=us)


def time_text(us: int) -> str:
    """RFC 3339, UTC, milliseconds."""
    minute, rest_us = divmod(us, MINUTE_US)
    return f"{_minute(minute)}{rest_us // 1_000_000:02}.{rest_us // 1_000 % 1_000:03}Z"


@lru_cache(maxsize=4_096)
def _minute(minute: int) -> str:
    """Up to the seconds. Cached: lists have many times of few minutes."""
    return rfc3339.text(minute * MINUTE_US)[: -len("02.345Z")]


def user_url(base: str, app_id: int | None, user_id: str | None) -> str | None:
    """The user's page."""
    return None if app_id is None or user_id is None else f"{base}{user_path(app_id, user_id)}"


def alert_view(alert: Alert, base: str, users: UserNaming = PLAIN) -> View:
    """One alert; ``base`` is where the dashboard is."""
    app_id, user_id = alert.subject.app_id, alert.subject.user_id
    return {
        "id": alert.id,
        "fingerprint": users.fingerprint(alert.fingerprint, alert.id),
        "kind": alert.kind,
        "severity": alert.severity,
        "state": alert.state,
        "app_id": app_id,
        **users.fields(app_id, user_id),
        "summary": one_line(str(users.text(alert.summary, app_id, user_id))),
        "advice": advice(alert.kind, alert.summary),
        "started_at": time_text(alert.started_at_us),
        "ended_at": None if alert.ended_at_us is None else time_text(alert.ended_at_us),
        "count": alert.count,
        "url": f"{base}/alerts/{alert.id}",
        "labels": alert.labels,
    }


def message_body(
    what: str,
    alerts: Sequence[Alert],
    base: str,
    apps: Apps,
    group: str,
    *,
    users: UserNaming = PLAIN,
    is_digest: bool,
    now_us: int,
) -> View:
    """The body of a message, created once so that every attempt sends the same. ``users``: how it names users."""
    if not is_digest:
        only = alerts[0]
        app_id, user_id = only.subject.app_id, only.subject.user_id
        linked = user_id if users.is_plain else None
        ended = users.text(only.end_reason, app_id, user_id) if only.end_reason else None
        view = alert_view(only, base, users)
        if what != "resolved":
            view |= {"state": FIRING, "ended_at": None}
        return {
            "alert": view,
            "app_name": apps.name(app_id),
            "user_url": user_url(base, app_id, linked),
            "back_office_url": apps.user_url(app_id, linked),
            "end_reason": str(ended) if what == "resolved" else None,
            "acknowledged_by": only.acknowledged_by,
            "lasted": str(duration(now_us - only.started_at_us)),
        }
    view = _digest_view(what, alerts, base, group, users)
    return {
        "alert": view,
        "alerts": [alert_view(one, base, users) for one in alerts[:CARRIED]],
        "app_name": apps.name(view["app_id"]),
        "user_url": None,
    }


def _digest_view(what: str, alerts: Sequence[Alert], base: str, group: str, users: UserNaming) -> View:
    kinds = Counter(alert.kind for alert in alerts)
    apps = {alert.subject.app_id for alert in alerts}
    kind = kinds.most_common(1)[0][0]
    over = sum(alert.state == RESOLVED for alert in alerts)
    is_over = what == "resolved"
    named = [name for alert in alerts if (name := _name(alert.subject, users))][:_NAMED]
    counted = ", ".join(f"{count:,} {name}" for name, count in kinds.most_common())
    summary = f"{len(alerts):,} alerts: {counted}"
    if named:
        more = len(alerts) - len(named)
        summary += f" ({', '.join(named)}{f' and {more:,} more' if more else ''})"
    if common := _common(alerts):
        summary += f"; {common}"
    if over and not is_over:
        summary += f"; {over:,} over again"
    query = f"?kind={kind}" if len(kinds) == 1 else ""
    return {
        "id": 0,
        "fingerprint": f"digest {group if users.is_plain else users.fingerprint(group, 0)}",
        "kind": kind,
        "severity": max((alert.severity for alert in alerts), key=SEVERITIES.index),
        "state": RESOLVED if is_over else FIRING,
        "app_id": apps.pop() if len(apps) == 1 else None,
        "user_id": None,
        "summary": summary,
        "advice": advice(kind),
        "started_at": time_text(min(alert.started_at_us for alert in alerts)),
        "ended_at": time_text(max(alert.ended_at_us or alert.started_at_us for alert in alerts)) if is_over else None,
        "count": len(alerts),
        "url": f"{base}/alerts{query}",
        "labels": {"digest": "true"},
    }


def _name(subject: Subject, users: UserNaming) -> str | None:
    """What the user of an alert is called in a list; None where it is not named, or there is none."""
    if not subject.user_id:
        return None
    return str(user_name(subject.user_id)) if users.is_plain else users.hash(subject.app_id, subject.user_id)


def _common(alerts: Sequence[Alert]) -> str:
    shared = []
    for label, name in _COMMON:
        counted = Counter(alert.labels[label] for alert in alerts if label in alert.labels).most_common(1)
        if counted and counted[0][1] > _WORTH_NAMING * len(alerts):
            shared.append(f"{counted[0][1] / len(alerts):.0%} on {name}{one_line(counted[0][0])}")
    return ", ".join(shared)
