"""What each command imports before it does anything, by the modules of a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sidecar.cli import overview
from sidecar.cli.commands import command, zimwatch

LARGE = {"aiohttp", "alembic", "cryptography", "jinja2", "opentelemetry", "sqlalchemy", "structlog", "yarl"}
# What only some settings need: the alert rules with all that they follow from, receivers, zones, templates, PEM.
OF_SOME_SETTINGS = ("sidecar.alerting", "sidecar.domain.alerts.", "sidecar.store", "sidecar.web", "zoneinfo")
OF_EACH_START = {"sidecar.domain.alerts.hours", "sidecar.domain.alerts.labels"}
# Modules of a bare Python, and of one command more; some more than they are on any Python.
OF_PYTHON_AND_THE_TEXT = 50
OF_CLICK_AND_THE_SETTINGS = 220
PRINT_MODULES = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))"


def modules_of(folder: Path, *words: str) -> set[str]:
    code = f"{PRINT_MODULES}; from sidecar.cli import main; sys.argv[1:] = {list(words)}; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, input="", capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("word", ["--help", "-h", "--version"])
def test_help_and_version_import_next_to_nothing(word: str, tmp_path: Path) -> None:
    modules = modules_of(tmp_path, word)
    assert modules & {*LARGE, "click", "msgspec", "typing"} == set()
    assert len(modules) < OF_PYTHON_AND_THE_TEXT


@pytest.mark.parametrize("words", [["check-config"], ["token04", "--json"], ["token04", "--help"]])
def test_what_needs_the_settings_alone_imports_nothing_large(words: list[str], tmp_path: Path) -> None:
    modules = modules_of(tmp_path, *words)
    assert modules & LARGE == set()
    assert {one for one in modules if one.startswith(OF_SOME_SETTINGS)} == OF_EACH_START
    assert len(modules) < OF_CLICK_AND_THE_SETTINGS


def test_check_config_imports_the_check_of_what_is_set(tmp_path: Path) -> None:
    (tmp_path / "zimwatch.toml").write_text(
        '[[alerts.receivers]]\nname = "a"\ntype = "webhook"\nurl = "http://127.0.0.1"\n'
    )
    assert "sidecar.alerting.receivers.webhook" in modules_of(tmp_path, "check-config")


def test_the_overview_has_each_commands_own_first_sentence() -> None:
    for lines in overview.GROUPS.values():
        for name, line in lines.items():
            assert command(name).get_short_help_str(limit=200).rstrip(".") == line.rstrip("."), name
            assert len(f"  {name:<13} {line}") <= 120


def test_no_command_is_left_out_of_the_overview() -> None:
    parts = {"__init__", "audited", "commands", "db_copy", "opened", "options", "overview"}
    files = {path.stem for path in Path(overview.__file__).parent.glob("*.py")} - parts
    assert {name.replace("-", "_") for name in overview.COMMANDS} == files


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_given_the_commands_and_options_that_fit(shell: str) -> None:
    script = CliRunner().invoke(zimwatch, ["completion", shell]).stdout
    assert f"_ZIMWATCH_COMPLETE={shell}_complete" in script
    environ = {
        "_ZIMWATCH_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "zimwatch db b",
        "COMP_CWORD": "b" if shell == "fish" else "2",
    }
    code = "from sidecar.cli import main; import sys; sys.argv[0] = 'zimwatch'; main()"
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert "backup" in done.stdout
    assert "restore" not in done.stdout


def test_bash_completes_a_command() -> None:
    # What bash itself does at a tab: the words so far, and then the function of the script.
    script = CliRunner().invoke(zimwatch, ["completion", "bash"]).stdout
    program = f"PATH={Path(sys.executable).parent}:$PATH\n{script}\n"  # where the command is installed
    program += (
        'COMP_WORDS=(zimwatch che); COMP_CWORD=1; _zimwatch_completion zimwatch; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["check-config"]
