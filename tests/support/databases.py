"""The database of a test's folder: a SQLite file in it, or a database of the tests' PostgreSQL that stands for it."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Literal

import psycopg
import sqlalchemy as sa

import sidecar.alerting  # noqa: F401 - its tables are the database's
from sidecar.clock import steady_us
from sidecar.store import engines
from sidecar.system.files import FILES
from sidecar.system.threads import THREADS
from tests.support import postgres
from tests.support.process import DATABASE

Engine = Literal["sqlite", "postgresql"]
ENGINES: Final[tuple[Engine, ...]] = ("sqlite", "postgresql")
VARIABLE: Final = "ZIMWATCH_TEST_ENGINE"
"""The engine of tests that are not about one: for a look at how they do on the other."""

_TEMPLATE: Final = f"zimwatch_template_{os.getpid()}"
_number = itertools.count(1)
_server = contextlib.ExitStack()
_url: list[str] = []
# By folder; None while the engine is SQLite.
_databases: dict[Path, str] | None = {} if os.environ.get(VARIABLE) == "postgresql" else None


@contextlib.contextmanager
def engine(name: Engine) -> Iterator[None]:
    """The engine of the databases of all folders, until the context ends and these are dropped."""
    global _databases  # noqa: PLW0603 - one test runs at a time
    before, _databases = _databases, None if name == "sqlite" else {}
    try:
        yield
    finally:
        if _databases:
            drop()
        _databases = before


@contextlib.contextmanager
def on(url: str, folder: Path) -> Iterator[None]:
    """The database of the folder is this one, until the context ends."""
    with engine("postgresql"):
        assert _databases is not None
        _databases[folder / DATABASE] = url
        try:
            yield
        finally:
            _databases.clear()


def drop() -> None:
    """Drops the databases of all folders."""
    with _administered() as server:
        for url in (_databases or {}).values():
            server.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)".encode())
    (_databases or {}).clear()


def are_there() -> bool:
    """Whether a folder has a database of PostgreSQL."""
    return bool(_databases)


def stop() -> None:
    """Stops the tests' server, if it was started, which may be one that stays: nothing of the tests does."""
    if _url:
        drop()
        with _administered() as server:
            server.execute(f"DROP DATABASE IF EXISTS {_TEMPLATE} WITH (FORCE)".encode())
    _server.close()
    _url.clear()


def url_of(folder: Path, name: str = DATABASE) -> str:
    """The URL of the database that a file in the folder is, or stands for. Its tables are made already."""
    if _databases is None:
        return f"sqlite:///{folder / name}"
    if (file := folder / name) not in _databases:
        _databases[file] = _created(f"zimwatch_{os.getpid()}_{next(_number)}", template=True)
    return _databases[file]


def reading(folder: Path) -> AbstractContextManager[sa.Connection]:
    """A connection to the database of the folder, in which nothing is written."""
    return _reading(url_of(folder))


@contextlib.contextmanager
def _reading(url: str) -> Iterator[sa.Connection]:
    with engines.reading(url) as connect, connect() as connection:
        yield connection


def _created(name: str, *, template: bool = False) -> str:
    if not _url:
        _url.append(_server.enter_context(postgres.running()).replace("+psycopg", ""))
        of_tables = _created(_TEMPLATE)
        made = engines.open_database(of_tables, attach=True, steady=steady_us, threads=THREADS, files=FILES)
        with contextlib.closing(made):
            made.migrate()
    with _administered() as server:
        server.execute(f"CREATE DATABASE {name}{f' TEMPLATE {_TEMPLATE}' if template else ''}".encode())
    return f"{_url[0].rpartition('/')[0]}/{name}"


def _administered() -> psycopg.Connection[Any]:
    return psycopg.connect(_url[0], autocommit=True)
