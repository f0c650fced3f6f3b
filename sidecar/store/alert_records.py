"""What the store gives of alerts: plain values, no SQL in them."""

from __future__ import annotations

from typing import Any

import msgspec

from sidecar.domain.alerting.alert import Alert


class AlertFilter(msgspec.Struct, frozen=True, kw_only=True):
    """``state`` is ``firing``, ``resolved`` or ``acknowledged`` (fires, and somebody has taken it on).

    The cursor is what the page before gave as the next one.
    """

    state: str | None = None
    kind: str | None = None
    severity: str | None = None
    app_id: int | None = None
    user_id: str | None = None
    cursor: int | None = None
    limit: int = 50


class AlertPage(msgspec.Struct, frozen=True):
    """Newest first; ``next_cursor`` goes on from here."""

    alerts: list[Alert]
    next_cursor: int | None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an alert's story. ``who`` None is Zimwatch itself."""

    at_us: int
    what: str
    who: str | None
    position: int | None
    text: str


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """Whom an alert was to be told, and what became of it. ``held``: why it was not."""

    receiver: str
    what: str
    state: str  # waiting | told | held
    held: str | None
    message: Message | None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one receiver. ``proof`` is what the receiver answered; ``alerts`` how many it tells of."""

    id: int
    public_id: str
    receiver: str
    what: str
    alert_id: int | None
    answers: int | None
    alerts: int
    body: dict[str, Any]
    state: str  # pending | sent | dead
    attempts: int
    created_at_us: int
    due_at_us: int
    tried_at_us: int | None
    sent_at_us: int | None
    error: str | None
    proof: dict[str, Any] | None
