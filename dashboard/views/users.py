"""The list of users: every filter, the order and the columns stand in the address, so that a view can be passed on."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from dashboard.asked import Asked, Loader, MomentError, View, is_number, moment_asked
from dashboard.language import gettext as _
from dashboard.language import marked
from dashboard.times import DAY_US, HOUR_US, MINUTE_US
from dashboard.words import REASONS, STATUS_WORDS
from sidecar.clock import Clock
from sidecar.domain.status import STATUSES
from sidecar.store import Store
from sidecar.store.lookup import IDS_MOST, MATCHES, ORDERS, Match, Order, Search

ROWS: Final = 50
SPANS: Final = {"5m": 5 * MINUTE_US, "15m": 15 * MINUTE_US, "1h": HOUR_US, "24h": DAY_US, "7d": 7 * DAY_US}
SPAN_WORDS: Final = {
    "5m": marked("5 minutes"),
    "15m": marked("15 minutes"),
    "1h": marked("1 hour"),
    "24h": marked("24 hours"),
    "7d": marked("7 days"),
}
MATCH_WORDS: Final = {"contains": marked("contains"), "prefix": marked("begins with"), "exact": marked("is exactly")}
ORDER_WORDS: Final = {
    "newest": marked("Newest change"),
    "oldest": marked("Oldest change"),
    "id": marked("App and id"),
    "user_id": marked("User id"),
    "token": marked("Token’s end"),
}
COLUMNS: Final = {
    "app": marked("App"),
    "platform": marked("Platform"),
    "sdk": marked("SDK"),
    "version": marked("App version"),
    "devices": marked("Live devices"),
    "token": marked("Token ends"),
    "seen": marked("Last seen"),
}
USUAL_COLUMNS: Final = ("app", "platform")
# What is known of the past beside the status.
PAST_COLUMNS: Final = ("app", "platform", "seen")
PLATFORMS: Final = ("Web", "Android", "IPhoneOS", "IPadOS", "Win", "MacOS", "Linux", "MiniProgram", "OHOS")
# Everything in the address that is not a page of the list, with the words for a chip of it.
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
    "token": marked("token ends within"),
    "unconfirmed": marked("unconfirmed"),
    "disagreement": marked("server disagrees"),
    "as_of": marked("as of"),
}


FLAGS: Final = {"true": True, "false": False, "1": True, "0": False}
_FLAG_WORDS: Final = {"true": marked("only those"), "false": marked("without those")}
# What a value of a filter is called.
_WORDS: Final[dict[str, dict[str, str]]] = {
    "status": {**STATUS_WORDS},
    "reason": REASONS,
    "since": SPAN_WORDS,
    "token": SPAN_WORDS,
    "unconfirmed": _FLAG_WORDS,
    "disagreement": _FLAG_WORDS,
}


class FilterError(Exception):
    """A filter in the address that cannot be meant; its text is for the page."""


class Chip(msgspec.Struct, frozen=True):
    """One filter in force, and the address without it."""

    name: str
    value: str
    without: str


def pages(store: Store, clock: Clock) -> dict[str, Loader]:
    """``/users``."""

    async def users(asked: Asked) -> View:
        now_us = clock()
        values: dict[str, Any] = {
            "tab": "users",
            "now_us": now_us,
            "given": {name: asked.get(name) for name in (*FIELDS, "match", "order")},
            "columns": columns(asked),
            "chips": _chips(asked),
            "statuses": STATUSES,
            "spans": SPAN_WORDS,
            "matches": MATCH_WORDS,
            "orders": ORDER_WORDS,
            "all_columns": COLUMNS,
            "platforms": PLATFORMS,
            "found": [],
            "further": None,
            "ended_early": False,
            "export": export_query(asked),
            "problem": None,
            "missing": [],
            "as_of_us": None,
            "then": None,
        }
        try:
            wanted, as_of_us = search_of(asked, now_us), moment_asked(asked, "as_of")
        except (FilterError, MomentError) as error:
            return View(name="users.html", status=400, values=values | {"problem": str(error)}, is_live=False)
        if as_of_us is None:
            found = await store.search(wanted)
        else:
            found = await store.users_as_of(wanted, as_of_us)
            counts = await store.day(wanted.app_id, begin_us=as_of_us, end_us=as_of_us, step_minutes=1)
            values |= {"as_of_us": as_of_us, "now_us": as_of_us, "then": counts[0] if counts else None}
            values["columns"] = [name for name in values["columns"] if name in PAST_COLUMNS]
        if found.next_cursor is not None:
            kept = [(name, value) for name, value in asked.query if name != "cursor" and value]
            values["further"] = "/users?" + urlencode([*kept, ("cursor", found.next_cursor)])
        here = {one.user.user_id for one in found.users}
        values |= {
            "found": found.users,
            "ended_early": found.ended_early,
            "missing": [user_id for user_id in wanted.ids if user_id not in here],
        }
        return View(name="users.html", values=values, is_live=as_of_us is None)

    return {"/users": users}


def columns(asked: Asked) -> list[str]:
    """The columns that are shown beside user, status, since and why."""
    chosen = [name for name in asked.all("col") if name in COLUMNS]
    return chosen if chosen or asked.get("col_set") else list(USUAL_COLUMNS)


def export_query(asked: Asked) -> str:
    """The filters as they are, for the address of an export."""
    return urlencode([(name, value) for name, value in asked.query if name != "cursor" and value])


def search_of(asked: Asked, now_us: int) -> Search:
    """What the address asks for. FilterError where it cannot be meant."""
    status = _one_of(asked, "status", STATUSES)
    match: Match = _one_of(asked, "match", MATCHES) or "contains"
    order: Order = _one_of(asked, "order", ORDERS) or "newest"
    since, token = _one_of(asked, "since", SPANS), _one_of(asked, "token", SPANS)
    unconfirmed = _one_of(asked, "unconfirmed", FLAGS)
    disagreement = _one_of(asked, "disagreement", FLAGS)
    app = asked.get("app_id")
    if app and not is_number(app):
        raise FilterError(_("“%(value)s” is no AppID: that is a whole number.") % {"value": app[:40]})
    app_id = int(app) if app else None
    if asked.own_app is not None and app_id not in {None, asked.own_app}:
        raise FilterError(_("The token is bound to app %(app)s.") % {"app": asked.own_app})
    ids = tuple(dict.fromkeys(line.strip() for line in asked.get("ids").splitlines() if line.strip()))
    if len(ids) > IDS_MOST:
        raise FilterError(_("These are %(count)s ids; %(most)s fit at once.") % {"count": len(ids), "most": IDS_MOST})
    return Search(
        q=asked.get("q") or None,
        match=match,
        ids=ids,
        app_id=asked.own_app if asked.own_app is not None else app_id,
        status=status,
        reason=asked.get("reason") or None,
        platform=asked.get("platform") or None,
        sdk_version=asked.get("sdk") or None,
        app_version=asked.get("version") or None,
        changed_after_us=now_us - SPANS[since] if since else None,
        token_ends_before_us=now_us + SPANS[token] if token else None,
        unconfirmed=None if unconfirmed is None else FLAGS[unconfirmed],
        disagreement=None if disagreement is None else FLAGS[disagreement],
        order=order,
        cursor=asked.get("cursor") or None,
        limit=ROWS,
    )


def _one_of(asked: Asked, name: str, known: Any) -> Any:  # noqa: ANN401 - one of ``known``, whose type it has
    value = asked.get(name)
    if value and value not in known:
        raise FilterError(
            _("There is no %(name)s “%(value)s”.") % {"name": _(FIELDS.get(name, name)), "value": value[:40]}
        )
    return value or None


def _chips(asked: Asked) -> list[Chip]:
    chips = []
    for name, text in FIELDS.items():
        value = asked.get(name)
        if value:
            kept = [(key, one) for key, one in asked.query if key not in {name, "cursor"} and one]
            word = _(_WORDS[name][value]) if value in _WORDS.get(name, ()) else value.replace("\n", " ")
            chips.append(Chip(_(text), word, "/users?" + urlencode(kept)))
    return chips
