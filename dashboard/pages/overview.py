"""The overview and the wall: counts, the last 24 hours, the health of Zimwatch, and the newest changes."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from dashboard.page import grouped
from dashboard.page_request import Loader, PageRequest, View
from dashboard.parts import chart
from dashboard.site import Page, Site
from dashboard.text import reporter_texts
from dashboard.text.language import gettext as _
from dashboard.text.language import ngettext
from dashboard.text.times import lasted
from dashboard.text.translate import translate
from sidecar.access.policy import Action
from sidecar.alerting.tables import alert_log, message_rows, notifications
from sidecar.alerting.tables.alert_values import AlertFilter
from sidecar.canary import CanaryStatus
from sidecar.domain import app_ids
from sidecar.domain.app_ids import AppIds
from sidecar.domain.texts import Text
from sidecar.domain.units import DAY_US, MINUTE_US
from sidecar.forwarding import Status as ForwardingStatus
from sidecar.store import Store
from sidecar.store.care import pruning_hold
from sidecar.store.care.pruning_hold import Hold
from sidecar.store.log import forwarding as forwarding_log
from sidecar.store.log import log_reads, rejected_events, span_outbox
from sidecar.store.users import old_reporters, per_minute, user_list, user_reads
from sidecar.store.users.user_query import UserQuery

_NEWEST = 10
# From so many devices with an old tap or port on it is worth a line.
_MANY_OLD = 20
# The most urgent alerts that are listed; a wall has room for a few in large letters.
_URGENT = 5
_URGENT_ON_WALL = 8
_LOSSES = 5
# An event not exported after this time is late.
_EXPORT_LATE_US = MINUTE_US
_REJECTED_US = DAY_US


class Sign(msgspec.Struct, frozen=True):
    """One health check of Zimwatch itself.

    ``newest_us`` is when the newest of what it counts arrived, and ``path`` the page that lists what its text counts,
    for those who may open it.
    """

    name: str
    text: str
    well: bool
    newest_us: int | None = None
    path: str | None = None
    needed: Action = Action.SEE_USERS

    def without_error(self) -> Sign:
        """The same for those who may see no user: the text of an error can have anything."""
        return self if self.well else msgspec.structs.replace(self, text="")


def _views(site: Site) -> dict[str, Loader]:
    """``/`` and ``/wall``."""
    store, clock = site.store, site.clock

    async def overview(page_request: PageRequest) -> View:
        now_us, apps = clock(), page_request.own_apps
        sees_users = page_request.may(Action.SEE_USERS)
        wanted = UserQuery(apps=apps, limit=_NEWEST if sees_users else 1)
        newest = await store.read(user_list.list_users_with_clients, wanted, store.now())
        values = {
            "tab": "overview",
            "has_users": bool(newest.users),
            "found": newest.users if sees_users else [],
            "rejected": await store.read(rejected_events.count_since, now_us - _REJECTED_US, apps),
            "rejected_most": rejected_events.COUNTED_MOST,
            "losses": await store.read(span_outbox.newest_losses, _LOSSES) if apps is None and sees_users else [],
            "address": page_request.site,
            # A stable id for the example, so that the page does not change.
            "example_id": uuid.uuid5(uuid.NAMESPACE_URL, page_request.site),
        }
        return View(name="overview.html", values=await _common(page_request, now_us, _URGENT) | values)

    async def wall(page_request: PageRequest) -> View:
        values = await _common(page_request, clock(), _URGENT_ON_WALL)
        if values["canary"] is not None:
            values["signs"].append(_canary(values["canary"]))
        return View(name="wall.html", values=values | {"tab": "", "wall": True, "bare": True})

    async def _common(page_request: PageRequest, now_us: int, most: int) -> dict[str, Any]:
        """What both pages show: of alerts ``most``, none to those who may see no user, and no text of an error."""
        apps, sees_users = page_request.own_apps, page_request.may(Action.SEE_USERS)
        urgent = await store.read(alert_log.most_urgent, AlertFilter(apps=apps, limit=most)) if sees_users else []
        health = await signs(store, now_us, site.problems(), forwarding=site.forwarding(), apps=apps)
        canary = site.canary()
        buckets = await store.read(
            per_minute.buckets, apps, begin_us=now_us - chart.SPAN_US, end_us=now_us, step_minutes=chart.STEP_MINUTES
        )
        return {
            "now_us": now_us,
            "canary": canary if canary is not None and app_ids.has(apps, canary.app_id) else None,
            "summary": await store.read(user_reads.summary, apps),
            "day": chart.day(buckets, now_us),
            "signs": health if sees_users else [one.without_error() for one in health],
            "firing": await store.read(alert_log.counts, apps),
            "urgent": urgent,
        }

    return {"/": overview, "/wall": wall}


PAGE: Final = Page(needed=Action.SEE_COUNTS, views=_views)


def _jump(hold: Hold) -> str:
    values = {"time": lasted(abs(hold.by_us)), "left": lasted(hold.left_us)}
    jump = _("The clock jumped %(time)s ahead.") if hold.by_us > 0 else _("The clock jumped %(time)s back.")
    rest = _("Deletion by age is paused for %(left)s, or until zimwatch db prune --now.")
    return f"{jump} {rest}" % values


async def signs(
    store: Store,
    now_us: int,
    problems: Sequence[Text] = (),
    *,
    forwarding: ForwardingStatus | None = None,
    apps: AppIds = None,
) -> list[Sign]:
    """Health of ingest, database and exports; for readers of some apps, only ingest and database."""
    found = []
    newest = await store.read(log_reads.newest_event, apps)
    if newest is None:
        found.append(Sign(_("Events"), _("None yet.") if apps is None else _("None lately."), well=True))
    else:
        late_us = newest.event.received_at_us - newest.event.moment_us
        text = _("delay %(time)s") % {"time": lasted(late_us)}
        found.append(Sign(_("Events"), text, well=True, newest_us=newest.event.received_at_us))
    problem = store.problem
    found.append(Sign(_("Database"), translate(problem) if problem else _("ok"), well=problem is None))
    if apps is not None:
        return found
    hold = await store.read(pruning_hold.current, store.now())
    if hold is not None:
        found.append(Sign(_("Clock"), _jump(hold), well=False))
    old = await store.read(old_reporters.since_yesterday, now_us)
    if sum(one.devices for one in old) >= _MANY_OLD:
        told, path = reporter_texts.told(old[0]), "/settings#old-reporters"
        found.append(Sign(_("Reporters"), told, well=True, path=path, needed=Action.SETTINGS))
    background = [Sign(_("Background"), translate(one), well=False) for one in problems]
    passed_on = [] if forwarding is None else [await _forwarding(store, now_us, forwarding)]
    return [*found, *background, *passed_on, await _spans(store, now_us), await _receivers(store)]


def _canary(canary: CanaryStatus) -> Sign:
    text = {
        True: _("ZIM can be reached from here"),
        False: _("ZIM cannot be reached from here"),
        None: _("Unknown whether ZIM can be reached"),
    }[canary.reachable]
    return Sign(_("Canary"), text, well=canary.reachable is not False)


async def _forwarding(store: Store, now_us: int, status: ForwardingStatus) -> Sign:
    state = await store.read(forwarding_log.state)
    behind_us = 0 if state is None else state.behind_us(now_us)
    if state is None or not state.waiting:
        text = _("the centre has everything")
    else:
        text = ngettext(
            "%(count)s event waits for the centre, for %(age)s",
            "%(count)s events wait for the centre, the oldest for %(age)s",
            state.waiting,
        ) % {"count": f"{state.waiting:,}", "age": lasted(behind_us)}
    parts = [text]
    if status.problem is not None:
        parts.append(translate(status.problem))
    if state is not None and state.removed:
        lost = ngettext(
            "%(count)s was deleted by the retention before the centre had it",
            "%(count)s were deleted by the retention before the centre had them",
            state.removed,
        )
        parts.append(lost % {"count": f"{state.removed:,}"})
    return Sign(_("Forwarding"), "; ".join(parts), well=status.problem is None and behind_us < _EXPORT_LATE_US)


async def _spans(store: Store, now_us: int) -> Sign:
    backlog = await store.read(span_outbox.backlog)
    if backlog.spans == 0 or backlog.oldest_us is None:
        return Sign(_("Spans"), _("none waiting"), well=True)
    age_us = now_us - backlog.oldest_us
    text = ngettext("%(count)s waits, for %(age)s", "%(count)s wait, the oldest for %(age)s", backlog.spans)
    values = {"count": f"{backlog.spans:,}", "age": lasted(age_us)}
    return Sign(_("Spans"), text % values, well=age_us < _EXPORT_LATE_US)


async def _receivers(store: Store) -> Sign:
    failing = await store.read(message_rows.failing_receivers)
    owed, dead = await store.read(notifications.backlog)
    if failing:
        text = ", ".join(f"{name}: {translate(error)[:80]}" for name, (_since, error) in sorted(failing.items()))
        return Sign(_("Receivers"), text, well=False)
    if dead:
        text = ngettext("%(count)s message not delivered", "%(count)s messages not delivered", dead)
        text %= {"count": grouped(dead, notifications.COUNTED_MOST)}
        return Sign(_("Receivers"), text, well=False, path="/alerts/undelivered")
    text = ngettext("%(count)s message waiting", "%(count)s messages waiting", owed)
    return Sign(_("Receivers"), text % {"count": grouped(owed, notifications.COUNTED_MOST)}, well=True)
