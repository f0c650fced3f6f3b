"""The image as ``docker/build`` makes it, and containers of it by bubblewrap: read-only, without rights."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp

ROOT: Final = Path(__file__).parents[2]
BUILT: Final = ROOT / ".build/image"
# Another user than the one that the image names.
USER_ID: Final = 20001
START_TIMEOUT_S: Final = 60
STOP_TIMEOUT_S: Final = 15
POLL_S: Final = 0.1


def build(folder: Path = BUILT) -> str:
    """Builds the image, on the base of an earlier call, and returns its digest. CalledProcessError with its output."""
    subprocess.run([ROOT / "docker/build", folder], check=True)
    return (folder / "digest").read_text().strip()


def build_once(run: Path) -> str:
    """As :func:`build`, by the first process of a test run that asks for it; ``run`` is a folder that they share."""
    built = run / "image.digest"
    with (run / "image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            built.write_text(build())
    return built.read_text()


class Image(NamedTuple):
    """The files of an image, and what it says of its containers."""

    files: Path
    config: dict[str, Any]
    compressed_bytes: int


@contextlib.contextmanager
def unpacked(folder: Path) -> Iterator[Image]:
    """The image that was built, with its layers unpacked in ``folder`` until the end."""
    folder.chmod(0o755)
    manifest = json.loads((BUILT / "image/manifest.json").read_bytes())
    config = json.loads(_blob(manifest["config"]).read_bytes())["config"]
    try:
        for layer in manifest["layers"]:
            subprocess.run(["tar", "--extract", "--file", _blob(layer), "--directory", folder], check=True)
        yield Image(folder, config, sum(layer["size"] for layer in manifest["layers"]))
    finally:
        shutil.rmtree(folder)


def _blob(described: Mapping[str, Any]) -> Path:
    return BUILT / "image" / str(described["digest"]).removeprefix("sha256:")


class Container(NamedTuple):
    """A started container: its first process, as this machine sees it."""

    image: Image
    pid: int
    environ: Mapping[str, str]
    process: Process

    async def run(self, *command: str) -> int:
        """The exit status of a command in the container, as its user."""
        process = await asyncio.create_subprocess_exec(*entering(self.image, self.pid, *command), env=self.environ)
        return await asyncio.wait_for(process.wait(), START_TIMEOUT_S)

    async def is_healthy(self) -> bool:
        """Whether the health check of the image passes."""
        how, *command = self.image.config["Healthcheck"]["Test"]
        assert how == "CMD"
        return await self.run(*command) == 0

    async def end(self, by: signal.Signals) -> int:
        """Sends a signal to the first process, and returns the exit status."""
        os.kill(self.pid, by)
        return await asyncio.wait_for(self.process.wait(), STOP_TIMEOUT_S)


_AS_USER: Final = (
    *("setpriv", f"--reuid={USER_ID}", f"--regid={USER_ID}", "--clear-groups"),
    *("--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--"),
)


def entering(image: Image, pid: int, *command: str) -> list[str | Path]:
    """What runs a command in the container whose first process is ``pid``, as its user."""
    enter = ("nsenter", "--target", str(pid), "--mount", "--pid", "--", *_AS_USER)
    return [*enter, "env", "--chdir", image.config["WorkingDir"], *command]


def starting(image: Image, volume: Path, information: int, *arguments: str) -> list[str | Path]:
    """What starts a container, and writes JSON with the ``child-pid`` to the file descriptor ``information``.

    ``arguments`` come after the image's entry point; ``volume`` is at its only volume. The ports are those of this
    machine; the files of the image are read-only, and ``/tmp`` is in memory.
    """
    (target,) = image.config["Volumes"]
    return [
        *("bwrap", "--ro-bind", image.files, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),  # noqa: S108
        *("--bind", volume, target, "--chdir", image.config["WorkingDir"], "--unshare-pid", "--unshare-ipc"),
        *("--unshare-uts", "--as-pid-1", "--die-with-parent", "--info-fd", str(information)),
        *(*_AS_USER, *image.config["Entrypoint"], *arguments),
    ]


def environment(image: Image, **more: str) -> dict[str, str]:
    """The environment of a container's processes."""
    return dict(line.split("=", 1) for line in image.config["Env"]) | more


@contextlib.asynccontextmanager
async def container(image: Image, volume: Path, *arguments: str, **environ: str) -> AsyncIterator[Container]:
    """A container as :func:`starting` describes it, killed at the end."""
    inside = environment(image, **environ)
    read, write = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *starting(image, volume, write, *arguments),
        pass_fds=[write],
        env=inside,
        stdin=DEVNULL,
        stdout=PIPE,
    )
    os.close(write)
    with os.fdopen(read) as information:
        pid = json.loads(await asyncio.to_thread(information.read))["child-pid"]
    try:
        yield Container(image, pid, inside, process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@contextlib.asynccontextmanager
async def serving(
    image: Image, volume: Path, address: str, *arguments: str, **environ: str
) -> AsyncIterator[Container]:
    """A container whose server is ready at ``address``. TimeoutError if it does not become so."""
    async with container(image, volume, *arguments, **environ) as started, aiohttp.ClientSession() as http:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await _is_ready(http, address):  # noqa: ASYNC110 - what is awaited is in another process
                await asyncio.sleep(POLL_S)
        yield started


async def _is_ready(http: aiohttp.ClientSession, address: str) -> bool:
    with contextlib.suppress(aiohttp.ClientConnectionError):
        async with http.get(f"{address}/readyz") as response:
            return response.ok
    return False
