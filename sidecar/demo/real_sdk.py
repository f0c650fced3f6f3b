"""One client that is not simulated: the real Web SDK in Node.js, with the Web tap on it.

The SDK's packages are installed from their lock into the user's cache, once. Whatever goes wrong is told in one
sentence, and the demo goes on without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Final

from sidecar.errors import ZimwatchError

INSTALL_S: Final = 180
TOKEN_S: Final = 60
_ENDS_S: Final = 2.0
_LOCKED: Final = ("package.json", "package-lock.json")


class RealSdkUnavailableError(ZimwatchError):
    """The real SDK cannot run here; its text says why."""


async def live(endpoint: str, *, app_id: int, user_id: str, environ: Mapping[str, str]) -> None:
    """Runs the real SDK until cancelled. RealSdkUnavailableError where it cannot be run or ends by itself."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise RealSdkUnavailableError("Node.js with npm is not installed")
    with resources.as_file(resources.files("sidecar.sdk")) as sdk:
        try:
            modules = await _installed(npm, sdk / "node", cache_folder(environ), environ)
        except OSError as error:
            raise RealSdkUnavailableError(f"its packages cannot be installed ({error})") from None
        told = ["--endpoint", endpoint, "--app-id", str(app_id), "--user-id", user_id, "--token-seconds", str(TOKEN_S)]
        command = [node, str(sdk / "node" / "demo-user.cjs"), *told]
        async with _child(command, {**environ, "NODE_PATH": str(modules)}) as process:
            _, said = await process.communicate()
        errors = [line for line in said.decode(errors="replace").splitlines() if "Error" in line]
        why = errors[0] if errors else f"exit status {process.returncode}"
        raise RealSdkUnavailableError(f"the SDK's process ended ({why})")


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where the SDK's packages are kept between runs: ``$XDG_CACHE_HOME/zimwatch/sdk``."""
    home = environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "zimwatch" / "sdk"


async def _installed(npm: str, source: Path, cache: Path, environ: Mapping[str, str]) -> Path:
    """The folder ``node_modules`` of the locked packages. A half-finished one never bears the final name."""
    digest = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()[:16]
    ready = cache / digest
    if (ready / "node_modules").is_dir():
        return ready / "node_modules"
    folder = _begun(source, cache)
    try:
        command = [npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
        async with _child(command, environ, folder) as process:
            try:
                async with asyncio.timeout(INSTALL_S):
                    await process.communicate()
            except TimeoutError:
                raise RealSdkUnavailableError(f"`npm ci` took more than {INSTALL_S} s") from None
        if process.returncode != 0:
            raise RealSdkUnavailableError("`npm ci` could not fetch its packages")
        with contextlib.suppress(OSError):  # another demo was faster, and its folder is as good
            folder.rename(ready)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return ready / "node_modules"


def _begun(source: Path, cache: Path) -> Path:
    cache.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="installing-", dir=cache))
    for name in _LOCKED:
        shutil.copyfile(source / name, folder / name)
    return folder


@contextlib.asynccontextmanager
async def _child(
    command: list[str], environ: Mapping[str, str], folder: Path | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process in a group of its own, which is gone, with all that it started, when the context ends."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=dict(environ),
        cwd=folder,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), _ENDS_S)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
