"""The one table that decides what is recorded: each route, and what it is in the audit log; or why it is not in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from aiohttp import hdrs, web

from sidecar.access.audit import subjects
from sidecar.access.audit.subjects import LIVE
from sidecar.store.access import share_links
from sidecar.store.access.audit_values import AuditAction, Subject

_ERRORS: Final = 400
_NOT_FOUND: Final = 404


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A route in the log. ``done`` are the statuses by which a change tells that it was made; without it it is a look.

    A look is recorded whatever was found. A change is recorded in the transaction of its effect where its handler says
    so (:class:`~sidecar.access.audit.trail.Trail`), and right after it otherwise.
    """

    action: AuditAction | Callable[[web.Request], AuditAction]
    subjects: Callable[[web.Request], Sequence[Subject]] = subjects.nothing
    done: frozenset[int] = frozenset()

    @property
    def is_change(self) -> bool:
        """Whether the route changes something."""
        return bool(self.done)

    def action_of(self, request: web.Request) -> AuditAction:
        """What the request did."""
        return self.action if isinstance(self.action, AuditAction) else self.action(request)

    def applies(self, status: int) -> bool:
        """Whether an answer with this status is recorded."""
        return status in self.done if self.is_change else status < _ERRORS or status == _NOT_FOUND


def _searched(otherwise: AuditAction) -> Callable[[web.Request], AuditAction]:
    return lambda request: AuditAction.SEARCHED if subjects.searched(request) else otherwise


def _user_or_link(request: web.Request) -> AuditAction:
    is_link = request.query.get("hand_off") in share_links.LIFETIMES
    return AuditAction.HAND_OFF_MADE if is_link else AuditAction.USER_SEEN


def _change(action: AuditAction, *done: int, subject: str = "", field: str = "id") -> Rule:
    about = subjects.named(subject, field) if subject else subjects.nothing
    return Rule(action=action, subjects=about, done=frozenset(done))


_USERS: Final = Rule(action=_searched(AuditAction.USERS_LISTED), subjects=subjects.searched)
_USER: Final = Rule(action=AuditAction.USER_SEEN, subjects=subjects.user_in_path)
_ALERTS: Final = Rule(action=_searched(AuditAction.ALERTS_LISTED), subjects=subjects.searched)
_ALERT: Final = Rule(action=AuditAction.ALERT_SEEN, subjects=subjects.named("alert"))
_AUDIT: Final = Rule(action=AuditAction.AUDIT_SEEN, subjects=subjects.user_in_query)
_EXPORT: Final = Rule(action=AuditAction.USERS_EXPORTED, subjects=subjects.searched)

RECORDED: Final[Mapping[tuple[str, str], Rule]] = {
    # Pages.
    (hdrs.METH_GET, "/"): Rule(action=AuditAction.OVERVIEW_SEEN),
    (hdrs.METH_GET, "/users"): _USERS,
    (hdrs.METH_GET, "/users/suggestions"): _USERS,
    (hdrs.METH_GET, "/users/{app_id}/{user_id}"): Rule(action=_user_or_link, subjects=subjects.user_in_path),
    (hdrs.METH_GET, "/users.csv"): _EXPORT,
    (hdrs.METH_GET, "/users.json"): _EXPORT,
    (hdrs.METH_GET, "/users.parquet"): _EXPORT,
    (hdrs.METH_GET, "/alerts"): _ALERTS,
    (hdrs.METH_GET, "/alerts/several"): Rule(action=AuditAction.ALERTS_LISTED),
    (hdrs.METH_GET, "/alerts/undelivered"): Rule(action=AuditAction.MESSAGES_LISTED),
    (hdrs.METH_GET, "/alerts/{id}"): _ALERT,
    (hdrs.METH_GET, "/silences"): Rule(action=AuditAction.SILENCES_LISTED),
    (hdrs.METH_GET, "/rejected"): Rule(action=AuditAction.REJECTED_LISTED),
    (hdrs.METH_GET, "/audit"): _AUDIT,
    (hdrs.METH_GET, "/audit.csv"): Rule(action=AuditAction.AUDIT_EXPORTED, subjects=subjects.user_in_query),
    (hdrs.METH_GET, "/audit.json"): Rule(action=AuditAction.AUDIT_EXPORTED, subjects=subjects.user_in_query),
    (hdrs.METH_GET, "/settings"): Rule(action=AuditAction.SETTINGS_SEEN),
    (hdrs.METH_GET, "/hand-off/{link}"): Rule(action=AuditAction.HAND_OFF_OPENED),
    # Forms.
    (hdrs.METH_POST, "/alerts/several"): _change(AuditAction.ALERT_ACKNOWLEDGED, 303),
    (hdrs.METH_POST, "/alerts/undelivered/{id}"): _change(AuditAction.MESSAGE_SENT_AGAIN, 303, subject="message"),
    (hdrs.METH_POST, "/alerts/{id}/ack"): _change(AuditAction.ALERT_ACKNOWLEDGED, 303, subject="alert"),
    (hdrs.METH_POST, "/alerts/{id}/silence"): _change(AuditAction.SILENCE_MADE, 303, subject="alert"),
    (hdrs.METH_POST, "/silences"): _change(AuditAction.SILENCE_MADE, 303),
    (hdrs.METH_POST, "/silences/{id}/end"): _change(AuditAction.SILENCE_ENDED, 303, subject="silence"),
    (hdrs.METH_POST, "/watches"): _change(AuditAction.WATCH_MADE, 303),
    (hdrs.METH_POST, "/watches/{id}/end"): _change(AuditAction.WATCH_ENDED, 303, subject="watch"),
    (hdrs.METH_POST, "/settings/try/{receiver}"): _change(
        AuditAction.TEST_MESSAGE_SENT, 200, subject="receiver", field="receiver"
    ),
    (hdrs.METH_POST, "/token"): _change(AuditAction.TOKEN_CHECKED, 200),
    (hdrs.METH_POST, "/tokens"): _change(AuditAction.TOKEN_MADE, 200),
    (hdrs.METH_POST, "/tokens/{id}/rotate"): _change(AuditAction.TOKEN_ROTATED, 200, subject="token"),
    (hdrs.METH_POST, "/tokens/{id}/revoke"): _change(AuditAction.TOKEN_REVOKED, 303, subject="token"),
    (hdrs.METH_POST, "/sign-in"): _change(AuditAction.SIGNED_IN, 303),
    (hdrs.METH_GET, "/sign-in/oidc/callback"): _change(AuditAction.SIGNED_IN, 303),
    (hdrs.METH_POST, "/sign-in/code"): _change(AuditAction.SIGNED_IN, 303),
    (hdrs.METH_POST, "/first-account/{secret}"): _change(AuditAction.ACCOUNT_CHANGED, 303),
    (hdrs.METH_POST, "/set-password/{secret}"): _change(AuditAction.ACCOUNT_CHANGED, 303),
    (hdrs.METH_POST, "/account/password"): _change(AuditAction.ACCOUNT_CHANGED, 303),
    (hdrs.METH_POST, "/account/codes"): _change(AuditAction.ACCOUNT_CHANGED, 200),
    (hdrs.METH_POST, "/account/codes/off"): _change(AuditAction.ACCOUNT_CHANGED, 303),
    (hdrs.METH_POST, "/account/sessions/end"): _change(AuditAction.SIGNED_OUT, 303),
    (hdrs.METH_POST, "/account/sessions/{session}/end"): _change(
        AuditAction.SIGNED_OUT, 303, subject="session", field="session"
    ),
    (hdrs.METH_POST, "/accounts"): _change(AuditAction.ACCOUNT_CHANGED, 200),
    (hdrs.METH_POST, "/accounts/{account}"): _change(AuditAction.ACCOUNT_CHANGED, 200, 303),
    (hdrs.METH_POST, "/sign-out"): _change(AuditAction.SIGNED_OUT, 303),
    # Calls.
    (hdrs.METH_GET, "/v1/users"): _USERS,
    (hdrs.METH_GET, "/v1/users/{app_id}/{user_id}"): _USER,
    (hdrs.METH_GET, "/v1/users/{app_id}/{user_id}/events"): _USER,
    (hdrs.METH_GET, "/v1/stream"): Rule(action=AuditAction.STREAM_OPENED, subjects=subjects.user_in_query),
    (hdrs.METH_GET, "/v1/audit"): _AUDIT,
    (hdrs.METH_GET, "/v1/rejected"): Rule(action=AuditAction.REJECTED_LISTED),
    (hdrs.METH_GET, "/v1/alerts"): _ALERTS,
    (hdrs.METH_GET, "/v1/alerts/{id}"): _ALERT,
    (hdrs.METH_POST, "/v1/alerts/{id}/ack"): _change(AuditAction.ALERT_ACKNOWLEDGED, 200, subject="alert"),
    (hdrs.METH_GET, "/v1/alerts/undelivered"): Rule(action=AuditAction.MESSAGES_LISTED),
    (hdrs.METH_POST, "/v1/alerts/undelivered/{id}/send"): _change(
        AuditAction.MESSAGE_SENT_AGAIN, 202, subject="message"
    ),
    (hdrs.METH_GET, "/v1/silences"): Rule(action=AuditAction.SILENCES_LISTED),
    (hdrs.METH_POST, "/v1/silences"): _change(AuditAction.SILENCE_MADE, 201),
    (hdrs.METH_DELETE, "/v1/silences/{id}"): _change(AuditAction.SILENCE_ENDED, 204, subject="silence"),
    (hdrs.METH_GET, "/v1/watches"): Rule(action=AuditAction.WATCHES_LISTED),
    (hdrs.METH_POST, "/v1/watches"): _change(AuditAction.WATCH_MADE, 201),
    (hdrs.METH_DELETE, "/v1/watches/{id}"): _change(AuditAction.WATCH_ENDED, 204, subject="watch"),
    (hdrs.METH_POST, "/v1/tokens"): _change(AuditAction.TOKEN_MADE, 201),
    (hdrs.METH_POST, "/v1/tokens/{id}/rotate"): _change(AuditAction.TOKEN_ROTATED, 201, subject="token"),
    (hdrs.METH_DELETE, "/v1/tokens/{id}"): _change(AuditAction.TOKEN_REVOKED, 204, subject="token"),
    (hdrs.METH_DELETE, "/v1/users/{app_id}/{user_id}"): _change(AuditAction.USER_ERASED, 200, 202),
    (hdrs.METH_GET, "/v1/user-export"): Rule(action=AuditAction.USER_EXPORTED, subjects=subjects.user_in_query),
    (hdrs.METH_POST, "/erasures"): _change(AuditAction.USER_ERASED, 303),
    (hdrs.METH_POST, "/v1/admin/reload"): _change(AuditAction.SETTINGS_RELOADED, 200),
    (hdrs.METH_POST, "/v1/chatops"): _change(AuditAction.CHAT_COMMAND, 200),
    (hdrs.METH_POST, "/v1/chatops/slack"): _change(AuditAction.CHAT_COMMAND, 200),
}

_NO_USERS: Final = "it shows no user"
_FILES: Final = "files that are the same for everybody"
_TAP: Final = ("zim-tap.js", "zim-tap.mjs", "zim-tap.d.ts", "zim-tap.d.mts", "zim-tap-file.cjs")
_INGEST: Final = "it takes events, and shows none"
_MONITORING: Final = "monitoring reads it every few seconds; it has numbers alone"

NOT_RECORDED: Final[Mapping[tuple[str, str], str]] = {
    (hdrs.METH_GET, "/wall"): _NO_USERS,
    (hdrs.METH_GET, "/findings"): _NO_USERS,
    (hdrs.METH_GET, "/tokens"): _NO_USERS,
    (hdrs.METH_GET, "/v1/tokens"): _NO_USERS,
    (hdrs.METH_GET, "/token"): "an empty form",
    (hdrs.METH_GET, "/sign-in"): "an empty form",
    (hdrs.METH_GET, "/account"): _NO_USERS,
    (hdrs.METH_GET, "/account/codes"): _NO_USERS,
    (hdrs.METH_GET, "/accounts"): _NO_USERS,
    (hdrs.METH_GET, "/first-account/{secret}"): "an empty form",
    (hdrs.METH_GET, "/set-password/{secret}"): "an empty form",
    (hdrs.METH_GET, "/sign-in/oidc"): "it leads to the provider, and back to what is recorded",
    (hdrs.METH_POST, "/sign-in/oidc/back-channel-logout"): "each session that it ends is recorded",
    (hdrs.METH_GET, "/user-data"): "a form of two buttons",
    (hdrs.METH_GET, "/erasures/{id}"): _NO_USERS,
    (hdrs.METH_GET, "/v1/erasures/{id}"): _NO_USERS,
    (hdrs.METH_GET, "/language"): "it sets the language of a browser",
    (hdrs.METH_GET, "/static/{name}"): _FILES,
    (hdrs.METH_GET, "/static/{digest}/{name}"): _FILES,
    **{(hdrs.METH_GET, f"/tap/{name}"): _FILES for name in _TAP},
    (hdrs.METH_GET, "/openapi.json"): _FILES,
    (hdrs.METH_POST, "/v1/events"): _INGEST,
    (hdrs.METH_OPTIONS, "/v1/events"): _INGEST,
    (hdrs.METH_POST, "/v1/callbacks/zego"): _INGEST,
    (hdrs.METH_GET, "/v1/summary"): _NO_USERS,
    (hdrs.METH_GET, "/metrics"): _MONITORING,
    (hdrs.METH_GET, "/livez"): _MONITORING,
    (hdrs.METH_GET, "/readyz"): _MONITORING,
}


def key_of(route: web.AbstractRoute) -> tuple[str, str] | None:
    """The key of a route in both tables; None for an unknown path. The live part of a page has that of the page."""
    if route.resource is None:
        return None
    path = route.resource.canonical
    page = (path.removeprefix(LIVE) or "/") if path.startswith(f"{LIVE}/") else path
    return (hdrs.METH_GET if route.method == hdrs.METH_HEAD else route.method, page)


def rule_of(request: web.Request) -> Rule | None:
    """How a request is recorded; None where it is not."""
    key = key_of(request.match_info.route)
    return None if key is None else RECORDED.get(key)
