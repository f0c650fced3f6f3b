"""Finds the real SDK on this machine, and installs it from its npm lock file into a cache folder."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import shutil
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

from sidecar.errors import ZimwatchError
from sidecar.sdk.client.child import child

NODE_MAJOR: Final = 20
INSTALL_S: Final = 180
SCRIPTS: Final = Path(str(resources.files("sidecar.sdk"))) / "node"
_LOCKED: Final = ("package.json", "package-lock.json")
_MODULES: Final = "node_modules"


class SdkUnavailableError(ZimwatchError):
    """The real SDK cannot run here; the text says why and what to do."""


class Installed(msgspec.Struct, frozen=True):
    """An installed SDK: the program ``node`` and the folder of npm packages."""

    node: str
    modules: Path

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment of the child: ``environ`` and the path of the packages."""
        return {**environ, "NODE_PATH": str(self.modules)}


def folder(environ: Mapping[str, str]) -> Path:
    """The folder for the packages of this version's lock file, under ``$XDG_CACHE_HOME/zimwatch/sdk``."""
    home = environ.get("XDG_CACHE_HOME")
    digest = hashlib.sha256((SCRIPTS / "package-lock.json").read_bytes()).hexdigest()[:16]
    return (Path(home) if home else Path.home() / ".cache") / "zimwatch" / "sdk" / digest


async def find(environ: Mapping[str, str]) -> Installed:
    """The result of an earlier :func:`install` (or of ``npm ci`` in the source tree), else SdkUnavailableError."""
    node = await _node(environ)
    for modules in (folder(environ) / _MODULES, SCRIPTS / _MODULES):
        if modules.is_dir():
            return Installed(node, modules)
    raise SdkUnavailableError("the ZIM Web SDK is not installed; run `zimwatch sdk install`")


async def install(environ: Mapping[str, str]) -> Installed:
    """Fetches the locked packages if they are missing. The folder gets its final name once it is complete."""
    node = await _node(environ)
    npm = shutil.which("npm", path=environ.get("PATH"))
    if npm is None:
        raise SdkUnavailableError("npm is not installed; it comes with Node.js")
    ready = folder(environ)
    if not (ready / _MODULES).is_dir():
        try:
            await _fetch(npm, ready, environ)
        except OSError as error:
            raise SdkUnavailableError(f"its packages cannot be installed in {ready.parent}: {error}") from None
    return Installed(node, ready / _MODULES)


async def _fetch(npm: str, ready: Path, environ: Mapping[str, str]) -> None:
    ready.parent.mkdir(parents=True, exist_ok=True)
    begun = Path(tempfile.mkdtemp(prefix="installing-", dir=ready.parent))
    try:
        for name in _LOCKED:
            shutil.copyfile(SCRIPTS / name, begun / name)
        command = [npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]
        async with child(command, environ, begun) as process:
            try:
                async with asyncio.timeout(INSTALL_S):
                    _, errors = await process.communicate()
            except TimeoutError:
                raise SdkUnavailableError(f"`npm ci` took more than {INSTALL_S} s") from None
        if process.returncode != 0:
            why = errors.decode(errors="replace").strip().splitlines()
            raise SdkUnavailableError("`npm ci` could not fetch its packages" + (f" ({why[0]})" if why else ""))
        _publish(begun, ready)
    finally:
        shutil.rmtree(begun, ignore_errors=True)


def _publish(begun: Path, ready: Path) -> None:
    with contextlib.suppress(OSError):  # another process was faster; its folder is equivalent
        begun.rename(ready)


async def _node(environ: Mapping[str, str]) -> str:
    node = shutil.which("node", path=environ.get("PATH"))
    if node is None:
        raise SdkUnavailableError(f"Node.js is not installed; version {NODE_MAJOR} or newer is needed")
    async with child([node, "--version"], environ) as process:
        output, _ = await process.communicate()
    found = re.match(rb"v(\d+)\.", output)
    if found is None or int(found[1]) < NODE_MAJOR:
        version = output.decode(errors="replace").strip() or "of an unknown version"
        raise SdkUnavailableError(f"Node.js {NODE_MAJOR} or newer is needed, and {node} is {version}")
    return node
