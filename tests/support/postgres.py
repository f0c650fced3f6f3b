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

import psycopg
import sqlalchemy as sa

from tests.support.mounts import small_disk
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


class _Server:
    """One server in a folder of its own."""

    def __init__(self, folder: str, *, durable: bool = False) -> None:
        # It refuses to be run by root.
        is_root = os.getuid() == 0
        self._user: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if is_root else {}
        if is_root:
            shutil.chown(folder, "postgres", "postgres")
        self._folder = folder
        self._log = Path(folder, "log")
        self.port = free_port()
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        options += "" if durable else " -c fsync=off"
        self._start = ("--wait", "--silent", "--log", self._log, "--options", options)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def run(self, program: str, *arguments: str | Path) -> None:
        bin_folder = programs()
        assert bin_folder is not None
        command = [bin_folder / program, "--pgdata", Path(self._folder, "data"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self._folder, **self._user)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}{self._log.read_text() if self._log.exists() else ''}")

    def start(self) -> None:
        self.run("pg_ctl", "start", *self._start)

    def restart(self) -> None:
        """Ends it without a word to its clients, and starts it again."""
        self.run("pg_ctl", "restart", "--mode=immediate", *self._start)

    def stop(self) -> None:
        """Ends it in the same way, if it runs."""
        if Path(self._folder, "data", "postmaster.pid").exists():
            self.run("pg_ctl", "stop", "--silent", "--mode=immediate")

    def executes(self, sql: bytes) -> None:
        with psycopg.connect(self.url, autocommit=True) as session:
            session.execute(sql)


@contextlib.contextmanager
def cluster(*, durable: bool = False) -> Iterator[tuple[str, Callable[[], None]]]:
    """The URL of a cluster of the test's own, and what ends it without a word to its clients and starts it again.

    ``durable``: a commit waits for the disk, which only measurements need.
    """
    with _cluster(durable=durable) as server:
        yield server.url.replace("://", "+psycopg://"), server.restart


@contextlib.contextmanager
def _cluster(*, durable: bool = False) -> Iterator[_Server]:
    # The path is short, because the one of a socket may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="zimwatch-postgres-") as folder:
        server = _Server(folder, durable=durable)
        server.run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def with_standby() -> Iterator[tuple[str, Callable[[], None]]]:
    """The URL of a server and its standby, and what ends the server and promotes the standby.

    A commit waits for the standby, so that it has all that was acknowledged.
    """
    with _cluster() as first, tempfile.TemporaryDirectory(prefix="zimwatch-postgres-") as folder:
        second = _Server(folder)
        source = ("--host=127.0.0.1", f"--port={first.port}", "--username=postgres", "--checkpoint=fast", "--no-sync")
        second.run("pg_basebackup", "--write-recovery-conf", "--wal-method=stream", *source)
        second.start()
        first.executes(b"ALTER SYSTEM SET synchronous_standby_names = '*'")
        first.executes(b"SELECT pg_reload_conf()")

        def fail_over() -> None:
            first.stop()
            second.run("pg_ctl", "promote", "--wait", "--silent")

        hosts = f"127.0.0.1:{first.port},127.0.0.1:{second.port}"
        try:
            yield f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write", fail_over
        finally:
            second.stop()


@contextlib.contextmanager
def small_tablespace(url: str, size_bytes: int) -> Iterator[tuple[str, Path]]:
    """The URL of a database of the server at ``url`` on a file system of its own with that much room, and its folder.

    The server's write-ahead log is not there: it ends by itself when it cannot write that, as if it was killed.
    """
    with tempfile.TemporaryDirectory(prefix="zimwatch-tablespace-") as folder, small_disk(Path(folder), size_bytes):
        shutil.chown(folder, "postgres", "postgres")
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as session:
            session.execute(f"CREATE TABLESPACE small LOCATION '{folder}'".encode())
            session.execute(b"CREATE DATABASE small TABLESPACE small")
        yield f"{url.replace('+psycopg', '').rpartition('/')[0]}/small", Path(folder)


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
