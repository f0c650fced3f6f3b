"""An alert as programs see it: the shape of the webhook, version 1, and of the API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

from sidecar.domain.alerting.alert import FIRING, RESOLVED, Alert
from sidecar.domain.alerting.kinds import SEVERITIES
from sidecar.domain.alerting.words import ADVICE, long, who

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# A digest names this many, and carries no more than that many whole.
_NAMED: Final = 3
CARRIED: Final = 1_000
_COMMON: Final = (("platform", ""), ("sdk_version", "SDK "), ("app_version", "app "))
_WORTH_TELLING: Final = 0.5

View = dict[str, Any]


def moment(us: int) -> datetime:
    """Microseconds since the Unix epoch as a datetime in UTC."""
    return _EPOCH + timedelta(microseconds=us)


def time_text(us: int) -> str:
    """RFC 3339, UTC, milliseconds."""
    minute, rest_us = divmod(us, 60_000_000)
    return f"{_minute(minute)}{rest_us // 1_000_000:02}.{rest_us // 1_000 % 1_000:03}Z"


@lru_cache(maxsize=4_096)
def _minute(minute: int) -> str:
    """Up to the seconds: lists say many times of few minutes, and a datetime takes three times as long."""
    return moment(minute * 60_000_000).isoformat()[: len("2026-11-24T01:02:")]


def user_url(base: str, app_id: int | None, user_id: str | None) -> str | None:
    """The user's page."""
    if app_id is None or user_id is None or user_id in {".", ".."}:
        return None
    return f"{base}/users/{app_id}/{quote(user_id, safe='')}"


def alert_view(alert: Alert, base: str) -> View:
    """One alert; ``base`` is where the dashboard is."""
    return {
        "id": alert.id,
        "fingerprint": alert.fingerprint,
        "kind": alert.kind,
        "severity": alert.severity,
        "state": alert.state,
        "app_id": alert.subject.app_id,
        "user_id": alert.subject.user_id,
        "summary": alert.summary,
        "advice": ADVICE[alert.kind],
        "started_at": time_text(alert.started_at_us),
        "ended_at": None if alert.ended_at_us is None else time_text(alert.ended_at_us),
        "count": alert.count,
        "url": f"{base}/alerts/{alert.id}",
        "labels": alert.labels,
    }


def message_body(what: str, alerts: Sequence[Alert], base: str, group: str, *, is_digest: bool, now_us: int) -> View:
    """What a message says, frozen when the message is made so that every attempt says the same."""
    if not is_digest:
        only = alerts[0]
        told = alert_view(only, base)
        if what != "resolved":
            told |= {"state": FIRING, "ended_at": None}
        return {
            "alert": told,
            "user_url": user_url(base, only.subject.app_id, only.subject.user_id),
            "end_reason": only.end_reason if what == "resolved" else None,
            "acknowledged_by": only.acknowledged_by,
            "lasted": long(now_us - only.started_at_us),
        }
    return {
        "alert": _digest_view(what, alerts, base, group),
        "alerts": [alert_view(one, base) for one in alerts[:CARRIED]],
        "user_url": None,
    }


def _digest_view(what: str, alerts: Sequence[Alert], base: str, group: str) -> View:
    kinds = Counter(alert.kind for alert in alerts)
    apps = {alert.subject.app_id for alert in alerts}
    kind = kinds.most_common(1)[0][0]
    over = sum(alert.state == RESOLVED for alert in alerts)
    is_over = what == "resolved"
    named = [who(alert.subject.user_id) for alert in alerts if alert.subject.user_id][:_NAMED]
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
        "fingerprint": f"digest {group}",
        "kind": kind,
        "severity": max((alert.severity for alert in alerts), key=SEVERITIES.index),
        "state": RESOLVED if is_over else FIRING,
        "app_id": apps.pop() if len(apps) == 1 else None,
        "user_id": None,
        "summary": summary,
        "advice": ADVICE[kind],
        "started_at": time_text(min(alert.started_at_us for alert in alerts)),
        "ended_at": time_text(max(alert.ended_at_us or alert.started_at_us for alert in alerts)) if is_over else None,
        "count": len(alerts),
        "url": f"{base}/alerts{query}",
        "labels": {"digest": "true"},
    }


def _common(alerts: Sequence[Alert]) -> str:
    shared = []
    for label, name in _COMMON:
        counted = Counter(alert.labels[label] for alert in alerts if label in alert.labels).most_common(1)
        if counted and counted[0][1] > _WORTH_TELLING * len(alerts):
            shared.append(f"{counted[0][1] / len(alerts):.0%} on {name}{counted[0][0]}")
    return ", ".join(shared)
