"""What ZEGO's server reports of each user, written in the same commit as the event of the report.

:func:`follow` is called once in each transaction that appended events, after the users' status is written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import msgspec
import sqlalchemy as sa

from sidecar.domain.events import SERVER_USER_ACTION, Event
from sidecar.domain.server_view import QUERIED, ServerReport, ServerView, add_report, differ, server_view
from sidecar.domain.status import Status
from sidecar.store import mapping, schema
from sidecar.store.users.users_by_id import rows_of_users
from sidecar.store.values import UserId

_UPSERT: Final = mapping.upsert(schema.server_views)
_reports: Final = msgspec.json.Decoder(tuple[ServerReport, ...]).decode


class StoredView(msgspec.Struct, frozen=True):
    """The server's view of a user, and since when, by the machine's clock, it differs from the user's status."""

    view: ServerView
    differs_since_us: int | None


def report_of(event: Event) -> ServerReport | None:
    """The report of a session in a ``server_user_action``; None if its action is unknown."""
    details = event.details
    if details.get("status") is None:
        return None
    return ServerReport(
        session_id=QUERIED if details.get("asked") else details.get("zego_session_id") or "unnamed",
        status=details["status"],
        at_us=event.occurred_at_us,
        reported_us=details["said_at_us"],
        again=bool(details.get("relogin")),
        reason=details.get("logout_reason"),
        os=details.get("os"),
        moment_us=event.moment_us,
    )


def follow(connection: sa.Connection, events: Iterable[Event], statuses: Mapping[UserId, Status]) -> None:
    """Updates the views by the appended events. ``statuses``: every user that the commit touched."""
    reports: dict[UserId, list[ServerReport]] = {}
    now_us = 0
    for event in events:
        now_us = max(now_us, event.received_at_us)
        if event.type == SERVER_USER_ACTION and event.user_id is not None and (report := report_of(event)):
            reports.setdefault((event.app_id, event.user_id), []).append(report)
    if not statuses or not (reports or _any(connection)):
        return
    stored = {(row[0], row[1]): row for row in rows_of_users(connection, schema.server_views, statuses)}
    changed = []
    for user_id, status in statuses.items():
        row = stored.get(user_id)
        if row is None and user_id not in reports:
            continue
        known = _reports(row[2]) if row else ()
        for report in reports.get(user_id, ()):
            known = add_report(known, report)
        view = server_view(known)
        since_us = row[3] if row else None
        differs = view is not None and differ(status, view.status)
        new_us = (since_us if since_us is not None else now_us) if differs else None
        if user_id in reports or new_us != since_us:
            changed.append((*user_id, msgspec.json.encode(known).decode(), new_us))
    if changed:
        connection.exec_driver_sql(_UPSERT, changed)


def views(connection: sa.Connection, users: Collection[UserId]) -> dict[UserId, StoredView]:
    """The server's view of those of ``users`` that it ever reported."""
    found: dict[UserId, StoredView] = {}
    if not _any(connection):
        return found
    for app_id, user_id, reports, since_us in rows_of_users(connection, schema.server_views, users):
        view = server_view(_reports(reports))
        if view is not None:
            found[app_id, user_id] = StoredView(view, since_us)
    return found


def differing_since(connection: sa.Connection) -> dict[UserId, int]:
    """Since when each view differs from its user's status, which cannot be derived from the log."""
    sql = "SELECT app_id, user_id, differs_since_us FROM server_views WHERE differs_since_us IS NOT NULL"
    return {(row[0], row[1]): row[2] for row in connection.exec_driver_sql(sql)}


def restore_since(connection: sa.Connection, since_us: Mapping[UserId, int]) -> None:
    """Writes what :func:`differing_since` returned, where the two still differ."""
    sql = (
        "UPDATE server_views SET differs_since_us = ? WHERE app_id = ? AND user_id = ? AND differs_since_us IS NOT NULL"
    )
    if since_us:
        connection.exec_driver_sql(sql, [(at_us, *user_id) for user_id, at_us in since_us.items()])


def _any(connection: sa.Connection) -> bool:
    return connection.exec_driver_sql("SELECT 1 FROM server_views LIMIT 1").first() is not None
