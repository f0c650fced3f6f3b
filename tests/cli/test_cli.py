"""What the command prints and how it exits, short of serving."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sidecar.cli.commands import zimwatch
from sidecar.settings import KEYS, MASK


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _run(*words: str, **environ: str) -> Result:
    return CliRunner().invoke(zimwatch, words, env=environ)


def test_check_config_prints_every_setting_and_its_source() -> None:
    done = _run("check-config", "--port", "9000", ZIMWATCH_LOGS__LEVEL="debug")
    assert done.exit_code == 0
    assert "server.port = 9000  # command line" in done.stdout
    assert 'logs.level = "debug"  # ZIMWATCH_LOGS__LEVEL' in done.stdout
    for key in KEYS:
        assert f"{key} = " in done.stdout


def test_check_config_exits_2_and_names_each_wrong_or_unknown_key(tmp_path: Path) -> None:
    (tmp_path / "zimwatch.toml").write_text('[server]\nport = "x"\ncolour = "red"\n', encoding="utf-8")
    done = _run("check-config", ZIMWATCH_NO__SUCH="1")
    assert done.exit_code == 2
    assert done.stdout == ""
    for key in ("server.port", "server.colour", "ZIMWATCH_NO__SUCH"):
        assert key in done.stderr
    assert "Traceback" not in done.stderr


def test_check_config_masks_what_is_secret(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("sqlite:///private.db", encoding="utf-8")
    done = _run(
        "check-config",
        ZIMWATCH_DATABASE__URL_FILE=str(tmp_path / "url"),
        OTEL_EXPORTER_OTLP_HEADERS="api-key=hunter2",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://bob:hunter2@collector:4318",
    )
    assert done.exit_code == 0
    assert "hunter2" not in done.stdout
    assert "private" not in done.stdout
    assert MASK in done.stdout
    assert "collector:4318" in done.stdout


def test_serving_with_a_wrong_setting_exits_2_before_anything_is_created(tmp_path: Path) -> None:
    done = _run("serve", "--port", "70000")
    assert done.exit_code == 2
    assert "server.port" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_token_is_shown_once_then_listed_without_its_secret_then_revoked() -> None:
    secret = _run("token", "create", "--scope", "ingest", "--app-id", "7", "--expires", "90d").stdout.strip()
    assert len(secret) > 40
    listed = _run("token", "list").stdout
    assert secret not in listed
    assert "ingest" in listed
    assert "good" in listed
    assert _run("token", "revoke", "1").exit_code == 0
    assert "revoked" in _run("token", "list").stdout


def test_revoking_an_unknown_token_is_an_error_and_exits_1() -> None:
    done = _run("token", "revoke", "9")
    assert done.exit_code == 1
    assert "no token 9" in done.stderr


@pytest.mark.parametrize(
    "words", [("--scope", "admin"), ("--scope", "read", "--expires", "soon"), ("--scope", "read", "--app-id", "-1")]
)
def test_a_token_of_an_unknown_kind_is_refused(words: tuple[str, ...]) -> None:
    assert _run("token", "create", *words).exit_code == 2


def test_a_database_is_created_checked_copied_and_rebuilt(tmp_path: Path) -> None:
    assert _run("db", "upgrade").exit_code == 0
    assert "intact" in _run("db", "check").stdout
    assert _run("db", "backup", "copy.db").exit_code == 0
    assert (tmp_path / "copy.db").stat().st_size > 0
    assert "0 events" in _run("db", "rebuild").stdout


def test_what_the_store_logs_is_not_in_the_output_of_a_command(tmp_path: Path) -> None:
    _run("db", "upgrade")
    (tmp_path / "zimwatch.db").chmod(0o644)
    done = _run("db", "rebuild")
    assert done.stdout.splitlines() == ["Rebuilt from 0 events."]
    assert "others can read" in done.stderr


@pytest.mark.parametrize("words", [("check",), ("backup", "copy.db"), ("rebuild",)])
def test_a_missing_database_is_not_created_by_a_check(words: tuple[str, ...], tmp_path: Path) -> None:
    done = _run("db", *words)
    assert done.exit_code == 1
    assert "no database" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    other = tmp_path / "holiday.jpg"
    other.write_bytes(b"\xff\xd8 a picture")
    done = _run("db", "upgrade", "--database-url", f"sqlite:///{other}")
    assert done.exit_code == 1
    assert "Traceback" not in done.output
    assert other.read_bytes() == b"\xff\xd8 a picture"
