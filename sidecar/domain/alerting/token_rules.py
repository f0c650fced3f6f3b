"""The rules of tokens: the warning of each client, what became of it, and the forecast over all users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from sidecar.domain.alerting import kinds, words
from sidecar.domain.alerting.alert import Subject
from sidecar.domain.alerting.book import UserId
from sidecar.domain.alerting.causes import Causes, labels_of, subject_of
from sidecar.domain.events import Event

_SECOND_US: Final = 1_000_000
_FORECAST: Final = "forecast"
# Of tokens that end one after another, fewer than this end within the span of the forecast.
_SHARE: Final = 0.5


class Ending(msgspec.Struct, frozen=True):
    """How many users' tokens end soon, of how many that are in use."""

    ending: int
    of: int


class TokenRules:
    """Used by :class:`sidecar.domain.alerting.rules.Rules`."""

    def __init__(self, causes: Causes) -> None:
        self._causes = causes
        self._book = causes.book
        # The apps for which the forecast fires.
        self._forecast = {one[0] for one in self._book.fires if one[1:] == (None, _FORECAST)}

    def will_expire(self, who: UserId, event: Event, position: int, now_us: int) -> None:
        """The SDK's warning."""
        at_us, late = self._causes.when(event)
        left_us = int(event.details.get("second") or 0) * _SECOND_US
        expires_us = at_us + left_us
        held = self._book.of_user(who, kinds.TOKEN_EXPIRING)
        clients = dict(held.facts.get("clients", {})) if held else {}
        session = event.session_id.hex() if event.session_id else None
        clients[event.client_id.hex()] = {"expires_us": expires_us, "left_us": max(0, left_us), "session": session}
        due_us = max(one["expires_us"] for one in clients.values())
        alert = self._causes.cause(
            kinds.TOKEN_EXPIRING,
            subject_of(event),
            at_us,
            now_us,
            words.TOKEN_EXPIRING(who=words.who(event.user_id), span=words.long(left_us)),
            labels=labels_of(event),
            position=position,
            due_us=max(due_us, now_us),
            late=late or expires_us <= now_us,
            facts={"clients": clients},
        )
        if alert is not None and due_us <= now_us:
            self._book.resolve(alert, at_us=due_us, now_us=now_us, reason=words.EXPIRED(), position=position)

    def renewed(self, who: UserId, event: Event, position: int, now_us: int) -> None:
        """RenewToken came back: well, or with a code that is remembered until the end."""
        alert = self._book.of_user(who, kinds.TOKEN_EXPIRING)
        if alert is None:
            return
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
        alert.facts = alert.facts | {"clients": clients}
        if clients:
            self._book.touch(alert, now_us)
        else:
            at_us, _ = self._causes.when(event)
            self._book.resolve(alert, at_us=at_us, now_us=now_us, reason=words.RENEWED(), position=position)

    def logged_in(self, who: UserId, event: Event, position: int, now_us: int) -> None:
        """A new login has a token of its own."""
        alert = self._book.of_user(who, kinds.TOKEN_EXPIRING)
        if alert is not None:
            at_us, _ = self._causes.when(event)
            self._book.resolve(alert, at_us=at_us, now_us=now_us, reason=words.NEW_LOGIN(), position=position)

    def expired(self, who: UserId | None, event: Event, position: int, now_us: int) -> dict[str, Any] | None:
        """What the warning of this client said; with it the alert about the expiring token is over."""
        alert = None if who is None else self._book.of_user(who, kinds.TOKEN_EXPIRING)
        if alert is None:
            return None
        clients = dict(alert.facts.get("clients", {}))
        warned: dict[str, Any] | None = clients.pop(event.client_id.hex(), None)
        if warned is not None:
            alert.facts = alert.facts | {"clients": clients}
            if clients:
                self._book.touch(alert, now_us)
            else:
                at_us, _ = self._causes.when(event)
                reason = words.EXPIRED()
                self._book.resolve(alert, at_us=at_us, now_us=now_us, reason=reason, position=position)
        return warned

    def expire_soon(self, tokens: Mapping[int, Ending], now_us: int) -> None:
        """How many users' tokens end soon, by app: every app that has any."""
        least = self._causes.limits.token_forecast_users
        for app_id in {*tokens, *(app_id for app_id in self._forecast if app_id is not None)}:
            ending, of = msgspec.structs.astuple(tokens.get(app_id, Ending(0, 0)))
            alert = self._book.about(kinds.TOKEN_EXPIRING, Subject(app_id, None, _FORECAST))
            span = words.long(self._causes.limits.token_forecast_us)
            if alert is None and ending >= max(least, of * _SHARE):
                opened = self._causes.cause(
                    kinds.TOKEN_EXPIRING,
                    Subject(app_id, None, _FORECAST),
                    now_us,
                    now_us,
                    words.TOKENS_EXPIRING(count=f"{ending:,}", span=span, share=f"{ending / of:.0%}"),
                )
                if opened is not None:
                    opened.severity = "info"
                    self._forecast.add(app_id)
            elif alert is not None and ending < max(least, of * _SHARE) / 2:
                reason = words.FEWER_EXPIRE(count=f"{ending:,}", span=span)
                self._book.resolve(alert, at_us=now_us, now_us=now_us, reason=reason)
                self._forecast.discard(app_id)
