"""``zimwatch token list``."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sidecar.cli.commands import zimwatch

NAMES = '{"7": "A chat with a long name"}'


def test_a_token_of_an_app_is_listed_with_the_apps_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> list[str]:
        done = CliRunner().invoke(
            zimwatch, ["token", *words], env={"ZIMWATCH_APPS__NAMES": NAMES}, catch_exceptions=False
        )
        assert done.exit_code == 0
        return done.stdout.splitlines()

    for more in ((), ("--app-id", "7"), ("--app-id", "8")):
        run("create", "--scope", "read", *more)
    head, *lines = run("list")
    at = slice(head.index("app"), head.index("begins"))
    assert [line[at].strip() for line in lines] == ["every", "A chat with a long name (7)", "8"]
