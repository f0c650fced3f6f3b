"""A real PostgreSQL for tests: the one that an environment variable names, or a cluster of their own, thrown away."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from tests.support.process import free_port

URL_VARIABLE: Final = "ZIMWATCH_TEST_POSTGRES"
"""A URL of SQLAlchemy's, ``postgresql+psycopg://…``, of a database in which a schema may be made and dropped."""


def programs() -> Path | None:
    """The folder of the server's programs, where Debian or the PATH has them: Debian's are not on the PATH."""
    on_path = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = [Path(on_path), *debian] if on_path else debian
    return found[-1].parent if found else None


def is_there() -> bool:
    """Whether tests can have a PostgreSQL."""
    return URL_VARIABLE in os.environ or programs() is not None


@contextlib.contextmanager
def running() -> Iterator[str]:
    """The URL of a server."""
    if URL_VARIABLE in os.environ:
        yield os.environ[URL_VARIABLE]
        return
    with cluster() as (url, _):
        yield url


@contextlib.contextmanager
def cluster() -> Iterator[tuple[str, Callable[[], None]]]:
    """The URL of a cluster of the test's own, and what ends it without a word to its clients and starts it again."""
    # It refuses to be run by root. The path is short, because the one of a socket may have 107 bytes.
    user: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="zimwatch-postgres-") as folder:
        if user:
            shutil.chown(folder, "postgres", "postgres")
        data, log = Path(folder, "data"), Path(folder, "log")

        def run(program: str, *arguments: str | Path) -> None:
            bin_folder = programs()
            assert bin_folder is not None
            command = [bin_folder / program, "--pgdata", data, *arguments]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, **user)
            if done.returncode:
                raise RuntimeError(f"{program}: {done.stderr}{log.read_text() if log.exists() else ''}")

        run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        port = free_port()
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        run("pg_ctl", "start", "--wait", "--silent", "--log", log, "--options", options)

        def restart() -> None:
            run("pg_ctl", "restart", "--wait", "--silent", "--mode=immediate", "--log", log, "--options", options)

        try:
            yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres", restart
        finally:
            run("pg_ctl", "stop", "--silent", "--mode=immediate")


@contextlib.contextmanager
def schema(name: str) -> Iterator[sa.Connection]:
    """A connection in a schema of its own, without transactions."""
    with running() as url:
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", execution_options={"no_parameters": True})
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {name} CASCADE")
                connection.exec_driver_sql(f"CREATE SCHEMA {name}")
                connection.exec_driver_sql(f"SET search_path TO {name}")
                try:
                    yield connection
                finally:
                    connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")
        finally:
            engine.dispose()
