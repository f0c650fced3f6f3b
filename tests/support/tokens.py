"""API tokens, made and revoked in the store that a test has open."""

from __future__ import annotations

from sidecar.clock import now_us
from sidecar.store import Store
from sidecar.store.access import tokens
from sidecar.store.values import Token


def a_token(token_id: int = 1) -> Token:
    """As it is read; no row has it."""
    return Token(
        id=token_id, scope="read", app_id=None, hint="zw_", created_at_us=1, expires_at_us=None, revoked_at_us=None
    )


async def new_token(
    store: Store, scope: str, app_id: int | None = None, expires_at_us: int | None = None
) -> tuple[Token, str]:
    """A token and its secret."""
    return await store.write(tokens.create, scope, app_id, expires_at_us, now_us())


async def revoke(store: Store, token: Token) -> bool:
    """Whether it was good or expired until now."""
    return await store.write(tokens.revoke, token.id, now_us())
