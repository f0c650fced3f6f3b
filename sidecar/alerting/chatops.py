"""What can be asked and done from a chat, as text in and text out."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from sidecar.alerting.asked import NotPossibleError, SilenceRequest, silence_of
from sidecar.alerting.engine import Engine
from sidecar.alerting.views import moment, user_url
from sidecar.clock import Clock
from sidecar.domain.alerting.words import Device, long
from sidecar.domain.connection import KICKED_OUT
from sidecar.store import Store, alert_log
from sidecar.store.lookup import Search
from sidecar.store.records import StoredEvent, UserRow

HELP: Final = (
    "status USER · who kicked USER · ack ALERT · silence USER DURATION because REASON · top kicked\n"
    "For example: status alice · ack 42 · silence alice 1h because she tests her new phone"
)
_LOOKED_THROUGH: Final = 200
_TOP: Final = 10
_DAY_US: Final = 86_400_000_000
_STATUS: Final = {"online": "online", "offline": "offline", "not_logged_in": "not logged in"}


class Asker(msgspec.Struct, frozen=True):
    """Who asks, whether they may change anything, and the app that they may see (None: every one)."""

    name: str
    may_write: bool
    app_id: int | None = None


class Chatops:
    """Answers one line at a time."""

    def __init__(self, store: Store, engine: Engine, clock: Clock) -> None:
        self._store = store
        self._engine = engine
        self._clock = clock

    async def answer(self, line: str, asker: Asker) -> str:
        """What to say. What cannot be done is said too: a chat shows errors to nobody else."""
        for pattern, changes, command in _COMMANDS:
            match = pattern.fullmatch(line.strip())
            if match is None:
                continue
            if changes and not asker.may_write:
                return "You may read here, but change nothing."
            try:
                return await command(self, asker, **match.groupdict())
            except NotPossibleError as error:
                return f"That is not possible: {error}."
        return HELP if line.strip() in {"", "help"} else f"I do not understand that. {HELP}"

    async def _status(self, asker: Asker, user: str) -> str:
        found = await self._named(user, asker)
        if not found:
            return f"{user}: not logged in, never seen."
        now_us = self._clock()
        told = []
        for row in found:
            since = "" if row.since_us is None else f" for {long(now_us - row.since_us)}"
            why = f" ({row.reason})" if row.reason else ""
            doubt = ", unconfirmed" if row.unconfirmed else ""
            url = user_url(self._engine.policy.base, row.app_id, row.user_id) or ""
            told.append(f"{row.user_id} is {_STATUS[row.status]}{since}{why}{doubt}. {url}".rstrip())
        return "\n".join(told)

    async def _who_kicked(self, asker: Asker, user: str) -> str:
        told = []
        for row in await self._named(user, asker):
            events = await self._store.timeline(row.app_id, row.user_id, before=None, limit=_LOOKED_THROUGH)
            kick = next((one for one in events if one.event.connection_event == KICKED_OUT), None)
            if kick is not None:
                told.append(self._kick(kick, events))
        return "\n".join(told) or f"No kick of {user} is known."

    def _kick(self, kick: StoredEvent, events: list[StoredEvent]) -> str:
        event = kick.event
        other = next(
            (
                one.event
                for one in events
                if one.event.client_id != event.client_id
                and one.event.occurred_at_us <= event.occurred_at_us + 60_000_000
            ),
            None,
        )
        own = Device(event.platform, event.device_id).words
        by = (
            "which other device logged in is not known"
            if other is None
            else f"{Device(other.platform, other.device_id).words} logged in"
        )
        at = moment(event.occurred_at_us).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"{event.user_id} was kicked out on {own}, {at}: {by}."

    async def _acknowledge(self, asker: Asker, alert: str) -> str:
        now_us = self._clock()
        wanted = int(alert)
        found = await self._store.write(lambda c: self._engine.acknowledge(c, wanted, asker.name, now_us, asker.app_id))
        if found is None:
            return f"There is no alert {wanted}."
        if found.acknowledged_by is None:
            return f"Alert {wanted} is over already: {found.end_reason}."
        return f"Alert {wanted} is acknowledged by {found.acknowledged_by}: {found.summary}"

    async def _silence(self, asker: Asker, user: str, duration: str, reason: str) -> str:
        now_us = self._clock()
        request = SilenceRequest(matchers={"user_id": user}, reason=reason, duration=duration)
        wanted = silence_of(request, asker.name, now_us, asker.app_id)
        hidden = await self._store.read(alert_log.hidden_by, wanted)
        made = await self._store.write(lambda c: self._engine.silence(c, wanted, now_us))
        until = moment(made.ends_at_us).strftime("%Y-%m-%d %H:%M UTC")
        return f"Silence {made.id}: alerts about {user} call nobody until {until} ({len(hidden)} of them fire now)."

    async def _top_kicked(self, asker: Asker) -> str:
        since_us = self._clock() - _DAY_US
        found = await self._store.read(alert_log.most_often, "kicked_out", since_us, _TOP, asker.app_id)
        if not found:
            return "Nobody was kicked out in the last 24 hours."
        return "Kicked out most in the last 24 hours:\n" + "\n".join(f"{user}: {times}" for user, times in found)

    async def _named(self, user: str, asker: Asker) -> list[UserRow]:
        """The users with exactly this id, of every app that may be seen."""
        found = await self._store.search(Search(q=user, match="exact", app_id=asker.app_id))
        return [one.user for one in found.users][:5]


_Command = Callable[..., Awaitable[str]]
_COMMANDS: Final[tuple[tuple[re.Pattern[str], bool, _Command], ...]] = (
    (re.compile(r"status\s+(?P<user>.+)", re.IGNORECASE), False, Chatops._status),  # noqa: SLF001 - its own table
    (re.compile(r"who\s+kicked\s+(?P<user>.+?)\??", re.IGNORECASE), False, Chatops._who_kicked),  # noqa: SLF001
    (re.compile(r"ack\s+#?(?P<alert>[0-9]{1,18})", re.IGNORECASE), True, Chatops._acknowledge),  # noqa: SLF001
    (
        re.compile(
            r"silence\s+(?P<user>.+?)\s+(?P<duration>[0-9]+(ms|s|m|h|d))\s+(because\s+)?(?P<reason>.+)", re.IGNORECASE
        ),
        True,
        Chatops._silence,  # noqa: SLF001
    ),
    (re.compile(r"top\s+kicked", re.IGNORECASE), False, Chatops._top_kicked),  # noqa: SLF001
)
