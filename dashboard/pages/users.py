"""The user list; filters, order and columns are in the address, so that a view can be shared."""

from __future__ import annotations

import contextlib
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from dashboard.page import fill, sentence
from dashboard.page_request import (
    Loader,
    MomentError,
    PageRequest,
    View,
    past_moment,
)
from dashboard.parts import search
from dashboard.parts.export_formats import FORMATS
from dashboard.parts.user_columns import PAGE_COLUMNS, PageColumn
from dashboard.site import Page, Site
from dashboard.text.app_names import apps
from dashboard.text.language import gettext as _
from dashboard.text.language import marked
from dashboard.text.status_texts import HAPPENED_TEXTS, REASON_TEXTS, STATUS_TEXTS
from dashboard.text.times import clock_text, from_text
from dashboard.text.translate import translate
from sidecar.access import routing
from sidecar.access.policy import Action
from sidecar.domain import app_ids, pasted
from sidecar.domain.paths import user_path
from sidecar.domain.platforms import PLATFORMS
from sidecar.domain.status import STATUSES
from sidecar.domain.units import DAY_US, HOUR_US, MINUTE_US
from sidecar.store.users import as_of, per_minute, user_list
from sidecar.store.users.happenings import Happened
from sidecar.store.users.per_minute import Bucket
from sidecar.store.users.user_query import IDS_MOST, MATCHES, ORDERS, Match, Order, UserQuery
from sidecar.store.values import Total
from sidecar.web.happened import FIELDS as HAPPENED_FIELDS
from sidecar.web.happened import happened
from sidecar.web.params import FLAGS, is_number, other_app
from sidecar.web.problem import Problem

ROWS: Final = 50
SUGGESTED: Final = 8
SPANS: Final = {"5m": 5 * MINUTE_US, "15m": 15 * MINUTE_US, "1h": HOUR_US, "24h": DAY_US, "7d": 7 * DAY_US}
SPAN_TEXTS: Final = {
    "5m": marked("5 minutes"),
    "15m": marked("15 minutes"),
    "1h": marked("1 hour"),
    "24h": marked("24 hours"),
    "7d": marked("7 days"),
}
MATCH_TEXTS: Final = {"contains": marked("contains"), "prefix": marked("begins with"), "exact": marked("is exactly")}
ORDER_TEXTS: Final = {
    "newest": marked("Newest change"),
    "oldest": marked("Oldest change"),
    "id": marked("App and id"),
    "user_id": marked("User id"),
    "token": marked("Token’s end"),
}
# The filters of the address, with their titles as chips.
FIELDS: Final = {
    "q": marked("id"),
    "ids": marked("pasted ids"),
    "status": marked("status"),
    "reason": marked("reason"),
    "app_id": marked("app"),
    "platform": marked("platform"),
    "sdk": marked("SDK version"),
    "version": marked("app version"),
    "since": marked("changed within"),
    "happened": marked("happened"),
    "within": marked("within"),
    "from": marked("from"),
    "until": marked("until"),
    "token": marked("token ends within"),
    "unconfirmed": marked("unconfirmed"),
    "disagreement": marked("server disagrees"),
    "as_of": marked("as of"),
}


# Where a page begins.
_PLACE: Final = ("cursor", "first")
_FLAG_TEXTS: Final = {"true": marked("only those"), "false": marked("without those")}
# The titles of filter values.
_WORDS: Final[dict[str, dict[str, str]]] = {
    "status": {**STATUS_TEXTS},
    "reason": REASON_TEXTS,
    "happened": HAPPENED_TEXTS,
    "since": SPAN_TEXTS,
    "within": SPAN_TEXTS,
    "token": SPAN_TEXTS,
    "unconfirmed": _FLAG_TEXTS,
    "disagreement": _FLAG_TEXTS,
}


class FilterError(Exception):
    """An invalid filter in the address; its text is shown on the page."""


class Chip(msgspec.Struct, frozen=True):
    """One filter in force, and the address without it."""

    name: str
    value: str
    without: str


def _views(site: Site) -> dict[str, Loader]:
    """``/users``."""
    store, clock = site.store, site.clock

    async def users(page_request: PageRequest) -> View:
        if (link := pasted.user_link(page_request.get("q"))) is not None:
            raise web.HTTPSeeOther(user_path(*link))
        now_us = clock()
        values: dict[str, Any] = {
            "tab": "users",
            "now_us": now_us,
            "given": {
                **{name: page_request.get(name) for name in (*FIELDS, "match", "order")},
                "ids": "\n".join(pasted.ids(page_request.get("ids"))),
            },
            "columns": columns(page_request),
            "chips": _chips(page_request),
            "spans": SPAN_TEXTS,
            "matches": MATCH_TEXTS,
            "orders": ORDER_TEXTS,
            "all_columns": PAGE_COLUMNS,
            "platforms": PLATFORMS,
            "found": [],
            "further": None,
            "ended_early": False,
            "export": export_query(page_request),
            "formats": FORMATS,
            "problem": None,
            "happened": None,
            "total": None,
            "first": None,
            "missing": [],
            "as_of_us": None,
            "then": None,
        }
        try:
            wanted, as_of_us = search_of(page_request, now_us), past_moment(page_request, "as_of", now_us)
        except (FilterError, MomentError) as error:
            return View(name="users.html", status=400, values=values | {"problem": str(error)}, is_live=False)
        elsewhere = await search.page_of_only_hit(store, page_request, wanted, now_us)
        total = None
        if as_of_us is None:
            found = await store.read(user_list.list_users_with_clients, wanted, store.now())
            total = await store.read(user_list.count_users, wanted)
        else:
            found = await store.read(as_of.users_as_of, wanted, as_of_us, store.now())
            counts = await store.read(
                per_minute.buckets, wanted.apps, begin_us=as_of_us, end_us=as_of_us, step_minutes=1
            )
            then = counts[0] if counts else None
            values |= {"as_of_us": as_of_us, "now_us": as_of_us, "then": then}
            values["columns"] = [column for column in values["columns"] if column.in_past]
            total = _total_of_minute(wanted, then)
        first = _first(page_request)
        if found.next_cursor is not None:
            kept = [(name, value) for name, value in page_request.query if name not in _PLACE and value]
            place = [("cursor", found.next_cursor), *([("first", first + len(found.users))] if first else [])]
            values["further"] = "/users?" + urlencode([*kept, *place])
        values |= {
            "found": found.users,
            "happened": wanted.happened,
            "first": first,
            "total": total or user_list.total_of(found, wanted, (first or 1) - 1),
            "ended_early": found.ended_early,
            "missing": found.unknown_ids if wanted.ids else (),
        }
        return View(name="users.html", values=values, is_live=as_of_us is None, elsewhere=elsewhere)

    return {"/users": users}


def _routes(site: Site) -> list[web.AbstractRouteDef]:
    """``/users/suggestions?q=``: some users whose id begins with that, as options of a list."""

    async def suggestions(request: web.Request) -> web.Response:
        page_request = PageRequest.of(request, site.server)
        try:
            wanted = search_of(page_request, site.clock())
        except FilterError:
            raise web.HTTPBadRequest from None
        wanted = UserQuery(q=wanted.q, match="prefix", apps=wanted.apps, order="user_id", limit=SUGGESTED)
        found = await site.store.read(user_list.list_users, wanted, site.store.now()) if wanted.q else None
        text = fill("suggestions.html", users=found.users if found else [])
        return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})

    return [routing.get("/users/suggestions", suggestions, Action.SEE_USERS)]


PAGE: Final = Page(needed=Action.SEE_USERS, views=_views, routes=_routes)


def columns(page_request: PageRequest) -> list[PageColumn]:
    """The columns beside user, status, since and why."""
    chosen = [PAGE_COLUMNS[key] for key in page_request.all("col") if key in PAGE_COLUMNS]
    return chosen if chosen or page_request.get("col_set") else [one for one in PAGE_COLUMNS.values() if one.usual]


def export_query(page_request: PageRequest) -> str:
    """The filters as the query of an export."""
    return urlencode([(name, value) for name, value in page_request.query if name not in _PLACE and value])


def search_of(page_request: PageRequest, now_us: int) -> UserQuery:
    """The search of the address. FilterError if a filter is invalid."""
    status = _one_of(page_request, "status", STATUSES)
    match: Match = _one_of(page_request, "match", MATCHES) or "contains"
    order: Order = _one_of(page_request, "order", ORDERS) or "newest"
    since, token = _one_of(page_request, "since", SPANS), _one_of(page_request, "token", SPANS)
    unconfirmed = _one_of(page_request, "unconfirmed", FLAGS)
    disagreement = _one_of(page_request, "disagreement", FLAGS)
    what = _happened(page_request, now_us, order)
    app = apps().id_of(page_request.get("app_id"))
    if app and not is_number(app):
        raise FilterError(
            _("“%(value)s” is neither an AppID, which is a whole number, nor the name of an app.") % {"value": app[:40]}
        )
    app_id = int(app) if app else None
    own = page_request.own_apps
    if own is not None and app_id is not None and app_id not in own:
        raise FilterError(sentence(translate(other_app(own))))
    ids = pasted.ids(page_request.get("ids"))
    if len(ids) > IDS_MOST:
        problem = _("%(count)s ids are given; at most %(most)s are allowed.")
        raise FilterError(problem % {"count": len(ids), "most": IDS_MOST})
    return UserQuery(
        q=page_request.get("q") or None,
        match=match,
        ids=ids,
        apps=app_ids.within(own, app_id),
        status=status,
        reason=page_request.get("reason") or None,
        happened=what,
        changed_after_us=now_us - SPANS[since] if since else None,
        token_ends_before_us=now_us + SPANS[token] if token else None,
        unconfirmed=None if unconfirmed is None else FLAGS[unconfirmed],
        disagreement=None if disagreement is None else FLAGS[disagreement],
        order=order,
        cursor=page_request.get("cursor") or None,
        limit=ROWS,
    ).on_device(*(page_request.get(name) or None for name in ("platform", "sdk", "version")))


def _happened(page_request: PageRequest, now_us: int, order: Order) -> Happened | None:
    try:
        what = happened(page_request.get, now_us, moment_us=from_text)
    except Problem as error:
        raise FilterError(sentence(translate(error.text))) from None
    if what is not None and (order != "newest" or page_request.get("as_of")):
        raise FilterError(_("Users by what happened are listed as of now, those to whom it happened last first."))
    return what


def _one_of(page_request: PageRequest, name: str, known: Any) -> Any:  # noqa: ANN401 - one of ``known``, whose type it has
    value = page_request.get(name)
    if value and value not in known:
        raise FilterError(
            _("There is no %(name)s “%(value)s”.") % {"name": _(FIELDS.get(name, name)), "value": value[:40]}
        )
    return value or None


def _total_of_minute(wanted: UserQuery, then: Bucket | None) -> Total | None:
    """How many users there were, if the counts of the minute tell."""
    counted = UserQuery(apps=wanted.apps, status=wanted.status)
    asked = msgspec.structs.replace(wanted, order=counted.order, cursor=None, limit=counted.limit)
    if then is None or asked != counted:
        return None
    return Total(sum(getattr(then, status) for status in STATUSES if wanted.status in {None, status}))


def _first(page_request: PageRequest) -> int | None:
    """The number of the page's first user among all; None where a cursor came without it."""
    first = page_request.get("first")
    if not page_request.get("cursor"):
        return 1
    return int(first) if is_number(first) else None


def _chips(page_request: PageRequest) -> list[Chip]:
    chips = []
    for name, text in FIELDS.items():
        value = page_request.get(name)
        if value:
            # The moments are those of what happened, and mean nothing without it.
            gone = {*HAPPENED_FIELDS, *_PLACE} if name == "happened" else {name, *_PLACE}
            kept = [(key, one) for key, one in page_request.query if key not in gone and one]
            value = _chip_value(name, value)
            word = _(_WORDS[name][value]) if value in _WORDS.get(name, ()) else value
            chips.append(Chip(_(text), word, "/users?" + urlencode(kept)))
    return chips


def _chip_value(name: str, value: str) -> str:
    if name == "ids":
        return ", ".join(pasted.ids(value))
    if name == "app_id":
        app_id = apps().id_of(value)
        return apps().in_full(int(app_id)) if is_number(app_id) else value
    if name in {"as_of", "from", "until"}:
        with contextlib.suppress(ValueError, OverflowError):
            return clock_text(from_text(value))
    return value
