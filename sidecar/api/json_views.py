"""The JSON of the API: times as RFC 3339 in UTC with milliseconds, ids as UUID text."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from sidecar.alerting.payloads import View, time_text
from sidecar.alerting.payloads import alert_view as webhook_view
from sidecar.alerting.pending import PENDING, Pending
from sidecar.alerting.tables.alert_values import Line, Message, Notification
from sidecar.domain.alerts.alert import Alert
from sidecar.domain.alerts.routing import Silence
from sidecar.domain.alerts.rules import advice
from sidecar.domain.alerts.user_watches import UserWatch
from sidecar.domain.findings import Finding
from sidecar.domain.moment import wrong_by_us
from sidecar.domain.outside_text import one_line
from sidecar.domain.reporters import is_outdated
from sidecar.domain.server_view import Disagreement, ServerView
from sidecar.domain.session import Session
from sidecar.domain.units import SECOND_US
from sidecar.store.users.old_reporters import CURRENT
from sidecar.store.users.user_query import UserPage
from sidecar.store.values import (
    Occurrence,
    Rejected,
    StoredEvent,
    Summary,
    Token,
    Total,
    UserDetail,
    UserRow,
)


def response(value: object, status: int = 200) -> web.Response:
    """``value`` as JSON."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def _time(us: int | None) -> str | None:
    return None if us is None else time_text(us)


def _uuid(value: bytes | None) -> str | None:
    return None if value is None else str(uuid.UUID(bytes=value))


def user_view(row: UserRow) -> dict[str, Any]:
    """A user, as in lists and in the stream."""
    return {
        "app_id": row.app_id,
        "user_id": row.user_id,
        "status": row.status,
        "since": _time(row.since_us),
        "reason": row.reason,
        "unconfirmed": row.unconfirmed,
        "token_expires_at": _time(row.token_expires_at_us),
        "last_seen_at": time_text(row.last_seen_at_us),
        "platform": row.platform,
        "server": _server_view(row.server),
        "disagreement": _disagreement_view(row.disagreement),
    }


def users_view(page: UserPage[UserRow], total: Total) -> dict[str, Any]:
    """A page of users, and how many there are on all pages."""
    views = [
        user_view(row) if row.happened is None else user_view(row) | {"happened": _occurrence_view(row.happened)}
        for row in page.users
    ]
    counted = {"users": total.users, "events": total.events, "at_least": total.is_least}
    return {"users": views, "next_cursor": page.next_cursor, "total": counted}


def _occurrence_view(found: Occurrence) -> dict[str, Any]:
    return {"at": time_text(found.last_us), "times": found.times}


def _server_view(view: ServerView | None) -> dict[str, Any] | None:
    if view is None:
        return None
    return {
        "status": view.status,
        "since": time_text(view.since_us),
        "reason": view.reason,
        "os": view.os,
        "asked": view.asked,
    }


def _disagreement_view(found: Disagreement | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "since": time_text(found.since_us),
        "client": found.client,
        "server": found.server,
        "reason": found.reason,
    }


def token_view(token: Token, now_us: int) -> dict[str, Any]:
    """A token without its secret."""
    return {
        "id": token.id,
        "scope": token.scope,
        "name": token.name,
        "apps": None if token.apps is None else sorted(token.apps),
        "origins": list(token.origins),
        "begins_with": token.hint,
        "state": token.state(now_us),
        "created_at": time_text(token.created_at_us),
        "made_by": token.made_by,
        "expires_at": _time(token.expires_at_us),
        "last_used_at": _time(token.last_used_at_us),
        "revoked_at": _time(token.revoked_at_us),
        "replaced_by": token.replaced_by,
    }


def summary_view(counts: Summary, firing: Mapping[str, int]) -> dict[str, Any]:
    """The number of users by status, and of firing alerts by kind."""
    return {
        "online": counts.online,
        "offline": counts.offline,
        "not_logged_in": counts.not_logged_in,
        "unconfirmed": counts.unconfirmed,
        "alerts": dict(firing),
    }


def detail_view(detail: UserDetail, findings: Iterable[Finding]) -> dict[str, Any]:
    """A user with its sessions and what is wrong with it."""
    return user_view(detail.user) | {
        "sessions": [_session_view(session) for session in detail.sessions],
        "findings": [_finding_view(finding) for finding in findings],
    }


def _finding_view(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "severity": finding.severity,
        "summary": one_line(str(finding.summary)),
        "say": str(finding.say),
        "advice": " ".join(str(one) for one in finding.advice),
        "since": time_text(finding.since_us),
        "events": [_uuid(event_id) for event_id in finding.events],
        "unproven": finding.is_unproven,
    }


def _session_view(row: Session) -> dict[str, Any]:
    return {
        "session_id": _uuid(row.session_id),
        "client_id": _uuid(row.client_id),
        "status": row.status,
        "since": _time(row.since_us),
        "reason": row.reason,
        "connection_state": row.connection_state,
        "unconfirmed": row.unconfirmed,
        "silent_at_most_s": row.lease_us / SECOND_US,
        "login_at": _time(row.login_at_us),
        "token_expires_at": _time(row.token_expires_at_us),
        "last_seen_at": time_text(row.last_seen_at_us),
        "outages": row.outages,
        "platform": row.platform,
        "sdk": {"name": row.sdk_name, "version": row.sdk_version},
        "app_version": row.app_version,
        "device_id": row.device_id,
        "reporter": {
            "name": row.reporter_name,
            "version": row.reporter_version,
            "outdated": is_outdated(row.reporter_name, row.reporter_version, CURRENT),
        },
        "clock_off_s": row.clock_off_us / SECOND_US if wrong_by_us(row.clock_off_us) else None,
    }


def event_view(stored: StoredEvent) -> dict[str, Any]:
    """A stored event, with the field names of the wire format."""
    event = stored.event
    view: dict[str, Any] = {
        "position": stored.position,
        "id": _uuid(event.id),
        "type": event.type,
        "occurred_at": time_text(event.occurred_at_us),
        "received_at": time_text(event.received_at_us),
        "moment": time_text(event.moment_us),
        "client_id": _uuid(event.client_id),
        "seq": event.seq,
        "session_id": _uuid(event.session_id),
        "app_id": event.app_id,
        "user_id": event.user_id,
        "platform": event.platform,
        "sdk": {"name": event.sdk_name, "version": event.sdk_version},
        "app_version": event.app_version,
        "device_id": event.device_id,
    }
    if event.reporter_name is not None or event.reporter_version is not None:
        view["reporter"] = {"name": event.reporter_name, "version": event.reporter_version}
    if event.proven is not None:
        view["proven"] = event.proven
    if event.connection_state is not None:
        view["connection_state"] = event.connection_state
        view["connection_event"] = event.connection_event
        view["extended_data"] = event.extended_data
    for name, value in event.details.items():
        if name.endswith("_us"):
            view[name.removesuffix("_us")] = _time(value)
        else:
            view[name] = value
    return view


def rejected_view(rejected: Rejected) -> dict[str, Any]:
    """A rejected event: the reason, and as much of its text as is kept."""
    return {
        "received_at": time_text(rejected.received_at_us),
        "app_id": rejected.app_id,
        "index": rejected.index,
        "id": rejected.event_id,
        "error": rejected.error,
        "body": rejected.body,
    }


# The API's names for states of the database.
_STATES: Final = {"suppressed": "held"}


def alert_view(alert: Alert, base: str) -> View:
    """An alert: what a webhook sends of it, and who acknowledged it."""
    acknowledged = None
    if alert.acknowledged_at_us is not None:
        acknowledged = {"by": alert.acknowledged_by, "at": time_text(alert.acknowledged_at_us)}
    return webhook_view(alert, base) | {
        "opened_at": time_text(alert.opened_at_us),
        "end_reason": None if alert.end_reason is None else str(alert.end_reason),
        "acknowledged": acknowledged,
        "held": alert.suppressed_by,
    }


def pending_view(pending: Pending) -> View:
    """An alert that is about to fire; it has no id yet."""
    return {
        "fingerprint": pending.fingerprint,
        "kind": pending.kind,
        "severity": pending.severity,
        "state": PENDING,
        "app_id": pending.subject.app_id,
        "user_id": pending.subject.user_id,
        "summary": str(pending.summary),
        "advice": advice(pending.kind),
        "started_at": time_text(pending.started_at_us),
        "fires_at": time_text(pending.fires_at_us),
        "labels": pending.labels,
    }


def history_view(lines: list[Line], sent: list[Notification]) -> dict[str, Any]:
    """What happened to an alert, and the notifications about it."""
    return {
        "history": [
            {"at": time_text(one.at_us), "what": one.what, "who": one.who, "event": one.position, "text": str(one.text)}
            for one in lines
        ],
        "notifications": [
            {
                "receiver": one.receiver,
                "what": one.what,
                "state": one.message.state if one.message else _STATES.get(one.state, one.state),
                "held": one.suppressed_by,
                "message": None if one.message is None else message_view(one.message),
            }
            for one in sent
        ],
    }


def message_view(message: Message) -> dict[str, Any]:
    """One message to one receiver, with the proof of its delivery."""
    return {
        "id": message.id,
        "message_id": message.public_id,
        "receiver": message.receiver,
        "what": message.what,
        "summary": message.body["alert"]["summary"],
        "alerts": message.alerts,
        "state": message.state,
        "attempts": message.attempts,
        "created_at": time_text(message.created_at_us),
        "tried_at": _time(message.tried_at_us),
        "sent_at": _time(message.sent_at_us),
        "next_attempt_at": time_text(message.due_at_us) if message.state == "pending" else None,
        "error": None if message.error is None else str(message.error),
        "proof": message.proof,
    }


def watch_view(watch: UserWatch) -> dict[str, Any]:
    """A watch that lasts."""
    return {
        "id": watch.id,
        "app_id": watch.app_id,
        "user_id": watch.user_id,
        "author": watch.author,
        "receiver": watch.receiver,
        "created_at": time_text(watch.created_at_us),
        "ends_at": time_text(watch.until_us),
    }


def silence_view(silence: Silence, now_us: int) -> dict[str, Any]:
    """A silence, with its state."""
    state = "pending" if now_us < silence.starts_at_us else "active" if now_us < silence.ends_at_us else "expired"
    return {
        "id": silence.id,
        "state": state,
        "matchers": silence.matchers,
        "starts_at": time_text(silence.starts_at_us),
        "ends_at": time_text(silence.ends_at_us),
        "author": silence.author,
        "reason": silence.reason,
        "app_id": silence.app_id,
    }
