"""``zimwatch token04``: what it prints, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sidecar.cli import main
from sidecar.clock import now_us
from sidecar.domain.units import SECOND_US
from tests.support.token04 import OTHER_SECRET, SECRET, content, made

APP = 1234567890
NOW_S = now_us() // SECOND_US
GOOD = made(content(APP, "alice", NOW_S, NOW_S + 3_600))


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _run(given: str | bytes, *words: str, **environ: str) -> Result:
    return CliRunner().invoke(main, ["token04", *words], input=given, env=environ, catch_exceptions=False)


def _with_secret(given: str | bytes, *words: str) -> Result:
    return _run(given, *words, ZIMWATCH_ZEGO__SERVER_SECRETS=f"7:{OTHER_SECRET},{APP}:{SECRET}")


def test_a_good_token_is_said_to_be_good_and_for_whom_it_is() -> None:
    done = _with_secret(GOOD + "\n")
    assert done.exit_code == 0
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert (lines["version"], lines["cipher"], lines["user"]) == ("04", "AES-GCM", "alice")
    assert "made with the ServerSecret of app 1234567890" in done.stdout
    assert GOOD not in done.output
    assert SECRET not in done.output


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text(f"{APP}:{SECRET}\n", encoding="utf-8")
    done = _run(GOOD, "--json", ZIMWATCH_ZEGO__SERVER_SECRETS_FILE=str(tmp_path / "secrets"))
    assert json.loads(done.stdout)["app_id"] == APP


def test_in_json_all_of_it_is_said() -> None:
    said = json.loads(_with_secret(GOOD, "--json").stdout)
    assert 3_500 < said.pop("expires_in_s") <= 3_600
    assert said.pop("expires_at").endswith(".000Z")
    assert said == {
        "good": True,
        "version": "04",
        "cipher": "AES-GCM",
        "problems": [],
        "notes": [],
        "tried_app_ids": [7, APP],
        "app_id": APP,
        "content": content(APP, "alice", NOW_S, NOW_S + 3_600),
    }


@pytest.mark.parametrize(
    ("given", "kind", "code"),
    [
        (made(content(APP, "alice", NOW_S, NOW_S - 5)), "expired", 6_000_106),
        (made(content(APP, "alice", NOW_S, NOW_S + 20)), "too_short", 6_000_108),
        (made(content(APP, "alice", NOW_S, NOW_S + 25 * 86_400)), "too_long", 6_000_109),
        (made(content(APP, "alice", NOW_S, NOW_S + 60), secret="f" * 32), "other_secret", 6_000_101),
        ("03" + GOOD[2:], "other_version", 6_000_107),
        (GOOD[:40], "cut_off", 6_000_103),
        ("", "empty", 6_000_103),
        (b"\xff\xfe\x00" * 50_000, "too_large", 6_000_103),
    ],
)
def test_what_is_wrong_is_said_with_the_sdks_code_and_exits_1(given: str | bytes, kind: str, code: int) -> None:
    done = _with_secret(given, "--json")
    assert done.exit_code == 1
    said = json.loads(done.stdout)
    assert said["good"] is False
    assert (said["problems"][0]["kind"], said["problems"][0]["code"]) == (kind, code)
    plain = _with_secret(given)
    assert plain.exit_code == 1
    assert f"problem   {code}: " in plain.stdout
    assert said["problems"][0]["advice"] in plain.stdout


def test_a_user_id_of_many_lines_is_one_line() -> None:
    done = _with_secret(made(content(APP, "a\nproblem It is fine\x1b[2J", NOW_S, NOW_S + 60)))
    assert done.exit_code == 0
    assert "\x1b" not in done.stdout
    assert "\nproblem" not in done.stdout


def test_without_a_secret_that_is_said_and_a_wrong_setting_exits_2() -> None:
    done = _run(GOOD)
    assert done.exit_code == 0
    assert "zego.server_secrets" in done.stdout
    assert _run(GOOD, ZIMWATCH_ZEGO__SERVER_SECRETS="hunter2").exit_code == 2
