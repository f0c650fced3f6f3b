"""``zimwatch token04``: what it prints, and its exit status."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sidecar.cli.commands import zimwatch
from sidecar.clock import now_us
from sidecar.domain.token04.layout import parse
from sidecar.domain.units import SECOND_US
from tests.support.token04 import OTHER_SECRET, SECRET, content, made

APP = 1234567890


def token(life_s: int = 3_600, user_id: str = "alice", secret: str = SECRET) -> str:
    """A token from now on."""
    at_s = now_us() // SECOND_US
    return made(content(APP, user_id, at_s, at_s + life_s), secret=secret)


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _run(given: str | bytes, *words: str, **environ: str) -> Result:
    return CliRunner().invoke(zimwatch, ["token04", *words], input=given, env=environ, catch_exceptions=False)


def _with_secret(given: str | bytes, *words: str) -> Result:
    return _run(given, *words, ZIMWATCH_ZEGO__SERVER_SECRETS=f"7:{OTHER_SECRET},{APP}:{SECRET}")


def test_a_good_token_is_said_to_be_good_and_for_whom_it_is() -> None:
    given = token()
    done = _with_secret(given + "\n")
    assert done.exit_code == 0
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert (lines["version"], lines["cipher"], lines["user"]) == ("04", "AES-GCM", "alice")
    assert "made with the ServerSecret of app 1234567890" in done.stdout
    assert given not in done.output
    assert SECRET not in done.output


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text(f"{APP}:{SECRET}\n", encoding="utf-8")
    done = _run(token(), "--json", ZIMWATCH_ZEGO__SERVER_SECRETS_FILE=str(tmp_path / "secrets"))
    assert json.loads(done.stdout)["app_id"] == APP


def test_in_json_all_of_it_is_said() -> None:
    given = token()
    at_s = parse(given).expires_s - 3_600
    said = json.loads(_with_secret(given, "--json").stdout)
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
        "content": content(APP, "alice", at_s, at_s + 3_600),
    }


@pytest.mark.parametrize(
    ("make", "kind", "code"),
    [
        (lambda: token(-5), "expired", 6_000_106),
        (lambda: token(28), "too_short", 6_000_108),
        (lambda: token(25 * 86_400), "too_long", 6_000_109),
        (lambda: token(secret="f" * 32), "other_secret", 6_000_101),
        (lambda: "03" + token()[2:], "other_version", 6_000_107),
        (lambda: token()[:40], "cut_off", 6_000_103),
        (lambda: "", "empty", 6_000_103),
        (lambda: b"\xff\xfe\x00" * 50_000, "too_large", 6_000_103),
    ],
)
def test_what_is_wrong_is_said_with_the_sdks_code_and_exits_1(
    make: Callable[[], str | bytes], kind: str, code: int
) -> None:
    given = make()
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
    done = _with_secret(token(user_id="a\nproblem It is fine\x1b[2J"))
    assert done.exit_code == 0
    assert "\x1b" not in done.stdout
    assert "\nproblem" not in done.stdout


def test_without_a_secret_that_is_said_and_a_wrong_setting_exits_2() -> None:
    done = _run(token())
    assert done.exit_code == 0
    assert "zego.server_secrets" in done.stdout
    assert _run(token(), ZIMWATCH_ZEGO__SERVER_SECRETS="hunter2").exit_code == 2
