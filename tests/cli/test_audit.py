"""``zimwatch audit``, and what commands put into the audit log."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner

from sidecar.access.audit.recorder import WRITE_EVERY_S
from sidecar.cli.commands import zimwatch
from tests.support.events import APP_ID
from tests.support.process import DATABASE, serving

LOOKS = 50
ALICE = f"/users/{APP_ID}/alice"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOGNAME", "dana")


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(zimwatch, words, catch_exceptions=False)
    return done.exit_code, done.output.strip()


def sql(text: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(DATABASE)) as connection, connection:
        return connection.execute(text).fetchall()


def test_commands_are_recorded_by_the_user_of_the_system_and_the_chain_is_checked() -> None:
    run("token", "create", "--scope", "read")
    run("token", "rotate", "1")
    run("token", "revoke", "1")
    assert run("token", "revoke", "7")[0] == 1
    Path("password").write_text("correct horse battery staple 7\n", encoding="utf-8")
    run("account", "add", "erin", "--role", "admin", "--password-file", "password")
    run("db", "backup", "backup.db")
    run("db", "rebuild")
    run("db", "prune")
    assert sql("SELECT DISTINCT actor FROM audit_log") == [("command line, by dana",)]
    assert sql("SELECT action, subject, details FROM audit_log ORDER BY id") == [
        ("token.made", "token 1", '{"scope":"read"}'),
        ("token.rotated", "token 1", '{"successor":2}'),
        ("token.revoked", "token 1", None),
        ("account.changed", "account erin", '{"did":"add"}'),
        ("backup.made", None, '{"file":"backup.db"}'),
        ("database.rebuilt", None, '{"events":0}'),
        ("database.pruned", None, '{"rows":0}'),
    ]
    head = run("audit", "head")[1]
    assert head.startswith("7:")
    assert run("audit", "verify", "--head", head) == (0, f"The chain of 7 rows holds. Its head is {head}.")
    for none in ("", "7", head[2:], f"x{head}", head[:-1], "٦" + head[1:]):
        status, text = run("audit", "verify", "--head", none)
        assert (status, "a head is NUMBER:HASH" in text, "broken" in text) == (2, True, False), none
    run("db", "restore", "backup.db")
    assert sql("SELECT action FROM audit_log ORDER BY id")[4:] == [("backup.restored",)]
    assert run("audit", "verify")[0] == 0
    status, text = run("audit", "verify", "--head", head)
    assert (status, "rows are gone or replaced" in text) == (1, True), "the backup has not what came after it"


def test_a_changed_row_is_named_with_exit_status_1() -> None:
    for _ in range(3):
        run("token", "create", "--scope", "read")
    sql("UPDATE audit_log SET actor = 'mallory' WHERE id = 2")
    assert run("audit", "verify") == (1, "zimwatch: The audit log is broken. Row 2 was changed, or the row before it.")


async def test_a_killed_server_leaves_a_chain_that_holds_and_loses_its_last_second_at_most(tmp_path: Path) -> None:
    async with serving(tmp_path) as (url, process), aiohttp.ClientSession(url) as http:
        seen, enough = 0, asyncio.Event()

        async def look() -> None:
            nonlocal seen
            with contextlib.suppress(aiohttp.ClientError):
                while True:
                    async with http.get(ALICE):
                        seen += 1
                    if seen >= LOOKS:
                        enough.set()

        looking = [asyncio.create_task(look()) for _ in range(4)]
        await enough.wait()
        before = seen
        await asyncio.sleep(3 * WRITE_EVERY_S)
        process.kill()
        await process.wait()
        await asyncio.gather(*looking)
    assert (await asyncio.to_thread(run, "audit", "verify"))[0] == 0
    ((kept,),) = sql("SELECT COUNT(*) FROM audit_log WHERE action = 'user.seen'")
    assert isinstance(kept, int)
    assert before <= kept <= seen + len(looking)
    assert "alice" not in str(sql("SELECT * FROM audit_subjects")), "no event of hers is here"
