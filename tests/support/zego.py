"""ZEGO's server as its documents have it: the callbacks it sends, and a stand-in for the call that it answers."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import re
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from sidecar.domain.units import SECOND_US
from tests.support.events import APP_ID, BEGIN_US
from tests.support.small_server import served

SECRET = "callback-secret"
SERVER_SECRET = "0123456789abcdef0123456789abcdef"
BEGIN_S = BEGIN_US // SECOND_US
_nonces = itertools.count(350_176)


def user_action(action: int, at: float = 0, *, secret: str = SECRET, **fields: Any) -> dict[str, Any]:
    """A signed callback, said ``at`` seconds after the beginning, about what happened then."""
    said = BEGIN_S + int(at)
    told: dict[str, Any] = {
        "appid": str(APP_ID),
        "event": "user_action",
        "timestamp": said,
        "nonce": str(next(_nonces)),
        "user_id": "alice",
        "user_name": "Alice",
        "os": "WEB ",
        "action": action,
        "session_id": "930821637828251648",
        "login_time": said if action == 0 else BEGIN_S,
        "relogin": "0",
    }
    if action == 1:
        told |= {"logout_time": said, "logout_reason": "logout"}
    if action == 2:
        told["offline_time"] = said
    told |= fields
    parts = sorted([secret, str(told["timestamp"]), str(told["nonce"])])
    return {"signature": hashlib.sha1("".join(parts).encode()).hexdigest()} | told  # noqa: S324 - ZEGO's choice


class ZegoServer:
    """Answers ``QueryUserOnlineState`` for the users in ``statuses``; a request that is not as documented fails it."""

    def __init__(self) -> None:
        self.url = ""
        self.statuses: dict[str, str] = {}
        self.asked: list[list[str]] = []
        self.wrong: list[str] = []
        self.code = 0
        self.http_status = 200
        self.body: str | None = None

    async def answer(self, request: web.Request) -> web.Response:
        query = request.query
        joined = f"{query['AppId']}{query['SignatureNonce']}{SERVER_SECRET}{query['Timestamp']}"
        users = query.getall("UserId[]")
        shape = {
            "Action": query["Action"] == "QueryUserOnlineState",
            "AppId": query["AppId"] == str(APP_ID),
            "SignatureVersion": query["SignatureVersion"] == "2.0",
            "SignatureNonce": bool(re.fullmatch("[0-9a-f]{16}", query["SignatureNonce"])),
            "Timestamp": bool(re.fullmatch("[0-9]{10}", query["Timestamp"])),
            "Signature": query["Signature"] == hashlib.md5(joined.encode()).hexdigest(),  # noqa: S324
            "UserId[]": 1 <= len(users) <= 100,
            "nothing else": set(query)
            == {"Action", "AppId", "SignatureVersion", "SignatureNonce", "Timestamp", "Signature", "UserId[]"},
        }
        self.wrong += [name for name, right in shape.items() if not right]
        self.asked.append(users)
        if self.body is not None:
            return web.Response(text=self.body, status=self.http_status)
        known = [{"UserId": user, "Status": self.statuses[user]} for user in users if user in self.statuses]
        others = [{"UserId": user, "SubCode": 660200001} for user in users if user not in self.statuses]
        answer = {"Code": self.code, "Message": "success", "RequestId": "1", "Result": known, "ErrorList": others}
        return web.json_response(answer, status=self.http_status)


@contextlib.asynccontextmanager
async def zego_server() -> AsyncIterator[ZegoServer]:
    """Runs the stand-in until the context ends."""
    server = ZegoServer()
    async with served(web.get("/", server.answer)) as address:
        server.url = f"{address}/"
        yield server
