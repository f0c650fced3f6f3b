"""Queries ZEGO's server for the status of unconfirmed users: ``QueryUserOnlineState``. Off by default.

Source: ZEGOCLOUD, In-app Chat, Server APIs, "Accessing Server APIs" and "QueryUserOnlineState" (100 users a call, 20
calls a second). Tried against a stand-in of the documented shape, not against ZEGO.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import secrets  # noqa: TID251 - what is signed must not be guessed
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final, NoReturn

import msgspec
import structlog

from sidecar.clock import Clock
from sidecar.domain.events import Event
from sidecar.domain.outside_text import one_line
from sidecar.domain.server_view import UNKNOWN, ServerStatus
from sidecar.domain.status import OFFLINE, ONLINE
from sidecar.domain.units import SECOND_US
from sidecar.errors import StoreUnavailableError, ZimwatchError
from sidecar.http_client import DeliveryError, HttpClient
from sidecar.ingest.callback import answer_event
from sidecar.lifecycle import Background, Task
from sidecar.settings import Settings, duration_us, secrets_by_app
from sidecar.store import Store, duties
from sidecar.store.users import user_list
from sidecar.store.users.user_query import UserQuery
from sidecar.store.values import UserRow

ACTION: Final = "QueryUserOnlineState"
USERS_A_CALL: Final = 100
# Half of ZEGO's limit, because the app's own server shares it.
CALLS_A_SECOND: Final = 10
_LONGEST_ANSWER: Final = 1 << 20
NOT_LOGGED_IN_CODE: Final = 660200001
_STATUSES: Final[dict[str, ServerStatus]] = {"online": ONLINE, "offline": OFFLINE}
# "userID: a string of up to 32 bytes", of these characters; ZEGO cannot know any other.
_USER_ID: Final = re.compile(r"[0-9A-Za-z!#$%&()+\-:;<=.>?@\[\]^_ {}|~]{1,32}")

Pause = Callable[[float], Awaitable[None]]
_log = structlog.stdlib.get_logger(__name__)


@contextlib.asynccontextmanager
async def querying_zego(
    settings: Settings, store: Store, background: Background, *, http: Callable[[Sequence[str]], HttpClient]
) -> AsyncIterator[None]:
    """Queries regularly for as long as the context is open, where a ServerSecret is given."""
    zego = settings.zego
    if not zego.server_secrets:
        yield
        return
    async with http(settings.alerts.allowed_hosts) as calls:
        query = ServerQuery(store, calls, zego.server_url, secrets_by_app(zego.server_secrets), store.settled_us)
        every_s = duration_us(zego.query_every) / SECOND_US
        job = store.duties.job(duties.ZEGO, lambda: query.run(every_s))
        task = Task(name="ZEGO query", run=job.run, is_needed=False)
        async with background.running(task):
            yield


class QueryFailedError(ZimwatchError):
    """ZEGO did not answer, or returned an error."""


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


async def query(
    http: HttpClient, url: str, app: tuple[int, str], user_ids: Sequence[str], clock: Clock
) -> dict[str, ServerStatus]:
    """The statuses of up to 100 users of an app, which comes with its secret; QueryFailedError.

    Users without an answer are left out.
    """
    nonce, now_s = secrets.token_hex(8), clock() // SECOND_US
    parameters = [("Action", ACTION), *signed(*app, nonce=nonce, timestamp_s=now_s).items()]
    parameters += [("UserId[]", user_id) for user_id in user_ids]
    try:
        response = await http.request("GET", url, params=parameters, most_bytes=_LONGEST_ANSWER)
    except DeliveryError as error:
        raise QueryFailedError(f"ZEGO's server cannot be reached: {error}") from None
    if response.status != 200:  # noqa: PLR2004 - HTTP's OK
        raise QueryFailedError(f"ZEGO's server answered {response.status}")
    if not response.is_whole:
        raise QueryFailedError(f"ZEGO's server answered more than {_LONGEST_ANSWER} bytes")
    try:
        answer = msgspec.json.decode(response.body, type=_Answer)
    except msgspec.MsgspecError as error:
        raise QueryFailedError(f"ZEGO's server gave an unreadable answer: {error}") from None
    if answer.code != 0:
        raise QueryFailedError(f"ZEGO's server refused: {one_line(answer.message[:200])} ({answer.code})")
    return dict(_statuses(answer, frozenset(user_ids)))


class ServerQuery:
    """Queries the unconfirmed users of each app that has a server secret, and records changes."""

    def __init__(
        self,
        store: Store,
        http: HttpClient,
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
        """A round every ``every_s`` seconds, until cancelled. Repeated failures are logged once."""
        logged = False
        while True:
            try:
                await self.round()
                logged = False
            except (QueryFailedError, StoreUnavailableError) as error:
                (_log.debug if logged else _log.warning)("query of ZEGO's server failed", reason=str(error))
                logged = True
            await self._pause(every_s)

    async def round(self) -> int:
        """Queries every unconfirmed user once; returns for how many the server's view changed."""
        changed = 0
        for app_id, own in self._secrets.items():
            cursor: str | None = None
            while True:
                wanted = UserQuery(apps=frozenset({app_id}), unconfirmed=True, cursor=cursor, limit=USERS_A_CALL)
                page = await self._store.read(user_list.list_users, wanted, self._store.now())
                queried = [row for row in page.users if _USER_ID.fullmatch(row.user_id)]
                if queried:
                    users = [row.user_id for row in queried]
                    answers = await query(self._http, self._url, (app_id, own[0]), users, self._clock)
                    changed += await self._record(queried, answers)
                    await self._pause(1 / CALLS_A_SECOND)
                if page.next_cursor is None:
                    break
                cursor = page.next_cursor
        return changed

    async def _record(self, queried: Sequence[UserRow], answers: Mapping[str, ServerStatus]) -> int:
        """Appends an event for each answer that differs from the known view; repeats would only fill the log."""
        now_us = self._clock()
        news: list[Event] = []
        for row in queried:
            status = answers.get(row.user_id)
            if status is not None and (row.server is None or row.server.status != status):
                news.append(answer_event(row.app_id, row.user_id, status, now_us=now_us))
        return (await self._store.append(news)).accepted


def _statuses(answer: _Answer, queried: frozenset[str]) -> Iterator[tuple[str, ServerStatus]]:
    for one in answer.result or ():
        status = _STATUSES.get(one.status.lower())
        if status is not None and one.user_id in queried:
            yield one.user_id, status
    for one in answer.error_list or ():
        if one.sub_code == NOT_LOGGED_IN_CODE and one.user_id in queried:
            yield one.user_id, UNKNOWN
