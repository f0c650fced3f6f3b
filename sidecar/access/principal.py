"""The principal of a request: its permissions, the apps that it may see, and its name for the audit."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Annotated, Final

import msgspec
from aiohttp import web

from sidecar.access.policy import POLICY, Action, Role
from sidecar.access.proxies import public_request
from sidecar.domain.app_ids import AppIds
from sidecar.domain.outside_text import one_line
from sidecar.settings import ServerSettings
from sidecar.store.values import Account, BrowserSession, OutsideIdentity, SessionOwner, Token

NAME_CHARACTERS: Final = 100
Name = Annotated[str, msgspec.Meta(max_length=NAME_CHARACTERS)]
"""A person's name, as a request gives it."""
LOCAL_NAME: Final = "local"


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """``apps`` are the only ones that it may see.

    ``proof`` is what authenticated it, such as a token; ``name`` is as given, and proves nothing. ``identity`` is the
    key of somebody whom a provider or a proxy named.
    """

    role: Role
    apps: AppIds = None
    proof: str = ""
    name: str = ""
    session_id: int | None = None
    token: Token | None = None
    account_id: int | None = None
    identity: str | None = None

    @classmethod
    def of_token(cls, token: Token, *, name: str = "", session_id: int | None = None) -> Principal:
        """The principal of this token."""
        return cls(
            role=Role(token.scope),
            apps=token.apps,
            proof=f"token {token.id}",
            token=token,
            name=clean_name(name) if name else "",
            session_id=session_id,
        )

    @classmethod
    def of_session(cls, session: BrowserSession) -> Principal:
        """The principal of a browser that is signed in."""
        return cls.of_owner(session.owner, name=session.name, session_id=session.id)

    @classmethod
    def of_owner(cls, owner: SessionOwner, *, name: str = "", session_id: int | None = None) -> Principal:
        """The principal whose sessions belong to ``owner``; ``name`` is as given with a token."""
        account_id = identity = None
        match owner:
            case Token():
                return cls.of_token(owner, name=name, session_id=session_id)
            case Account():
                proof, name, account_id = owner.called, "", owner.id
            case OutsideIdentity():
                proof, name, identity = owner.called, clean_name(owner.name), owner.key
        return cls(
            role=Role(owner.role),
            apps=owner.apps,
            proof=proof,
            name=name,
            session_id=session_id,
            account_id=account_id,
            identity=identity,
        )

    def may(self, action: Action) -> bool:
        """Whether its role allows the action."""
        return action in POLICY[self.role]

    def called(self, name: str = "") -> str:
        """Its name for the audit: as given now or at sign-in, with the proof, such as ``dana, by token 3``."""
        name = clean_name(name) or self.name
        if not self.proof:
            return name or LOCAL_NAME
        return f"{name}, by {self.proof}" if name else self.proof


def signed(chat: str, scope: str) -> Principal:
    """The principal of a command that a chat signed, with the scope of the settings."""
    return Principal(role=Role(scope), proof=chat)


LOCAL: Final = Principal(role=Role.LOCAL)
"""The principal of requests from this machine while no token exists."""
PRINCIPAL: web.RequestKey[Principal | None] = web.RequestKey("principal", Principal | None)  # type: ignore[arg-type]
_current: ContextVar[Principal | None] = ContextVar("principal", default=None)


def current() -> Principal | None:
    """The principal of the current request; None where it needs none, or has no access."""
    return _current.get()


def acting() -> Principal:
    """As :func:`current`; LookupError where there is none, which never means that everything is allowed."""
    return _certain(current())


def begin(request: web.Request, principal: Principal | None) -> None:
    """Sets the principal of the request."""
    request[PRINCIPAL] = principal
    _current.set(principal)


def principal_of(request: web.Request) -> Principal:
    """The principal of a request whose route needs one; LookupError where it has none."""
    return _certain(request.get(PRINCIPAL))


def apps_of(request: web.Request) -> AppIds:
    """The apps that the principal may see."""
    principal = request.get(PRINCIPAL)
    return principal.apps if principal else None


def allowed(request: web.Request) -> frozenset[Action]:
    """What the principal may do; nothing where there is none."""
    principal = request.get(PRINCIPAL)
    return POLICY[principal.role] if principal else frozenset()


def who(request: web.Request, name: str | None = None) -> str:
    """Who made the request, for the audit; ``name`` is as the request gives it."""
    return (request.get(PRINCIPAL) or LOCAL).called(name or "")


def reader_of(request: web.Request, server: ServerSettings) -> str:
    """A key to count open streams by: the token or session, and the client's address."""
    principal = request.get(PRINCIPAL) or LOCAL
    return f"{principal.proof} {principal.session_id or ''}@{public_request(request, server).client}"


def _certain(principal: Principal | None) -> Principal:
    if principal is None:
        raise LookupError("the request has no principal")
    return principal


def clean_name(text: str) -> str:
    """A name on one line, cut at ``NAME_CHARACTERS``, with a mark in place of invisible characters."""
    return one_line(" ".join(text.split()))[:NAME_CHARACTERS].strip()
