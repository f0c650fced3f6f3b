"""Maps rows of accounts to values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sidecar.store.access import app_sets
from sidecar.store.access.account_schema import accounts
from sidecar.store.values import Account

_account = accounts.c
COLUMNS: Final = (
    _account.id,
    _account.name,
    _account.role,
    _account.apps,
    _account.created_at_us,
    _account.password_changed_at_us,
    _account.signed_in_at_us,
    _account.disabled_at_us,
    _account.totp_secret,
)
_NAMES: Final = tuple(column.name for column in COLUMNS)


def account_of(row: Sequence[Any]) -> Account:
    """A row of ``COLUMNS`` as an account."""
    values = dict(zip(_NAMES, row, strict=True))
    has_totp = values.pop("totp_secret") is not None
    return Account(**values | {"apps": app_sets.read(values["apps"])}, has_totp=has_totp)
