"""``zimwatch erase`` and ``zimwatch export``: what they refuse, and what they do to a served database and another."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from sidecar.cli.commands import zimwatch
from sidecar.clock import now_us
from sidecar.store import Store
from tests.support.events import APP_ID, Phone
from tests.support.process import DATABASE, serving
from tests.support.wire import fresh_event

APP = str(APP_ID)
COMMANDS = (("erase", "--yes"), ("export",))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOGNAME", "dana")


def run(*words: str, typed: str | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(zimwatch, words, input=typed, catch_exceptions=False)
    return done.exit_code, done.output


def sql(text: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(DATABASE)) as connection, connection:
        return connection.execute(text).fetchall()


def exported(user_id: str) -> dict[str, Any]:
    code, out = run("export", APP, user_id)
    assert code == 0
    found: dict[str, Any] = json.loads(out)
    assert (found["app_id"], found["user_id"]) == (APP_ID, user_id)
    return dict(found["data"])


def database() -> bytes:
    return Path(DATABASE).read_bytes()


async def two_users() -> None:
    store = Store.open(f"sqlite:///{DATABASE}", clock=now_us)
    for name in ("alice", "bob"):
        await store.append([Phone(name).says("CONNECTED", "SUCCESS", at=0)])
    await store.close()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("words", [(), (APP,), ("x", "alice"), ("-1", "alice"), (APP, ""), (APP, "alice", "more")])
def test_bad_input_is_a_usage_error_and_makes_no_database(command: tuple[str, ...], words: tuple[str, ...]) -> None:
    code, out = run(*command, *words)
    assert code == 2
    assert "Usage:" in out
    assert not Path(DATABASE).exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_database_nothing_is_done_and_none_is_made(command: tuple[str, ...]) -> None:
    assert run(*command, APP, "alice") == (1, f"zimwatch: There is no database {DATABASE}.\n")
    assert run(*command, APP, "alice", "--database-url", "other://x")[0] == 2
    assert not Path(DATABASE).exists()


async def test_of_an_unknown_user_nothing_is_held_which_is_no_error() -> None:
    await two_users()

    def checked() -> None:
        assert set(exported("mallory")) <= {"audit_log"}, "that it was exported, by a pseudonym"
        code, out = run("erase", APP, "mallory", "--yes")
        assert code == 0
        assert "Nothing was held." in out
        assert "mallory" not in out

    await asyncio.to_thread(checked)
    assert sql("SELECT COUNT(*) FROM user_status") == [(2,)]


async def test_a_user_is_erased_once_the_id_was_typed_again_and_both_are_recorded() -> None:
    await two_users()

    def checked() -> None:
        for typed in ("bob\n", "\n", None):
            code, out = run("erase", APP, "alice", typed=typed)
            assert code == 1
            assert "removed" not in out or "nothing was removed" in out
        assert len(exported("alice")["events"]) == 1
        code, out = run("erase", APP, "alice", typed="alice\n")
        assert code == 0
        certificate = out.partition("Erasure 1:")[2]
        assert "events: 1" in certificate
        assert "alice" not in certificate
        assert "events" not in exported("alice")
        assert len(exported("bob")["events"]) == 1

    await asyncio.to_thread(checked)
    actions = ["user.exported", "user.erased", "user.exported", "user.exported"]
    assert sql("SELECT action FROM audit_log ORDER BY id") == [(one,) for one in actions]
    assert b"alice" not in database()


async def test_a_served_database_is_exported_from_and_the_server_erases(tmp_path: Path) -> None:
    async with serving(tmp_path) as (address, _process), aiohttp.ClientSession(address) as http:
        events = [fresh_event(user_id=name, app_id=APP_ID) for name in ("alice", "bob")]
        async with http.post("/v1/events", json=events) as answer:
            assert answer.status == 200
        assert len((await asyncio.to_thread(exported, "alice"))["events"]) == 1
        code, out = await asyncio.to_thread(run, "erase", APP, "alice", "--yes")
        assert code == 0
        assert "events: 1" in out
        async with http.get(f"/v1/users/{APP}/alice") as answer:
            assert answer.status == 404
        async with http.get(f"/v1/users/{APP}/bob") as answer:
            assert answer.status == 200
        assert "events" not in await asyncio.to_thread(exported, "alice")
    assert b"alice" not in database()
