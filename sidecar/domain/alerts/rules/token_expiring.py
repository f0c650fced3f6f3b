"""``token_expiring``: the token of a user, or those of many users of an app, are about to expire.

About a user it opens with the SDK's warning. It is over with a renewal, a new login or the expiry of its last client.
About an app it opens when at least half of the tokens in use, and ``token_forecast_users`` of them, end within
``token_forecast``. It is over when fewer than half of that are left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from sidecar.domain import events
from sidecar.domain.alerts.alert import Alert, Subject
from sidecar.domain.alerts.firing import Firing
from sidecar.domain.alerts.naming import user_name
from sidecar.domain.alerts.opening import CommonThresholds
from sidecar.domain.alerts.rules.base_rule import Change, Rule
from sidecar.domain.texts import Sentence, Text, duration
from sidecar.domain.units import DAY_US, HOUR_US, SECOND_US

TOKEN_EXPIRING: Final = Sentence("token_expiring", "%(who)s: the token ends in %(span)s and is not renewed yet")
TOKENS_EXPIRING: Final = Sentence(
    "tokens_expiring", "The tokens of %(count)s users end within %(span)s, %(share)s of those in use"
)
RENEWED: Final = Sentence("renewed", "the token was renewed")
NEW_LOGIN: Final = Sentence("new_login", "a new login")
EXPIRED: Final = Sentence("expired", "the token has expired")
FEWER_EXPIRE: Final = Sentence("fewer_expire", "the tokens of no more than %(count)s users end within %(span)s")

# ``other`` of the alert about an app.
FORECAST: Final = "forecast"
_KIND: Final = "token_expiring"
# A token of ZIM's lives for 24 days at most; a sender may report any number.
_LONGEST_S: Final = 366 * DAY_US // SECOND_US
# Of tokens that end one after another, fewer than this end within the span of the forecast.
_SHARE: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class ForecastThresholds(CommonThresholds):
    """Within what time the tokens of how many users end; a time of 0 switches the forecast off."""

    token_forecast_us: int = HOUR_US
    token_forecast_users: int = 100


class Ending(msgspec.Struct, frozen=True):
    """How many users' tokens end soon, of how many that are in use."""

    ending: int
    of: int


class TokenExpiring(Rule[ForecastThresholds]):
    """``facts`` of an alert about a user has the warning of each client."""

    kind = _KIND
    severity = "warning"
    title = Sentence("kind.token_expiring", "Token about to expire")
    advice = (
        Sentence(
            "advice.renew_in_time",
            "Get a new token from your server and pass it to renewToken before the old one ends.",
        ),
    )
    triggers = frozenset({events.TOKEN_WILL_EXPIRE, events.TOKEN_RENEWED, events.LOGIN})

    def on_event(self, change: Change) -> None:
        """A warning, a renewal or a login."""
        if change.event.type == events.TOKEN_WILL_EXPIRE:
            self._warned(change)
        elif change.event.type == events.TOKEN_RENEWED:
            self._renewed(change)
        elif (alert := _of_user(self._firing, change)) is not None:
            _resolve(self._firing, alert, change, NEW_LOGIN())

    def over_by_time(self, alert: Alert) -> Text:  # noqa: ARG002 - as the base has it
        """The token has expired."""
        return EXPIRED()

    def _warned(self, change: Change) -> None:
        event, now_us = change.event, change.now_us
        second = max(-_LONGEST_S, min(int(event.details.get("second") or 0), _LONGEST_S))
        left_us = second * SECOND_US
        expires_us = change.at_us + left_us
        firing = _of_user(self._firing, change)
        clients = dict(firing.facts.get("clients", {})) if firing else {}
        session = event.session_id.hex() if event.session_id else None
        clients[event.client_id.hex()] = {"expires_us": expires_us, "left_us": max(0, left_us), "session": session}
        due_us = max(one["expires_us"] for one in clients.values())
        alert = self.cause(
            change.subject,
            change.at_us,
            now_us,
            TOKEN_EXPIRING(who=user_name(event.user_id), span=duration(left_us)),
            labels=change.labels,
            position=change.position,
            due_us=max(due_us, now_us),
            late=change.late or expires_us <= now_us,
            facts={"clients": clients},
        )
        if alert is not None and due_us <= now_us:
            self._firing.resolve(alert, at_us=due_us, now_us=now_us, reason=EXPIRED(), position=change.position)

    def _renewed(self, change: Change) -> None:
        """RenewToken returned: a success ends the client's warning, a failure is kept for the summary of the expiry."""
        alert = _of_user(self._firing, change)
        if alert is None:
            return
        event = change.event
        clients = dict(alert.facts.get("clients", {}))
        session = event.session_id.hex() if event.session_id else None
        own = [
            client
            for client, one in clients.items()
            if client == event.client_id.hex() or (session is not None and one["session"] == session)
        ]
        code = event.details.get("code", 0)
        for client in own:
            if code == 0:
                del clients[client]
            else:
                clients[client] = clients[client] | {"renewal_code": code}
        _keep(self._firing, alert, clients, change, RENEWED())

    def forecast(self, tokens: Mapping[int, Ending], firing: Iterable[int], now_us: int) -> None:
        """How many users' tokens end soon, by app: every app that has any. ``firing``: apps about which it fires."""
        least = self._limits.token_forecast_users
        span = duration(self._limits.token_forecast_us)
        for app_id in sorted({*tokens, *firing}):
            ending, of = msgspec.structs.astuple(tokens.get(app_id, Ending(0, 0)))
            subject = Subject(app_id, None, FORECAST)
            alert = self._firing.about(self.kind, subject)
            if alert is None and ending >= max(least, of * _SHARE):
                share = f"{ending / of:.0%}"
                summary = TOKENS_EXPIRING(count=f"{ending:,}", span=span, share=share)
                self.cause(subject, now_us, now_us, summary, severity="info")
            elif alert is not None and ending < max(least, of * _SHARE) / 2:
                reason = FEWER_EXPIRE(count=f"{ending:,}", span=span)
                self._firing.resolve(alert, at_us=now_us, now_us=now_us, reason=reason)


def take_warning(firing: Firing, change: Change) -> dict[str, Any] | None:
    """The warning of a client whose token has expired; its part of the alert is over."""
    alert = _of_user(firing, change)
    if alert is None:
        return None
    clients = dict(alert.facts.get("clients", {}))
    warning: dict[str, Any] | None = clients.pop(change.event.client_id.hex(), None)
    if warning is not None:
        _keep(firing, alert, clients, change, EXPIRED())
    return warning


def _of_user(firing: Firing, change: Change) -> Alert | None:
    return None if change.who is None else firing.of_user(change.who, _KIND)


def _keep(firing: Firing, alert: Alert, clients: dict[str, Any], change: Change, reason: Text) -> None:
    """Keeps the warnings that are left; without any the alert is over."""
    alert.facts = alert.facts | {"clients": clients}
    if clients:
        firing.touch(alert, change.now_us)
    else:
        _resolve(firing, alert, change, reason)


def _resolve(firing: Firing, alert: Alert, change: Change, reason: Text) -> None:
    firing.resolve(alert, at_us=change.at_us, now_us=change.now_us, reason=reason, position=change.position)
