"""API tokens, made and revoked in the store that a test has open."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.clock import now_us
from sidecar.store import Store
from sidecar.store.access import tokens
from sidecar.store.access.tokens import NewToken
from sidecar.store.values import Token


def a_token(token_id: int = 1) -> Token:
    """As it is read; no row has it."""
    return Token(
        id=token_id, scope="read", apps=None, hint="zw_", created_at_us=1, expires_at_us=None, revoked_at_us=None
    )


async def new_token(
    store: Store,
    scope: str,
    app_id: int | None = None,
    expires_at_us: int | None = None,
    *,
    apps: Iterable[int] = (),
    name: str = "",
    origins: tuple[str, ...] = (),
) -> tuple[Token, str]:
    """A token and its secret, for the app or ``apps``; for every app without any."""
    bound = frozenset(apps) | (frozenset() if app_id is None else {app_id})
    wanted = NewToken(scope=scope, name=name, apps=bound or None, origins=origins, expires_at_us=expires_at_us)
    return await store.write(tokens.create, wanted, now_us())


async def revoke(store: Store, token: Token) -> bool:
    """Whether it was good or expired until now."""
    return await store.write(tokens.revoke, token.id, now_us())
