"""Tokens of people whom a provider or a proxy named: revoked once those could not make them any more.

That is when their groups are known: at a sign-in and each look-up by OpenID Connect, at each request behind a proxy.
"""

from __future__ import annotations

import sqlalchemy as sa

from sidecar.access import token_form
from sidecar.access.groups import Grant
from sidecar.store import Store
from sidecar.store.access import audit_log, tokens
from sidecar.store.access.audit_values import AuditAction, Entry


def are_within(store: Store, identity: str, grant: Grant | None) -> bool:
    """Whether there is nothing to revoke, as far as is kept in memory: to be asked of each request."""
    made = store.credentials.of_identity(identity)
    return not made or (grant is not None and all(map(token_form.could_make(grant.role, grant.apps), made)))


def revoke(connection: sa.Connection, identity: str, grant: Grant | None, *, by: str, now_us: int) -> None:
    """Revokes those that the groups do not allow now; all of them without a grant. ``by`` is who says the groups."""
    keeps = token_form.could_make(grant.role, grant.apps) if grant is not None else lambda _token: False
    revoked = tokens.revoke_of_identity(connection, identity, now_us, keeps)
    entries = [
        Entry(
            at_us=now_us,
            actor=by,
            action=AuditAction.TOKEN_REVOKED,
            subject=f"token {one.id}",
            details={"reason": "groups", "made_by": one.made_by},
        )
        for one in revoked
    ]
    audit_log.record(connection, *entries)
