"""``zimwatch account``: what it prints, what it refuses, and how it takes a password."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sidecar.access.passwords import strong_hasher
from sidecar.cli.commands import zimwatch
from sidecar.store.access import accounts
from tests.support.stores import opened

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(zimwatch, ["account", *arguments], input=given)


def rows() -> list[list[str]]:
    return [line.split() for line in run("list").output.splitlines()[1:]]


def test_accounts_are_added_listed_changed_and_disabled(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{PASSWORD}\nand a line that is none\n")
    added = run("add", "Root", "--role", "admin", "--password-file", "password")
    assert (added.exit_code, added.output) == (0, "The account root can sign in, with the role admin.\n")
    dana = ("add", "dana", "--role", "viewer", "--app-id", "9", "--app-id", "7", "--password-file", "-")
    assert run(*dana, given=PASSWORD).exit_code == 0
    assert [row[:4] for row in rows()] == [["dana", "viewer", "7,", "9"], ["root", "admin", "every", "never"]]
    assert run("role", "DANA", "operator").exit_code == 0
    disabled = "The account dana is disabled, and signed out everywhere. Tokens revoked: 0.\n"
    assert run("disable", "dana").output == disabled
    assert [(row[1], row[-1]) for row in rows()] == [("operator", "disabled"), ("admin", "good")]
    assert run("enable", "dana").exit_code == 0
    assert run("password", "dana", "--password-file", "-", given="a wholly new one").exit_code == 0
    assert run("totp-off", "dana").exit_code == 0


def test_what_cannot_be_is_refused_in_a_sentence() -> None:
    add = ("add", "root", "--role", "admin", "--password-file", "-")
    assert run(*add, given=PASSWORD).exit_code == 0
    for arguments, given, sentence in (
        (add, PASSWORD, "there is an account root already"),
        (("add", "a b", "--role", "viewer", "--password-file", "-"), PASSWORD, "a name has 1 to 64 letters"),
        (("add", "erin", "--role", "viewer", "--password-file", "-"), "short", "at least 12 characters"),
        (("add", "erin", "--role", "viewer", "--password-file", "none"), None, "cannot be read from none"),
        (("add", "erin", "--role", "viewer"), PASSWORD, "on a terminal, or by --password-file"),
        (("disable", "root"), None, "the last administrator"),
        (("role", "root", "viewer"), None, "the last administrator"),
        (("role", "root", "admin", "--app-id", "7"), None, "the last administrator"),
        (("disable", "nobody"), None, "there is no account nobody"),
    ):
        done = run(*arguments, given=given)
        assert done.exit_code == 1, arguments
        assert sentence in done.output, done.output
        assert "Traceback" not in done.output
    assert run("disable", "root", "--force").exit_code == 0


def test_a_number_that_no_app_or_token_can_have_is_named_by_each_command() -> None:
    late = str(2**63)
    for arguments in (
        ("account", "role", "root", "admin", "--app-id", late),
        ("token", "create", "--scope", "read", "--app-id", late),
        ("token", "rotate", late),
        ("token", "revoke", late),
        ("erase", late, "alice"),
        ("export", late, "alice"),
    ):
        done = CliRunner().invoke(zimwatch, [*arguments])
        assert (done.exit_code, f"{late} is not in the range" in done.output) == (2, True), done.output


async def test_on_a_terminal_the_password_is_typed_twice_and_not_shown(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(  # noqa: ASYNC220 - nothing else waits
        [sys.executable, "-m", "sidecar", "account", "add", "dana", "--role", "support"],
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    for asked in (b"Password:", b"Repeat"):
        while asked not in shown:
            shown += os.read(ours, 1_000)
        os.write(ours, f"{PASSWORD}\n".encode())
    assert process.wait(60) == 0
    os.close(ours)
    assert PASSWORD.encode() not in shown
    store = opened(tmp_path)
    found = await store.read(accounts.with_hash, "dana")
    await store.close()
    assert found is not None
    assert found[1] is not None
    assert strong_hasher().verify(found[1], PASSWORD)
