"""PgBouncer before the server of a database, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

from psycopg.conninfo import conninfo_to_dict

from tests.support.process import free_port

PoolMode = Literal["session", "transaction", "statement"]
START_TIMEOUT_S: Final = 30
POLL_S: Final = 0.02
_SETTINGS: Final = """
[databases]
* = host={host} port={server} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
{more}
"""


@contextlib.contextmanager
def pgbouncer(url: str, mode: PoolMode, *more: str) -> Iterator[str]:
    """The URL of the same database through a PgBouncer in this mode. ``more`` are lines of its settings."""
    server: dict[str, Any] = dict(conninfo_to_dict(url))
    port = free_port()
    # It refuses to be run by root.
    user: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="zimwatch-pgbouncer-") as name:
        folder = Path(name)
        settings, log = folder / "pgbouncer.ini", folder / "log"
        settings.write_text(
            _SETTINGS.format(
                host=server["host"], server=server["port"], user=server["user"], port=port, mode=mode,
                more="\n".join(more),
            )
        )  # fmt: skip
        if user:
            shutil.chown(folder, "postgres", "postgres")
        with log.open("wb") as output:
            process = subprocess.Popen(["pgbouncer", settings], stdout=output, stderr=output, cwd=folder, **user)
        try:
            _await(port, process, log)
            yield f"postgresql://{server['user']}@127.0.0.1:{port}/{server['dbname']}"
        finally:
            process.send_signal(signal.SIGTERM)  # at once
            process.wait(START_TIMEOUT_S)


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(POLL_S)
    raise RuntimeError(f"pgbouncer did not start: {log.read_text()}")
