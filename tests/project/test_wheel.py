"""The wheel, built from the source distribution and installed in an environment without this tree.

The dependencies are those of the environment of the tests: a path in the new one, so that nothing is downloaded.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from sidecar.version import VERSION, build

ROOT = Path(__file__).parents[2]
PACKAGES = ("dashboard", "schemas", "sidecar")
COMMIT = "0123456789ab"
STAMP = f"{VERSION}+{COMMIT}"
WITHIN_S = 60


def other_pythons() -> list[Path]:
    """Those that the package is for beside this one, on the PATH or in pyenv's folder."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = []
    for minor in range(11, 15):
        name = f"python3.{minor}"
        on_path = shutil.which(name)  # with pyenv a script, which runs the version that is chosen
        paths = [*pyenv.glob(f"3.{minor}.*/bin/{name}"), *([Path(on_path)] if on_path else [])]
        if minor != sys.version_info.minor:
            found += paths[:1]
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source distribution, and the wheel made of it with a commit."""
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", folder, folder=ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as packed:
        packed.extractall(folder, filter="data")
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    (unpacked / "sidecar/commit.txt").write_text(f"{COMMIT}\n")
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    run(sys.executable, "-m", "pip", "wheel", *options, unpacked, folder=folder)
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands of an environment that has the wheel."""
    environment = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", environment, folder=environment)
    commands = environment / "bin"
    options = ("--quiet", "--no-deps", "--no-index", "--no-compile")
    run(sys.executable, "-m", "pip", "--python", commands / "python", "install", *options, built[1], folder=environment)
    (packages,) = environment.glob("lib/python*/site-packages")
    # The path of an editable install, in a .pth file there, is not followed from here.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return commands


def run(*command: str | Path, folder: Path) -> str:
    """The output of a command, without settings of Zimwatch in its environment."""
    done = subprocess.run(command, cwd=folder, env=plain(), capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def plain() -> dict[str, str]:
    return {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("ZIMWATCH_", "OTEL_", "PYTHONPATH", "VIRTUAL_ENV"))
    }


def files_of_the_tree() -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and not {"node_modules", "__pycache__"} & set(path.parts)
    }


def test_the_wheel_has_every_file_of_the_packages_and_nothing_else(built: tuple[Path, Path]) -> None:
    sdist, wheel = built
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == files_of_the_tree() | {"sidecar/commit.txt"}
    with tarfile.open(sdist) as packed:
        inside = {name.partition("/")[2] for name in packed.getnames()}
    assert files_of_the_tree() <= inside
    assert {"LICENSE", "README.md", "CHANGELOG.md", "docs/settings.md"} <= inside
    assert {name.partition("/")[0] for name in inside if "/" in name} == {*PACKAGES, "docs"}


def test_what_is_installed_knows_its_version_and_checks_settings(installed: Path, tmp_path: Path) -> None:
    assert f"zimwatch {STAMP}\n" == run(installed / "zimwatch", "--version", folder=tmp_path)
    assert "server.port = 8790  # default" in run(installed / "zimwatch", "check-config", folder=tmp_path)
    where = run(installed / "python", "-c", "import sidecar, sys; print(sidecar.__path__[0])", folder=tmp_path)
    assert installed.parent in Path(where.strip()).parents


def test_a_source_tree_has_no_commit() -> None:
    assert build() == VERSION


async def test_the_installed_demo_answers_pages_files_and_the_tap(installed: Path, tmp_path: Path) -> None:
    await check_demo(installed, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("python", other_pythons() or [Path(sys.executable)], ids=lambda path: path.name)
async def test_the_wheel_and_its_lock_run_on_each_python_that_is_here(
    python: Path, built: tuple[Path, Path], tmp_path: Path
) -> None:
    commands = tmp_path / "environment/bin"
    run(python, "-m", "venv", commands.parent, folder=tmp_path)
    pip = (commands / "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "--require-hashes", "-r", ROOT / "requirements/run.txt", folder=tmp_path)
    run(*pip, "--no-deps", "--no-index", built[1], folder=tmp_path)
    assert run(commands / "zimwatch", "--version", folder=tmp_path) == f"zimwatch {STAMP}\n"
    assert "server.port = 8790  # default" in run(commands / "zimwatch", "check-config", folder=tmp_path)
    await check_demo(commands, tmp_path)


async def check_demo(installed: Path, folder: Path) -> None:
    async with demo(installed, folder) as address, aiohttp.ClientSession(address) as session:

        async def text(path: str, language: str = "en") -> str:
            async with session.get(path, headers={"Accept-Language": language}) as answer:
                assert answer.status == 200, path
                return await answer.text()

        page = await text("/users")
        assert "alice" in page
        assert f"Zimwatch {STAMP}" in page
        assert STAMP in await text("/readyz")
        assert 'lang="zh-' in await text("/users", language="zh-CN")
        files = set(re.findall(r"""(?:src|href)="(/static/[^"]+)""", page))
        assert {name.rpartition(".")[2] for name in files} >= {"css", "js"}
        for name in files:
            assert await text(name)
        assert "ZimTap" in await text("/tap/zim-tap.js")
        assert "openapi" in await text("/openapi.json")


@contextlib.asynccontextmanager
async def demo(installed: Path, folder: Path) -> AsyncIterator[str]:
    """The address of an installed demo; it ends with 0 at SIGTERM."""
    process = await asyncio.create_subprocess_exec(
        *(installed / "zimwatch", "demo", "--port", "0", "--users", "10", "--no-sdk"),
        cwd=folder,
        env=plain() | {"HOME": str(folder), "TMPDIR": str(folder)},
        stdout=PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            found = re.search(r"http://127\.0\.0\.1:\d+", (await process.stdout.readline()).decode())
        assert found
        yield found[0]
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WITHIN_S):
            await process.communicate()
    assert process.returncode == 0
