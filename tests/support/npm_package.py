"""The npm package of the Web tap: ``python -m tests.support.npm_package FOLDER`` packs it, and publishes nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
TAP = ROOT / "sidecar/sdk/tap"


def pack(folder: Path) -> Path:
    """The tarball in ``folder``, with the licence beside the tap's files."""
    with tempfile.TemporaryDirectory() as staged:
        shutil.copytree(TAP, staged, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        shutil.copy(ROOT / "LICENSE", staged)
        command = ["npm", "pack", "--silent", "--offline", "--pack-destination", str(folder.absolute())]
        done = subprocess.run(command, cwd=staged, capture_output=True, check=True, text=True)
    return folder / done.stdout.strip()


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(exist_ok=True)
    print(pack(Path(sys.argv[1])))  # noqa: T201 - the output of a command
