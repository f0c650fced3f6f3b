"""A whole run with planted secrets, nicknames and user ids: none is in a byte that was written, sent or shown."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

import aiohttp
import msgspec

from sidecar.alerting.receivers import RECEIVER_SETTINGS
from sidecar.clock import now_us
from sidecar.domain.user_naming import UserNaming
from sidecar.settings import convert
from sidecar.store import Store, engines
from sidecar.store.access import accounts, pseudonyms, second_factor
from sidecar.store.access.account_keys import AccountKeys
from tests.support.accounts import new_account, weak_hasher
from tests.support.called import mail_server
from tests.support.commands import zimwatch
from tests.support.ear import Ear, hearing
from tests.support.events import APP_ID
from tests.support.process import DATABASE, serving
from tests.support.tokens import new_token
from tests.support.wire import fresh_event

USER: Final = "planted-user-7f3a9c"
SILENT: Final = "planted-other-51d0e2"
# Where a secret belongs, and is sent to; None: to nobody. The next secret setting has to be planted here too.
SECRETS: Final = {
    "webhook.url": "hook",
    "webhook.secret": None,
    "slack.token": "slack",
    "pagerduty.routing_key": "pager",
    "apprise.url": "apprise",
    "email.password": None,
    "alerts.heartbeat_url": "beat",
    "alerts.chatops_secret": None,
    "alerts.slack_signing_secret": None,
    "oidc.client_secret": None,
    "zego.callback_secrets": None,
    "zego.server_secrets": None,
    "ingest.assertions.secret": None,
    "forward.token": "forward",
    "OTEL_EXPORTER_OTLP_HEADERS": "otlp",
}
NOT_PLANTED: Final = {
    "canary.token_command": "it is run, not sent, and needs the SDK in Node.js",
    "canary.token_url": "as token_url of the canary, which needs the SDK in Node.js",
}
# What people and programs send that is kept by nobody.
GIVEN: Final = (
    *("password", "wrong password", "wrong token", "token in a query", "one-time secret", "recovery code"),
    *("nickname", "deep nickname", "torn nickname", "rejected nickname", "body nickname"),
    *("event token", "extended token", "rejected token", "pasted token"),
)


def mark(of: str) -> str:
    """The planted text of a secret."""
    return f"plant{re.sub('[^a-z]', '', of.lower())}x9q7f2c4b8e1d3a6k5"


def secret_settings() -> Iterator[str]:
    """Each setting that is marked as secret, in sections, in receivers, and in other lists of tables."""
    for kind, struct in RECEIVER_SETTINGS.items():
        yield from _secret_of(struct, kind)
    for key, hint in convert.HINTS.items():
        if _is_secret(hint):
            yield key
        for struct in _structs(hint):
            if not issubclass(struct, tuple(RECEIVER_SETTINGS.values())):
                yield from _secret_of(struct, key)


def _secret_of(struct: Any, where: str) -> Iterator[str]:
    hints = get_type_hints(struct, include_extras=True)
    yield from (f"{where}.{name}" for name, hint in hints.items() if _is_secret(hint))


def _is_secret(hint: Any) -> bool:
    return any((meta.extra or {}).get("secret") for meta in convert._metas(hint))


def _structs(hint: Any) -> Iterator[Any]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
    for inner in get_args(hint):
        yield from _structs(inner)


def environ(ear: Ear, mail_port: int, folder: Path) -> dict[str, str]:
    local = ear.url.partition("://")[2]
    receivers: list[dict[str, Any]] = [
        {"type": "webhook", "name": "hook", "url": f"{ear.url}/hook/{mark('webhook.url')}"},
        {"type": "slack", "name": "slack", "token": mark("slack.token"), "channel": "#c", "url": f"{ear.url}/slack/"},
        {"type": "pagerduty", "name": "pager", "routing_key": mark("pagerduty.routing_key"), "url": f"{ear.url}/pager"},
        {"type": "alertmanager", "name": "manager", "url": f"{ear.url}/manager"},
        {"type": "apprise", "name": "apprise", "url": f"json://{local}/apprise/{mark('apprise.url')}"},
        {"type": "email", "name": "mail", "host": "127.0.0.1", "port": mail_port, "sender": "a@example.com"},
    ]
    receivers[0] |= {"secret": mark("webhook.secret")}
    receivers[1] |= {"user_ids": "off"}
    receivers[-1] |= {"to": ["b@example.com"], "tls": "none", "password": mark("email.password")}
    given = {
        "ALERTS__RECEIVERS": json.dumps(receivers),
        "ALERTS__ALLOWED_HOSTS": "127.0.0.1",
        "ALERTS__HEARTBEAT_URL": f"{ear.url}/beat/{mark('alerts.heartbeat_url')}",
        "ALERTS__CHATOPS_SECRET": mark("alerts.chatops_secret"),
        "ALERTS__SLACK_SIGNING_SECRET": mark("alerts.slack_signing_secret"),
        "OIDC__ISSUER": f"{ear.url}/oidc",
        "OIDC__CLIENT_ID": "zimwatch",
        "OIDC__CLIENT_SECRET": mark("oidc.client_secret"),
        "GROUPS__ROLES": '{"staff": "viewer"}',
        "SERVER__PUBLIC_URL": "http://localhost:8790",
        "ZEGO__CALLBACK_SECRETS": f"{APP_ID}:{mark('zego.callback_secrets')}",
        "ZEGO__SERVER_SECRETS": f"{APP_ID}:{mark('zego.server_secrets')}",
        "ZEGO__SERVER_URL": f"{ear.url}/zego",
        "ZEGO__QUERY_EVERY": "1s",
        "FORWARD__URL": f"{ear.url}/forward",
        "FORWARD__TOKEN": mark("forward.token"),
        "LEASES__SILENT": "1s",
        "LEASES__HEARTBEAT": "1s",
        "INGEST__ASSERTIONS": json.dumps([{"app_id": 7, "secret": mark("ingest.assertions.secret")}]),
        "PRIVACY__USER_ID_IN_TELEMETRY": "hash",
        "PRIVACY__REDACT_EXTENDED_DATA": "nickname,token",
        "BACKUPS__FOLDER": str(folder / "backups"),
        "BACKUPS__EVERY": "1m",
        "ALERTS__BACKUP_OVERDUE": "0s",
        "LOGS__LEVEL": "debug",
    }
    return {f"ZIMWATCH_{name}": value for name, value in given.items()} | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{ear.url}/otlp",
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-key={mark('OTEL_EXPORTER_OTLP_HEADERS')}",
    }


class Prepared(msgspec.Struct, frozen=True):
    """The secrets of tokens that were made, and the hash of a user."""

    ingest: str
    read: str
    user_hash: str


async def prepared(folder: Path) -> Prepared:
    """A database with an administrator, one-time codes of another account, and tokens."""
    store = Store.open(f"sqlite:///{folder / DATABASE}", clock=now_us)
    dana, erin = await new_account(store, "dana", "admin"), await new_account(store, "erin")
    await store.write(accounts.set_password, dana.id, weak_hasher().hash(mark("password")), 1)
    keys = await store.read(AccountKeys.read)
    encrypted = keys.totp.encrypt(mark("one-time secret").encode())
    await store.write(second_factor.turn_on, erin.id, encrypted, 1, [mark("recovery code")])
    (_, ingest), (_, read) = [await new_token(store, scope) for scope in ("ingest", "read")]
    naming: UserNaming = await store.read(pseudonyms.naming, "hash")
    await store.close()
    return Prepared(ingest, read, naming.hash(APP_ID, USER) or "")


async def driven(http: aiohttp.ClientSession, given: Prepared, shown: dict[str, bytes]) -> None:
    """Events, sign-ins, searches and mistakes."""

    async def call(method: str, path: str, **more: Any) -> int:
        async with http.request(method, path, **more) as answer:
            head = str(answer.headers).replace(str(answer.headers.getall("Set-Cookie", "")), "").encode()
            shown[f"{method} {path} {len(shown)}"] = await answer.read() + head * ("Set-Cookie" not in answer.headers)
            return answer.status

    bearer = {"Authorization": f"Bearer {given.ingest}"}
    extended = {"nickname": mark("nickname"), "deep": [{"Nickname": mark("deep nickname")}], "note": "kept"}
    own = {"user_name": mark("body nickname"), "token": mark("event token")}
    events = [
        fresh_event(user_id=USER, state=0, event=4, extended_data=json.dumps(extended), **own),
        fresh_event(user_id=SILENT, state=0, event=5, extended_data=f"nickname={mark('torn nickname')}", **own),
        fresh_event(user_id=SILENT, extended_data=json.dumps({"token": mark("extended token")})),
        fresh_event(type="nonsense", nick=mark("rejected nickname"), token=mark("rejected token")),
    ]
    assert await call("POST", "/v1/events", json=events, headers=bearer) == 200
    await call("POST", "/v1/events", data=f'[{{"nickname": "{mark("torn nickname")}"', headers=bearer)
    for name, password in (("dana", mark("wrong password")), ("dana", mark("password"))):
        await call("POST", "/sign-in", data={"name": name, "password": password})
    wrong = {"Authorization": f"Bearer {mark('wrong token')}"}
    async with aiohttp.ClientSession(str(http._base_url)) as stranger:
        async with stranger.get("/v1/users", headers=wrong) as answer:
            assert answer.status == 401
        async with stranger.get(f"/v1/users?access_token={mark('token in a query')}") as answer:
            assert answer.status == 401
        async with stranger.get("/sign-in/oidc") as answer:
            shown["oidc"] = await answer.read()
    async with http.get("/token") as answer:
        form = re.search(r'name="form_token" value="([^"]+)"', await answer.text())
    assert form is not None
    pasted = {"form_token": form[1], "token": f"04AAAAA{mark('pasted token')}"}
    assert await call("POST", "/token", data=pasted) == 200
    user = f"{APP_ID}/{USER}"
    for path in (
        *("/", "/wall", "/users", f"/users?q={USER}", "/users.csv", f"/users/{user}", "/alerts", "/alerts/1"),
        *(
            "/rejected",
            "/settings",
            "/audit",
            "/audit.csv",
            "/account",
            "/accounts",
            "/tokens",
            "/silences",
            "/metrics",
        ),
        *("/v1/users", f"/v1/users/{user}", f"/v1/users/{user}/events", "/v1/rejected", "/v1/alerts", "/v1/alerts/1"),
        *("/v1/audit", f"/v1/user-export?app_id={APP_ID}&user_id={USER}", "/readyz", "/openapi.json"),
        f"/user-data?app_id={APP_ID}&user_id={USER}",
    ):
        await call("GET", path)


async def backed_up(folder: Path) -> None:
    async with asyncio.timeout(20):
        while not list((folder / "backups").glob("*.db")):  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.05)


def contents(folder: Path) -> dict[str, bytes]:
    """Each file below the folder."""
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_each_setting_that_is_secret_is_planted() -> None:
    assert {*secret_settings(), "OTEL_EXPORTER_OTLP_HEADERS"} == set(SECRETS) | set(NOT_PLANTED)


async def test_nothing_planted_is_in_a_byte_that_was_written_sent_or_shown(tmp_path: Path) -> None:
    given = await prepared(tmp_path)
    shown: dict[str, bytes] = {}
    with mail_server() as (mailbox, port):
        async with hearing() as ear:
            settings = environ(ear, port, tmp_path)
            async with serving(tmp_path, settings) as (address, _process):
                jar = aiohttp.CookieJar(unsafe=True)
                async with aiohttp.ClientSession(address, cookie_jar=jar) as http:
                    await driven(http, given, shown)
                    cookies = [one.value for one in jar]
                places = ("hook", "slack", "pager", "manager", "apprise", "beat", "otlp", "oidc", "zego")
                await ear.wait_for(*places)
                await backed_up(tmp_path)
            checked = await zimwatch("check-config", folder=tmp_path, **settings)
        sent = dict(ear.heard) | {"mail": b"".join(one.as_bytes() for one in mailbox.mails)}
    engines.backup(f"sqlite:///{tmp_path / DATABASE}", tmp_path / "another.db")
    written = contents(tmp_path)
    shown |= {"check-config": (checked.out + checked.err).encode()}
    assert checked.code == 0
    assert {DATABASE, "serve.log", "another.db"} < set(written)
    assert sent["mail"]
    # What is planted was there to be found: each way of sending names the user as it may.
    assert USER.encode() in written[DATABASE]
    assert USER.encode() in shown_at(shown, "GET /users ")
    for place in ("hook", "pager", "manager", "otlp"):
        assert given.user_hash.encode() in sent[place], place
    assert b"a user was kicked out" in sent["slack"]
    marks = {mark(one): one for one in (*SECRETS, *GIVEN)}
    marks |= {given.ingest: "ingest token", given.read: "read token"} | dict.fromkeys(cookies, "session")
    own = {mark(name): place for name, place in SECRETS.items() if place}
    everywhere = {**written, **sent, **shown}
    found = [
        (what, where)
        for text, what in marks.items()
        for where, content in everywhere.items()
        if text.encode() in content and own.get(text) != where
    ]
    assert found == []
    # ZEGO's server is queried about users by their ids, and the centre of an edge is a Zimwatch itself.
    outside = {at: text for at, text in sent.items() if at not in {"zego", "forward"}}
    outside["serve.log"] = written["serve.log"]
    outside |= {"metrics": shown_at(shown, "GET /metrics ")}
    assert [(user, where) for user in (USER, SILENT) for where, text in outside.items() if user.encode() in text] == []


def shown_at(shown: dict[str, bytes], begins: str) -> bytes:
    return b"".join(content for name, content in shown.items() if name.startswith(begins))
