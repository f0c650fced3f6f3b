"""Brings the tables of an older Zimwatch up to date, by the migrations since."""

from __future__ import annotations

from importlib import resources
from typing import Any

import sqlalchemy as sa

from sidecar.errors import DatabaseRefusedError
from sidecar.store.schema import OUTDATED, REVISION


def refuse_newer(name: str, found: str | None) -> None:
    """Refuses tables whose migration ``found`` is not one of this Zimwatch."""
    if found not in {None, REVISION} and found not in {one.revision for one in _script().walk_revisions()}:
        raise DatabaseRefusedError(f"{name} was written by a newer Zimwatch (schema {found}); use that version")


def pending(name: str, found: str | None) -> list[tuple[str, str]]:
    """The migrations that are due, oldest first, each with what it is about; nothing is changed.

    DatabaseRefusedError where a newer Zimwatch has written the tables.
    """
    refuse_newer(name, found)
    passed = [] if found == REVISION else list(_script().iterate_revisions("head", found))
    return [(str(one.revision), str(one.doc)) for one in reversed(passed)]


def upgrade(connection: sa.Connection, found: str | None) -> None:
    """Runs the migrations after ``found``, None for all, in the transaction of the connection.

    After one of older tables that is not marked with ``KEEPS_PROJECTIONS`` these must be rebuilt: :func:`is_outdated`.
    """
    # Alembic takes much of the start and of the memory, and is needed only for tables that are not up to date.
    from alembic import command  # noqa: PLC0415

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    passed = () if found is None else _script().iterate_revisions("head", found)
    if not all(getattr(one.module, "KEEPS_PROJECTIONS", False) for one in passed):
        connection.exec_driver_sql(
            "INSERT INTO followers (name, position) VALUES (?, 0) ON CONFLICT (name) DO NOTHING", (OUTDATED,)
        )


def is_outdated(connection: sa.Connection) -> bool:
    """Whether the projections must be rebuilt, which takes a minute for half a million events."""
    sql = "SELECT 1 FROM followers WHERE name = ?"
    return connection.exec_driver_sql(sql, (OUTDATED,)).first() is not None


def _config() -> Any:  # noqa: ANN401 - Alembic's, which is not imported for its type
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(resources.files("sidecar.store") / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _script() -> Any:  # noqa: ANN401 - same
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    return ScriptDirectory.from_config(_config())
