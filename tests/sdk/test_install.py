"""The installation of the real SDK, and the errors where something is missing."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from sidecar.cli.commands import zimwatch
from sidecar.sdk.client.install import (
    SdkUnavailableError,
    find,
    folder,
    install,
)


def _program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A machine with nothing but what a test puts into ``bin``."""
    (tmp_path / "bin").mkdir()
    for name in ("sh", "mkdir", "cat", "touch"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    return {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache")}


async def test_a_missing_node_is_named_with_the_version_needed(environ: dict[str, str]) -> None:
    with pytest.raises(SdkUnavailableError, match=r"Node\.js is not installed; version 20 or newer"):
        await install(environ)


async def test_an_old_node_is_named_with_its_version(environ: dict[str, str], tmp_path: Path) -> None:
    _program(tmp_path / "bin/node", "echo v18.19.0")
    with pytest.raises(SdkUnavailableError, match=r"bin/node is v18\.19\.0"):
        await find(environ)


async def test_a_missing_npm_is_named(environ: dict[str, str], tmp_path: Path) -> None:
    _program(tmp_path / "bin/node", "echo v20.1.0")
    with pytest.raises(SdkUnavailableError, match="npm is not installed"):
        await install(environ)


async def test_a_failed_fetch_leaves_nothing_and_reports_npms_reason(environ: dict[str, str], tmp_path: Path) -> None:
    _program(tmp_path / "bin/node", "echo v20.1.0")
    _program(tmp_path / "bin/npm", "mkdir node_modules; echo 'npm error 404 not there' >&2; exit 1")
    with pytest.raises(SdkUnavailableError, match="404 not there"):
        await install(environ)
    assert list((tmp_path / "cache/zimwatch/sdk").iterdir()) == []


async def test_the_locked_packages_are_fetched_once_into_their_own_folder(
    environ: dict[str, str], tmp_path: Path
) -> None:
    _program(tmp_path / "bin/node", "echo v22.1.0")
    _program(
        tmp_path / "bin/npm",
        f'cat package-lock.json >> {tmp_path}/seen; echo "$@" >> {tmp_path}/words; mkdir node_modules',
    )
    first = await install(environ)
    assert first == await install(environ) == await find(environ)
    assert first.modules == folder(environ) / "node_modules"
    words = (tmp_path / "words").read_text()
    assert words.splitlines() == ["ci --omit=dev --ignore-scripts --no-audit --no-fund"]


def test_the_command_prints_the_folder_and_exits_1_on_failure(environ: dict[str, str], tmp_path: Path) -> None:
    done = CliRunner().invoke(zimwatch, ["sdk", "install"], env=environ)
    assert done.exit_code == 1
    assert "zimwatch: Node.js is not installed" in done.stderr
    _program(tmp_path / "bin/node", "echo v22.1.0")
    _program(tmp_path / "bin/npm", "mkdir node_modules")
    done = CliRunner().invoke(zimwatch, ["sdk", "install"], env=environ)
    assert str(folder(environ)) in done.stdout
    done = CliRunner().invoke(zimwatch, ["sdk", "path"], env=environ)
    assert done.stdout.strip() == str(folder(environ) / "node_modules")


async def test_a_missing_sdk_is_reported_with_the_command_that_installs_it(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.sdk.client.install.SCRIPTS", tmp_path)
    shutil.copyfile(Path(__file__).parents[2] / "sidecar/sdk/node/package-lock.json", tmp_path / "package-lock.json")
    _program(tmp_path / "bin/node", "echo v22.1.0")
    with pytest.raises(SdkUnavailableError, match="zimwatch sdk install"):
        await find(environ)
    assert os.environ["PATH"] != environ["PATH"]
