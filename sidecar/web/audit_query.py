"""The audit log as requests ask for it, and its rows as JSON: for the API, the page and the exports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from sidecar.domain import rfc3339
from sidecar.store.access.audit_reads import AuditFilter
from sidecar.store.access.audit_values import AuditAction, AuditRow, Head
from sidecar.web.params import number, one_of
from sidecar.web.problem import Problem

ACTIONS: Final = tuple(action.value for action in AuditAction)
FIELDS: Final = ("actor", "action", "app_id", "user_id", "address", "request_id", "from", "until")


def wanted(get: Callable[[str], str | None], *, limit: int, moment_us: Callable[[str], int]) -> AuditFilter:
    """The filter of a query; 400 that names the field that is wrong. ``moment_us``: ValueError for no moment."""

    def moment(name: str) -> int | None:
        text = get(name)
        if not text:
            return None
        try:
            return moment_us(text)
        except (ValueError, OverflowError):
            raise Problem(400, f"{name} must be a moment such as 2026-11-24T10:00:00Z") from None

    return AuditFilter(
        actor=get("actor") or None,
        action=one_of(get("action"), "action", ACTIONS),
        app_id=number(get("app_id"), "app_id"),
        user_id=get("user_id") or None,
        address=get("address") or None,
        request_id=get("request_id") or None,
        from_us=moment("from"),
        until_us=moment("until"),
        before=number(get("cursor"), "cursor"),
        limit=limit,
    )


def row_view(row: AuditRow) -> dict[str, Any]:
    """A row. ``app_id`` and ``user_id``, or ``searched``, are what ``subject`` stands for, where that is kept."""
    return {
        "id": row.id,
        "at": rfc3339.text(row.at_us),
        "actor": row.actor,
        "action": row.action,
        "subject": row.subject,
        "app_id": row.app_id,
        "user_id": None if row.app_id is None else row.user_id,
        "searched": row.user_id if row.app_id is None else None,
        "address": row.address,
        "request_id": row.request_id,
        "details": None if row.details is None else msgspec.json.decode(row.details),
        "hash": row.hash,
    }


def head_view(head: Head) -> dict[str, Any]:
    """The head, to be saved elsewhere."""
    return {"id": head.id, "at": rfc3339.text(head.at_us) if head.id else None, "hash": head.hash}
