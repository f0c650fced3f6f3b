"""Upgrades in processes that are killed before one of their statements.

``python -m tests.support.cut_off PATH NUMBER …``: a process for each database, killed before the statement of that
number, counted from 1.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import alembic.command  # noqa: F401 - once, and not in each child
import sqlalchemy as sa

from sidecar.store.sqlite import connections

ROOT = Path(__file__).parents[2]


def upgrade(path: Path, *, killed_before: int | None = None) -> list[str]:
    """The statements of the upgrade."""
    statements: list[str] = []
    engine = connections.connect(path, writes=True)

    @sa.event.listens_for(engine, "before_cursor_execute")
    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)
        if len(statements) == killed_before:
            os.kill(os.getpid(), signal.SIGKILL)

    connections.migrate(engine, path)
    engine.dispose()
    return statements


def upgrade_and_kill(cuts: Sequence[tuple[Path, int]]) -> None:
    """Upgrades each database, and kills its process before the statement of that number."""
    words = [str(word) for cut in cuts for word in cut]
    subprocess.run([sys.executable, "-m", "tests.support.cut_off", *words], cwd=ROOT, check=True)


def main() -> None:
    """See the module. Its own process has one thread, and may fork."""
    for path, number in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        child = os.fork()
        if child == 0:
            upgrade(Path(path), killed_before=int(number))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(f"{path} was upgraded before statement {number}")


if __name__ == "__main__":
    main()
