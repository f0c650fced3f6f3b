"""How the API writes things: times as RFC 3339 in UTC with milliseconds, ids as UUID text."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiohttp import web

from sidecar.domain.server_view import Disagreement, ServerView
from sidecar.store.records import SessionRow, StoredEvent, Summary, UserDetail, UserRow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def time_text(us: int) -> str:
    """Microseconds since the Unix epoch as ``2026-11-24T01:02:03.004Z``."""
    moment = _EPOCH + timedelta(microseconds=us)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def response(value: object, status: int = 200) -> web.Response:
    """``value`` as JSON."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


def _time(us: int | None) -> str | None:
    return None if us is None else time_text(us)


def _uuid(value: bytes | None) -> str | None:
    return None if value is None else str(uuid.UUID(bytes=value))


def user_view(row: UserRow) -> dict[str, Any]:
    """A user as the lists and the stream have it."""
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


def summary_view(counts: Summary) -> dict[str, Any]:
    """Users as counts, and the alerts that fire."""
    return {
        "online": counts.online,
        "offline": counts.offline,
        "not_logged_in": counts.not_logged_in,
        "unconfirmed": counts.unconfirmed,
        "alerts": {},
    }


def detail_view(detail: UserDetail) -> dict[str, Any]:
    """A user with its sessions."""
    return user_view(detail.user) | {"sessions": [_session_view(session) for session in detail.sessions]}


def _session_view(row: SessionRow) -> dict[str, Any]:
    return {
        "session_id": _uuid(row.session_id),
        "client_id": _uuid(row.client_id),
        "status": row.status,
        "since": _time(row.since_us),
        "reason": row.reason,
        "connection_state": row.connection_state,
        "unconfirmed": row.unconfirmed,
        "login_at": _time(row.login_at_us),
        "token_expires_at": _time(row.token_expires_at_us),
        "last_seen_at": time_text(row.last_seen_at_us),
        "outages": row.outages,
        "platform": row.platform,
        "sdk": {"name": row.sdk_name, "version": row.sdk_version},
        "app_version": row.app_version,
        "device_id": row.device_id,
    }


def event_view(stored: StoredEvent) -> dict[str, Any]:
    """An event as it is stored, by its wire names."""
    event = stored.event
    view: dict[str, Any] = {
        "position": stored.position,
        "id": _uuid(event.id),
        "type": event.type,
        "occurred_at": time_text(event.occurred_at_us),
        "received_at": time_text(event.received_at_us),
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
