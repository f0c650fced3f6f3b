"""``docker`` for the commands that the tutorial prints, where there is no engine: containers by bubblewrap.

``docker build`` builds nothing, as the image that ``docker/build`` made of the same Dockerfile is there. ``docker run``
is :func:`tests.support.container.starting`: it has no network of its own, so a published port must be the same inside
and outside, and it always is read-only, without capabilities and new privileges, so the options for that must be given.
An option that is not known here is an error. Images, volumes and containers are in the folder ``ZIMWATCH_TEST_DOCKER``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.support import container
from tests.support.container import Image

STATE = "ZIMWATCH_TEST_DOCKER"


def install(folder: Path, image: Image) -> dict[str, str]:
    """The environment in which ``docker`` is this module, for an image that is called ``zimwatch``."""
    (folder / "bin").mkdir(parents=True)
    (folder / "image.json").write_text(json.dumps([str(image.files), *image[1:]]))
    program = folder / "bin/docker"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={container.ROOT} exec {sys.executable} -m {__name__} "$@"\n')
    program.chmod(0o755)
    return os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}", STATE: str(folder)}


def main() -> None:
    """Becomes what the arguments say, as ``docker`` would."""
    given = _parser().parse_args()
    folder = Path(os.environ[STATE])
    files, *others = json.loads((folder / "image.json").read_text())
    getattr(sys.modules[__name__], f"_{given.command}")(given, folder, Image(Path(files), *others))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="docker", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", allow_abbrev=False)
    build.add_argument("--quiet", action="store_true")
    build.add_argument("-f", dest="file", type=Path, required=True)
    build.add_argument("-t", dest="tag", choices=["zimwatch"], required=True)
    build.add_argument("context", type=Path)
    run = commands.add_parser("run", allow_abbrev=False)
    run.add_argument("--rm", action="store_true", required=True)
    run.add_argument("--name", required=True)
    run.add_argument("--read-only", action="store_true", required=True)
    run.add_argument("--tmpfs", choices=["/tmp"], required=True)  # noqa: S108
    run.add_argument("--cap-drop", choices=["ALL"], required=True)
    run.add_argument("--security-opt", choices=["no-new-privileges"], required=True)
    run.add_argument("--publish", type=_same_port)
    run.add_argument("--volume", type=lambda text: text.split(":"), required=True)
    run.add_argument("--env", action="append", default=[])
    run.add_argument("image", choices=["zimwatch"])
    run.add_argument("arguments", nargs=argparse.REMAINDER)
    execute = commands.add_parser("exec", allow_abbrev=False)
    execute.add_argument("name")
    execute.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser


def _same_port(text: str) -> str:
    address, outside, inside = text.split(":")
    if (address, outside) != ("127.0.0.1", inside):
        raise argparse.ArgumentTypeError(f"{text} is not a port of 127.0.0.1 that is the same inside")
    return inside


def _build(given: Any, _folder: Path, _image: Image) -> None:
    file = (given.context / "docker/Dockerfile").read_bytes()
    if given.file.read_bytes() != file or file != (container.ROOT / "docker/Dockerfile").read_bytes():
        sys.exit(f"{given.file} is not the Dockerfile of the image that was built")


def _run(given: Any, folder: Path, image: Image) -> None:
    name, target = given.volume
    if [target] != list(image.config["Volumes"]):
        sys.exit(f"{target} is not the volume of the image")
    volume = folder / "volumes" / name
    if not volume.exists():
        volume.mkdir(parents=True, mode=0o700)
        os.chown(volume, container.USER_ID, container.USER_ID)
    environ = container.environment(image, **dict(text.split("=", 1) for text in given.env))
    (folder / f"{given.name}.environ").write_text(json.dumps(environ))
    information = os.open(folder / f"{given.name}.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.set_inheritable(information, True)
    command = container.starting(image, volume, information, *(given.arguments or image.config["Cmd"]))
    os.execvpe(command[0], [*map(str, command)], environ)  # noqa: S606 - the shell would be a parent


def _exec(given: Any, folder: Path, image: Image) -> None:
    pid = json.loads((folder / f"{given.name}.json").read_text())["child-pid"]
    command = container.entering(image, pid, *given.arguments)
    os.execvpe(command[0], [*map(str, command)], json.loads((folder / f"{given.name}.environ").read_text()))  # noqa: S606 - the shell would be a parent


if __name__ == "__main__":
    main()
