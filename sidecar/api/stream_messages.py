"""What ``/v1/stream`` sends: its scopes, and users, alerts and counts as server-sent events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

import msgspec

from sidecar.alerting.tables import alert_log
from sidecar.api import json_views
from sidecar.domain import app_ids
from sidecar.domain.alerts.alert import Alert
from sidecar.domain.app_ids import AppIds
from sidecar.store import Store
from sidecar.store.users import user_reads
from sidecar.store.values import UserRow

Who = tuple[int, str]
Scope = tuple[AppIds, str | None]
"""Apps, and one user of them; None is every one."""


def concerns(scope: Scope, alert: Alert) -> bool:
    """Whether the alert is in the scope."""
    return app_ids.has(scope[0], alert.subject.app_id) and scope[1] in {None, alert.subject.user_id}


def by_scope(scopes: Iterable[Scope], changed: Collection[Who]) -> dict[Scope, list[Who]]:
    """The changed users of each scope."""
    by_user: dict[str, list[Who]] = {}
    by_app: dict[int, list[Who]] = {}
    for who in changed:
        by_app.setdefault(who[0], []).append(who)
        by_user.setdefault(who[1], []).append(who)
    found = {}
    for scope in scopes:
        apps, user_id = scope
        if user_id is not None:
            found[scope] = [who for who in by_user.get(user_id, ()) if app_ids.has(apps, who[0])]
        elif apps is None:
            found[scope] = list(changed)
        else:
            found[scope] = [who for app_id in sorted(apps) for who in by_app.get(app_id, ())]
    return found


def lost_of(scope: Scope, lost: Counter[int]) -> int:
    """How many of the changes that were only counted, by app, are in the scope."""
    apps, user_id = scope
    if user_id is not None:
        return 0
    return lost.total() if apps is None else sum(lost[app_id] for app_id in apps)


def message(name: str, position: int, value: object) -> bytes:
    """One server-sent event."""
    return b"event: %s\nid: %d\ndata: %s\n\n" % (name.encode(), position, msgspec.json.encode(value))


def user_messages(scope: Scope, rows: list[UserRow]) -> bytes:
    """Those of the users that are in the scope, each at the position of its last change."""
    messages = {(row.app_id, row.user_id): message("user", row.position, json_views.user_view(row)) for row in rows}
    return b"".join(messages[who] for who in by_scope([scope], messages)[scope])


async def summary(store: Store, apps: AppIds, position: int, untold: int = 0) -> bytes:
    """The counts, with the number of changed users that were left out, if any."""
    counts = await store.read(user_reads.summary, apps)
    firing = await store.read(alert_log.counts, apps)
    view = json_views.summary_view(counts, firing)
    return message("summary", position, {**view, "untold": untold} if untold else view)


class Summaries:
    """The counts at one position, each read once."""

    def __init__(self, store: Store, position: int) -> None:
        self._store = store
        self._position = position
        self._read: dict[tuple[AppIds, int], bytes] = {}

    async def summary(self, apps: AppIds, untold: int) -> bytes:
        """As :func:`summary`."""
        key = apps, untold
        if key not in self._read:
            self._read[key] = await summary(self._store, apps, self._position, untold)
        return self._read[key]


async def users_named(store: Store, names: Iterable[Who]) -> list[UserRow]:
    """The users with these names."""
    wanted = list(names)
    return await store.read(user_reads.users_named, wanted, store.now()) if wanted else []


async def alerts_with(store: Store, ids: Iterable[int]) -> list[Alert]:
    """The alerts with these ids."""
    wanted = list(ids)
    return list(await store.read(alert_log.several, wanted)) if wanted else []
