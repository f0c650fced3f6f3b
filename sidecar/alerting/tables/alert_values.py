"""The values that reads of the alert tables return."""

from __future__ import annotations

from typing import Any

import msgspec

from sidecar.domain.alerts.alert import Alert
from sidecar.domain.app_ids import AppIds
from sidecar.domain.texts import Text


class AlertFilter(msgspec.Struct, frozen=True, kw_only=True):
    """``state`` is ``firing``, ``resolved`` or ``acknowledged`` (firing and acknowledged).

    ``cursor`` is the ``next_cursor`` of the page before.
    """

    state: str | None = None
    kind: str | None = None
    severity: str | None = None
    apps: AppIds = None
    user_id: str | None = None
    cursor: int | None = None
    limit: int = 50


class AlertPage(msgspec.Struct, frozen=True):
    """Newest first; ``next_cursor`` is the cursor of the next page."""

    alerts: list[Alert]
    next_cursor: int | None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the history of an alert. ``who`` None is Zimwatch itself."""

    at_us: int
    what: str
    who: str | None
    position: int | None
    text: Text


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One notification of an alert to one receiver. ``suppressed_by``: why it is not sent."""

    receiver: str
    what: str
    state: str  # waiting | planned (see its message) | suppressed
    suppressed_by: str | None
    message: Message | None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one receiver. ``proof`` is the receiver's answer, ``alerts`` the number of alerts in it.

    ``answers`` is the id of the message that it follows up.
    """

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
    error: Text | None
    proof: dict[str, Any] | None
