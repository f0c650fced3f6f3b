"""What a principal may do to tokens: list, make, rotate and revoke them, for the API and the page."""

from __future__ import annotations

from sidecar.access import token_form
from sidecar.access.principal import Principal
from sidecar.access.token_form import RotateRequest, TokenRequest
from sidecar.store import Store
from sidecar.store.access import tokens
from sidecar.store.values import Token


async def listed(store: Store, principal: Principal, now_us: int) -> list[Token]:
    """Those that it may see, oldest first; see :func:`tokens.listed`."""
    found = await store.read(tokens.listed, now_us)
    return [one for one in found if token_form.sees(principal, one)]


async def make(store: Store, maker: Principal, given: TokenRequest, now_us: int) -> tuple[Token, str]:
    """A new token and its secret. TokenFormError, NotAllowedError or TokenRefusedError."""
    wanted = token_form.new_token(given, maker, now_us, made_by=maker.called())
    return await store.write(tokens.create, wanted, now_us)


async def rotate(
    store: Store, maker: Principal, token_id: int, given: RotateRequest, now_us: int
) -> tuple[Token, str] | None:
    """The token's successor and its secret; None where it sees no such token. The errors are those of :func:`make`."""
    old = await _visible(store, maker, token_id)
    if old is None:
        return None
    token_form.check_may_rotate(maker, old)
    overlap_us, not_after_us = token_form.overlap_us(given.overlap), token_form.end_of(maker, old.scope, now_us)
    return await store.write(
        tokens.rotate,
        token_id,
        overlap_us=overlap_us,
        now_us=now_us,
        made_by=maker.called(),
        by_token=None if maker.token is None else maker.token.id,
        by_account=maker.account_id,
        by_identity=maker.identity,
        not_after_us=not_after_us,
    )


async def revoke(store: Store, principal: Principal, token_id: int, now_us: int) -> bool:
    """Revokes it; False where it sees no such token, or that was revoked before."""
    found = await _visible(store, principal, token_id)
    return found is not None and await store.write(tokens.revoke, token_id, now_us)


async def _visible(store: Store, principal: Principal, token_id: int) -> Token | None:
    found = await store.read(tokens.one, token_id)
    return found if found is not None and token_form.sees(principal, found) else None
