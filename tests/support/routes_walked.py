"""Every route of a running server with an example request: ids of one app, which readers of another may not see."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sidecar.access.policy import PEOPLE, SCOPES, Role
from sidecar.clock import now_us
from sidecar.store import Store
from sidecar.store.access import accounts, browser_sessions
from sidecar.store.access.browser_sessions import New
from sidecar.web import forms
from tests.support.people import form_key
from tests.support.running import Zimwatch
from tests.support.tokens import new_token
from tests.support.wire import fresh_event

OWN, OTHER = 7, 9
WHOSE: Final = {OWN: "alice", OTHER: "mallory"}


class World(msgspec.Struct, frozen=True):
    """The ids of what is about the user of ``OTHER``."""

    alert: int
    silence: int
    watch: int
    token: int


class Example(msgspec.Struct, frozen=True):
    """A request that names something of ``OTHER``, if ``is_of_other``; a form unless it has ``json``.

    One that is ``of_every_app`` is refused to those who are limited to some apps; one without the signature that its
    route ``needs_signature`` is refused to everyone.
    """

    path: Callable[[World], str]
    form: Callable[[World], Mapping[str, Any]] = lambda _world: {}
    json: Callable[[World], Any] | None = None
    is_of_other: bool = False
    of_every_app: bool = False
    needs_signature: bool = False


def _at(path: str, **more: Any) -> Example:
    """An example whose path may name parts of the world."""
    about = any(f"{{{name}}}" in path for name in World.__struct_fields__) or WHOSE[OTHER] in path
    ids = {"is_of_other": about} | more
    return Example(lambda world: path.format(**msgspec.structs.asdict(world)), **ids)


_MALLORY: Final = f"{OTHER}/{WHOSE[OTHER]}"
_WATCH: Final = {"app_id": OTHER, "user_id": WHOSE[OTHER], "duration": "1h"}
_REASON: Final = {"reason": "planned", "duration": "1h"}
# Routes without an id in their path or body need no line: their example is a request of their path.
EXAMPLES: Final[dict[str, Example]] = {
    "POST /v1/events": _at("/v1/events", json=lambda _: [fresh_event(app_id=OTHER, user_id="m")], is_of_other=True),
    "GET /v1/users/{app_id}/{user_id}": _at(f"/v1/users/{_MALLORY}"),
    "GET /v1/users/{app_id}/{user_id}/events": _at(f"/v1/users/{_MALLORY}/events"),
    "GET /v1/alerts/{id}": _at("/v1/alerts/{alert}"),
    "POST /v1/alerts/{id}/ack": _at("/v1/alerts/{alert}/ack", json=lambda _: {}),
    "GET /v1/alerts/undelivered": _at("/v1/alerts/undelivered", of_every_app=True),
    "POST /v1/alerts/undelivered/{id}/send": _at("/v1/alerts/undelivered/1/send", json=lambda _: {}, of_every_app=True),
    "POST /v1/silences": _at(
        "/v1/silences", json=lambda _: _REASON | {"matchers": {"app_id": OTHER}}, is_of_other=True
    ),
    "DELETE /v1/silences/{id}": _at("/v1/silences/{silence}"),
    "POST /v1/watches": _at("/v1/watches", json=lambda _: _WATCH, is_of_other=True),
    "DELETE /v1/watches/{id}": _at("/v1/watches/{watch}"),
    "DELETE /v1/tokens/{id}": _at("/v1/tokens/{token}"),
    "POST /v1/tokens/{id}/rotate": _at("/v1/tokens/{token}/rotate", json=lambda _: {}),
    "POST /tokens/{id}/rotate": _at("/tokens/{token}/rotate"),
    "POST /tokens/{id}/revoke": _at("/tokens/{token}/revoke"),
    "POST /v1/chatops": _at("/v1/chatops", json=lambda _: {"text": "top kicked"}),
    "POST /v1/chatops/slack": _at("/v1/chatops/slack", needs_signature=True),
    "DELETE /v1/users/{app_id}/{user_id}": _at(f"/v1/users/{_MALLORY}"),
    "GET /v1/erasures/{id}": _at("/v1/erasures/1"),
    "GET /v1/user-export": _at(f"/v1/user-export?app_id={OTHER}&user_id={WHOSE[OTHER]}"),
    "POST /erasures": _at("/erasures", form=lambda _: {"app_id": OTHER, "user_id": WHOSE[OTHER]}, is_of_other=True),
    "GET /erasures/{id}": _at("/erasures/1"),
    "GET /accounts": _at("/accounts", of_every_app=True),
    "POST /accounts": _at("/accounts", of_every_app=True),
    "POST /accounts/{account}": _at("/accounts/999999", of_every_app=True),
    "POST /account/sessions/{session}/end": _at("/account/sessions/999999/end"),
    "GET /v1/audit": _at("/v1/audit", of_every_app=True),
    "GET /audit": _at("/audit", of_every_app=True),
    "GET /live/audit": _at("/live/audit", of_every_app=True),
    "GET /audit.csv": _at("/audit.csv", of_every_app=True),
    "GET /audit.json": _at("/audit.json", of_every_app=True),
    "POST /v1/admin/reload": _at("/v1/admin/reload", json=lambda _: {}, of_every_app=True),
    "GET /users/{app_id}/{user_id}": _at(f"/users/{_MALLORY}"),
    "GET /live/users/{app_id}/{user_id}": _at(f"/live/users/{_MALLORY}"),
    "GET /alerts/undelivered": _at("/alerts/undelivered", of_every_app=True),
    "GET /live/alerts/undelivered": _at("/live/alerts/undelivered", of_every_app=True),
    "GET /alerts/{id}": _at("/alerts/{alert}"),
    "GET /live/alerts/{id}": _at("/live/alerts/{alert}"),
    "POST /alerts/undelivered/{id}": _at("/alerts/undelivered/1", of_every_app=True),
    "POST /alerts/{id}/ack": _at("/alerts/{alert}/ack"),
    "POST /alerts/{id}/silence": _at("/alerts/{alert}/silence", form=lambda _: _REASON),
    "GET /alerts/several": _at("/alerts/several?alert={alert}"),
    "POST /alerts/several": _at("/alerts/several", form=lambda world: {"alert": world.alert}, is_of_other=True),
    "POST /silences": _at("/silences", form=lambda _: _REASON | {"app_id": OTHER}, is_of_other=True),
    "POST /silences/{id}/end": _at("/silences/{silence}/end"),
    "POST /watches": _at("/watches", form=lambda _: _WATCH, is_of_other=True),
    "POST /watches/{id}/end": _at("/watches/{watch}/end"),
    "POST /settings/try/{receiver}": _at("/settings/try/ops", of_every_app=True),
}
# Of the reader's own account: they end its session, or ask for its password.
OWN_ACCOUNT: Final = "POST /account/"
# Of these a request that names another app's is answered with nothing of it, as if there were none.
ANSWERED: Final = frozenset(
    {
        "GET /alerts/several",
        "POST /alerts/several",
        "POST /watches/{id}/end",
        "POST /silences/{id}/end",
        "POST /tokens/{id}/revoke",
    }
)


class Reader(msgspec.Struct, frozen=True):
    """Somebody with a role, limited to ``apps``. ``headers`` authenticate; forms are bound to ``credentials``."""

    role: Role
    apps: frozenset[int] | None
    headers: dict[str, str]
    credentials: str
    form_key: bytes

    @property
    def is_person(self) -> bool:
        """Whether it is signed in, by a cookie."""
        return self.role in PEOPLE

    def form_token(self) -> str:
        """As on a page that this reader was given."""
        mask = bytes(forms._KEY_BYTES)
        token = hmac.new(self.form_key, self.credentials.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(mask + token).decode()


async def reader(store: Store, role: Role, apps: frozenset[int] | None) -> Reader:
    """A token of this scope, or a signed-in account of this role."""
    if role in SCOPES:
        token, secret = await new_token(store, role, apps=apps or ())
        value = f"Bearer {secret}"
        return Reader(role, apps, {"Authorization": value}, f"token {token.id} {value}", form_key(store))
    name = f"{role} {sorted(apps or ())}"
    secret = f"secret of {name}".replace(" ", "-").replace("[", "").replace("]", "")

    def sign_in(connection: sa.Connection) -> int:
        account = accounts.create(connection, name, role, apps, now_us())
        assert account is not None
        browser_sessions.begin(connection, secret, New(owner=account, created_at_us=now_us()), created_after_us=0)
        return int(connection.execute(sa.text("SELECT MAX(id) FROM browser_sessions")).scalar_one())

    session = await store.write(sign_in)
    return Reader(role, apps, {"Cookie": f"zimwatch-session={secret}"}, f"session {session}", form_key(store))


async def filled(running: Zimwatch) -> World:
    """A kicked user, a silence, a watch and a rejected event of each app; at last a token, which ends open access."""
    for app_id, user_id in WHOSE.items():
        kicked = fresh_event(app_id=app_id, user_id=user_id, state=0, event=4)
        refused = fresh_event(app_id=app_id, user_id=user_id, type=f"not a type, of {user_id}")
        await running.send([kicked, refused])
        silence = {"matchers": {"app_id": app_id}, "duration": "1h", "reason": f"because of {user_id}"}
        watch = {"app_id": app_id, "user_id": user_id, "duration": "1h"}
        for path, body in (("/v1/silences", silence), ("/v1/watches", watch)):
            async with running.http.post(path, json=body) as answer:
                assert answer.status == 201
                made = await answer.json()
            if path == "/v1/silences":
                silenced = made["id"]
            else:
                watched = made["id"]
    _, listed = await running.get(f"/v1/alerts?app_id={OTHER}")
    token, _ = await new_token(running.store, "ingest", OTHER, name=WHOSE[OTHER])
    return World(alert=listed["alerts"][0]["id"], silence=silenced, watch=watched, token=token.id)
