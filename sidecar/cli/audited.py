"""What commands put into the audit log."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import click
import sqlalchemy as sa

from sidecar.clock import now_us
from sidecar.errors import ZimwatchError
from sidecar.store import Store
from sidecar.store.access import audit_log
from sidecar.store.access.audit_values import AuditAction, Entry, Subject

P = ParamSpec("P")
T = TypeVar("T")


def entry(action: AuditAction, subject: Subject | None = None, **details: str | int | bool) -> Entry:
    """What a command did: by the user of the operating system."""
    return Entry(at_us=now_us(), actor=f"command line, by {_user()}", action=action, subject=subject, details=details)


def recorded(
    work: Callable[Concatenate[sa.Connection, P], T],
    action: AuditAction,
    about: Subject | Callable[[Any], Subject],
    **details: str | int | bool,
) -> Callable[Concatenate[sa.Connection, P], T]:
    """``work``, which is recorded in its own transaction; ``about``: see :meth:`sidecar.access.audit.Trail.after`."""
    return audit_log.recording(
        work, lambda result: [entry(action, about(result) if callable(about) else about, **details)]
    )


async def record(store: Store, action: AuditAction, **details: str | int | bool) -> None:
    """Records what was done beside the database; where that is not possible the command says so."""
    try:
        await store.write(audit_log.record, entry(action, None, **details))
    except ZimwatchError as error:
        click.echo(f"zimwatch: warning: this is not in the audit log: {error}", err=True)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # in a container whose user has no name
        return "unknown"
