"""``zimwatch db copy``: from a file to PostgreSQL and back, with real servers, and what it says and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sidecar.cli.commands import zimwatch
from tests.support.moving import move_and_back


@pytest.mark.soak
@pytest.mark.postgres
async def test_a_database_moves_to_postgresql_while_events_come_in_and_back(tmp_path: Path) -> None:
    await move_and_back(tmp_path, events=2_000, users=100)


def test_what_was_copied_is_counted_and_a_moved_file_is_reopened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = (f"sqlite:///{tmp_path / name}" for name in ("first.db", "second.db"))

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(zimwatch, words)
        return done.exit_code, done.output

    assert run("db", "copy", first, second) == (1, f"zimwatch: there is no database {tmp_path / 'first.db'}\n")
    assert not list(tmp_path.iterdir())
    assert run("db", "upgrade", "--database-url", first)[0] == 0
    code, output = run("db", "copy", first, second)
    assert code == 0
    assert "keys                            4 rows" in output
    assert "rows are the same in both" in output
    code, output = run("token", "list", "--database-url", first)
    assert (code, "was moved to" in output) == (1, True)
    assert run("db", "reopen", first) == (0, f"{tmp_path / 'first.db'} may be served again.\n")
    assert run("db", "reopen", first) == (0, f"{tmp_path / 'first.db'} may be served: it was not moved.\n")
    assert run("token", "list", "--database-url", first)[0] == 0
    assert run("db", "reopen", f"sqlite:///{tmp_path / 'none.db'}")[0] == 1


def test_no_password_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    url = "postgresql://zimwatch:hunter2@127.0.0.1:1/zimwatch?connect_timeout=1"
    for words in (("copy", url, "sqlite:///there.db"), ("copy", "sqlite:///here.db", url), ("reopen", url)):
        done = CliRunner().invoke(zimwatch, ("db", *words))
        assert done.exit_code == 1
        assert "hunter2" not in done.output
        assert "Traceback" not in done.output
