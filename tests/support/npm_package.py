"""The npm package of the Web tap: ``python -m tests.support.npm_package FOLDER`` packs it.

Its bill of materials is written beside it; nothing is published.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TAP = ROOT / "sidecar/sdk/tap"


def pack(folder: Path) -> Path:
    """The tarball in ``folder``, with the licence beside the tap's files."""
    with _staged() as staged:
        return folder / _npm(staged, "pack", "--pack-destination", str(folder.absolute())).strip()


def sbom() -> str:
    """What the package brings with it, as CycloneDX in JSON."""
    with _staged() as staged:
        _npm(staged, "install", "--package-lock-only", "--omit=peer")
        return _npm(staged, "sbom", "--package-lock-only", "--sbom-format=cyclonedx", "--sbom-type=library")


@contextlib.contextmanager
def _staged() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(TAP, name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        shutil.copy(ROOT / "LICENSE", name)
        yield Path(name)


def _npm(folder: Path, *words: str) -> str:
    command = ["npm", *words, "--silent", "--offline"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=True, text=True).stdout


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(exist_ok=True)
    print(pack(target))  # noqa: T201 - the output of a command
    (target / "zimwatch-tap.cdx.json").write_text(sbom(), encoding="utf-8")
