"""Asks ZEGO's server about users that nothing is known of any more: ``QueryUserOnlineState``. Off by default.

Source: ZEGOCLOUD, In-app Chat, Server APIs, "Accessing Server APIs" and "QueryUserOnlineState" (100 users a call, 20
calls a second). Tried against a stand-in of the documented shape, not against ZEGO.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final, NoReturn

import aiohttp
import msgspec
import structlog

from sidecar.clock import Clock
from sidecar.domain.events import Event
from sidecar.domain.server_view import UNKNOWN, ServerStatus
from sidecar.domain.status import OFFLINE, ONLINE
from sidecar.errors import StoreUnavailableError, ZimwatchError
from sidecar.ingest.callback import answer_event
from sidecar.store import Store
from sidecar.store.records import UserFilter, UserRow

ACTION: Final = "QueryUserOnlineState"
USERS_A_CALL: Final = 100
# Half of what ZEGO allows: the app's own server calls it too.
CALLS_A_SECOND: Final = 10
NOT_LOGGED_IN_CODE: Final = 660200001
_STATUSES: Final[dict[str, ServerStatus]] = {"online": ONLINE, "offline": OFFLINE}
# "userID: a string of up to 32 bytes", of these characters; ZEGO cannot know any other.
_USER_ID: Final = re.compile(r"[0-9A-Za-z!#$%&()+\-:;<=.>?@\[\]^_ {}|~]{1,32}")

Pause = Callable[[float], Awaitable[None]]
_log = structlog.stdlib.get_logger(__name__)


class QueryFailedError(ZimwatchError):
    """ZEGO did not answer, or refused; nothing is known anew."""


class _Of(msgspec.Struct, rename="pascal"):
    user_id: str
    status: str = ""
    sub_code: int = 0


class _Answer(msgspec.Struct, rename="pascal"):
    code: int
    message: str = ""
    result: list[_Of] | None = None
    error_list: list[_Of] | None = None


def signed(app_id: int, secret: str, *, nonce: str, timestamp_s: int) -> dict[str, str]:
    """The parameters of every call to ZEGO's server, with the signature of version 2.0."""
    joined = f"{app_id}{nonce}{secret}{timestamp_s}"
    return {
        "AppId": str(app_id),
        "SignatureNonce": nonce,
        "Timestamp": str(timestamp_s),
        "SignatureVersion": "2.0",
        "Signature": hashlib.md5(joined.encode(), usedforsecurity=False).hexdigest(),
    }


class ServerQuery:
    """Asks about the unconfirmed users of each app that has a server secret, and records what is new."""

    def __init__(
        self,
        store: Store,
        http: aiohttp.ClientSession,
        url: str,
        server_secrets: Mapping[int, tuple[str, ...]],
        clock: Clock,
        *,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._store = store
        self._http = http
        self._url = url
        self._secrets = server_secrets
        self._clock = clock
        self._pause = pause

    async def run(self, every_s: float) -> NoReturn:
        """A round every ``every_s`` seconds, until cancelled. A failure is told once, until a round succeeds."""
        told = False
        while True:
            try:
                await self.round()
                told = False
            except (QueryFailedError, StoreUnavailableError) as error:
                (_log.debug if told else _log.warning)("ZEGO's server was not asked", reason=str(error))
                told = True
            await self._pause(every_s)

    async def round(self) -> int:
        """Asks about every unconfirmed user once; how many of them the server sees otherwise than before."""
        changed = 0
        for app_id, own in self._secrets.items():
            cursor: int | None = None
            while True:
                wanted = UserFilter(app_id=app_id, unconfirmed=True, cursor=cursor, limit=USERS_A_CALL)
                page = await self._store.users(wanted)
                asked = [row for row in page.users if _USER_ID.fullmatch(row.user_id)]
                if asked:
                    answers = await self.ask(app_id, own[0], [row.user_id for row in asked])
                    changed += await self._record(asked, answers)
                    await self._pause(1 / CALLS_A_SECOND)
                if page.next_cursor is None:
                    break
                cursor = page.next_cursor
        return changed

    async def ask(self, app_id: int, secret: str, user_ids: Sequence[str]) -> dict[str, ServerStatus]:
        """What the server answers for up to 100 users; those that it cannot tell of are left out."""
        nonce, now_s = secrets.token_hex(8), self._clock() // 1_000_000
        query = [("Action", ACTION), *signed(app_id, secret, nonce=nonce, timestamp_s=now_s).items()]
        query += [("UserId[]", user_id) for user_id in user_ids]
        try:
            # A redirect would carry the signature elsewhere.
            async with self._http.get(self._url, params=query, allow_redirects=False) as response:
                if response.status != 200:  # noqa: PLR2004 - HTTP's OK
                    raise QueryFailedError(f"ZEGO's server answered {response.status}")
                answer = msgspec.json.decode(await response.read(), type=_Answer)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise QueryFailedError(f"ZEGO's server cannot be reached: {type(error).__name__}") from None
        except msgspec.MsgspecError as error:
            raise QueryFailedError(f"ZEGO's server gave an answer that cannot be read: {error}") from None
        if answer.code != 0:
            raise QueryFailedError(f"ZEGO's server refused: {answer.message[:200]} ({answer.code})")
        return dict(_told(answer, frozenset(user_ids)))

    async def _record(self, asked: Sequence[UserRow], answers: Mapping[str, ServerStatus]) -> int:
        """Only an answer that differs from the view so far is an event: the rest would fill the log with the same."""
        now_us = self._clock()
        news: list[Event] = []
        for row in asked:
            status = answers.get(row.user_id)
            if status is not None and (row.server is None or row.server.status != status):
                news.append(answer_event(row.app_id, row.user_id, status, now_us=now_us))
        return (await self._store.append(news)).accepted


def _told(answer: _Answer, asked: frozenset[str]) -> Iterator[tuple[str, ServerStatus]]:
    for one in answer.result or ():
        status = _STATUSES.get(one.status.lower())
        if status is not None and one.user_id in asked:
            yield one.user_id, status
    for one in answer.error_list or ():
        if one.sub_code == NOT_LOGGED_IN_CODE and one.user_id in asked:
            yield one.user_id, UNKNOWN
