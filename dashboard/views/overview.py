"""The overview and the wall: the counts, the day, whether Zimwatch is well, and the newest changes."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import msgspec

from dashboard import chart
from dashboard.asked import Asked, Loader, View
from dashboard.language import gettext as _
from dashboard.language import ngettext
from dashboard.said import said
from dashboard.times import lasted
from sidecar.canary import CanaryStatus
from sidecar.clock import Clock
from sidecar.domain.alerting.alert import FIRING, Alert
from sidecar.domain.alerting.kinds import KICK_STORM, RECONNECT_STORM
from sidecar.store import Store, alert_log, notifications
from sidecar.store.alert_records import AlertFilter
from sidecar.store.lookup import Search

_NEWEST = 10
_NEWEST_ON_WALL = 6
_LOSSES = 5
# An event that is not exported for this long is late.
_EXPORT_LATE_US = 60_000_000


CanaryOf = Callable[[], CanaryStatus | None]
"""How the canary stands; None where there is none."""


class Sign(msgspec.Struct, frozen=True):
    """One thing about Zimwatch itself: what, how it is, and whether that is well."""

    name: str
    text: str
    well: bool


def pages(store: Store, clock: Clock, canary_of: CanaryOf) -> dict[str, Loader]:
    """``/`` and ``/wall``."""

    async def overview(asked: Asked) -> View:
        return View(name="overview.html", values=await _values(asked, _NEWEST) | {"tab": "overview"})

    async def wall(asked: Asked) -> View:
        return View(name="wall.html", values=await _values(asked, _NEWEST_ON_WALL) | {"tab": "", "wall": True})

    async def _storms(app_id: int | None) -> list[Alert]:
        """Storms that fire now; their labels say what the users share."""
        return [
            one
            for kind in (RECONNECT_STORM, KICK_STORM)
            for one in (
                await store.read(alert_log.page, AlertFilter(state=FIRING, kind=kind, app_id=app_id, limit=5))
            ).alerts
        ]

    async def _values(asked: Asked, newest: int) -> dict[str, Any]:
        now_us, app_id = clock(), asked.own_app
        canary = canary_of()
        buckets = await store.day(
            app_id, begin_us=now_us - chart.SPAN_US, end_us=now_us, step_minutes=chart.STEP_MINUTES
        )
        return {
            "now_us": now_us,
            "canary": canary if canary is not None and app_id in {None, canary.app_id} else None,
            "summary": await store.summary(app_id),
            "found": (await store.search(Search(app_id=app_id, limit=newest))).users,
            "day": chart.day(buckets, now_us),
            "signs": await signs(store, now_us),
            "losses": await store.span_losses(_LOSSES) if app_id is None else [],
            "firing": await store.read(alert_log.counts, app_id),
            "storms": await _storms(app_id),
            "address": asked.address,
            # An id of our own for the example, the same as long as nothing has come: the page need not change.
            "example_id": uuid.uuid5(uuid.NAMESPACE_URL, asked.address),
        }

    return {"/": overview, "/wall": wall}


async def signs(store: Store, now_us: int) -> list[Sign]:
    """Whether events come in, are kept and go out."""
    found = []
    newest = await store.newest()
    if newest is None:
        found.append(Sign(_("Events"), _("none yet"), well=True))
    else:
        late_us = max(0, newest.event.received_at_us - newest.event.occurred_at_us)
        quiet_us = now_us - newest.event.received_at_us
        text = _("newest %(quiet)s ago, %(late)s from device to here") % {
            "quiet": lasted(quiet_us),
            "late": lasted(late_us),
        }
        found.append(Sign(_("Events"), text, well=True))
    problem = store.problem
    found.append(Sign(_("Database"), said(problem) if problem else _("commits"), well=problem is None))
    backlog = await store.span_backlog()
    if backlog.spans == 0 or backlog.oldest_us is None:
        found.append(Sign(_("Spans"), _("none waiting"), well=True))
    else:
        age_us = now_us - backlog.oldest_us
        text = ngettext("%(count)s waits, for %(age)s", "%(count)s wait, the oldest for %(age)s", backlog.spans)
        told = text % {"count": f"{backlog.spans:,}", "age": lasted(age_us)}
        found.append(Sign(_("Spans"), told, well=age_us < _EXPORT_LATE_US))
    failing = await store.read(notifications.failing)
    owed, dead = await store.read(notifications.backlog)
    if failing:
        text = ", ".join(f"{name}: {said(error)[:80]}" for name, (_since, error) in sorted(failing.items()))
        found.append(Sign(_("Channels"), text, well=False))
    elif dead:
        told = ngettext("%(count)s message not delivered", "%(count)s messages not delivered", dead)
        found.append(Sign(_("Channels"), told % {"count": f"{dead:,}"}, well=False))
    else:
        told = ngettext("%(count)s message waiting", "%(count)s messages waiting", owed)
        found.append(Sign(_("Channels"), told % {"count": f"{owed:,}"}, well=True))
    return found
