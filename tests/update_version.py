"""Writes a new version into all that says its own: package, tap, ports and image; and into the changelog."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
CHANGELOG: Final = ROOT / "CHANGELOG.md"
SAID: Final = re.compile(
    r"""((?:\b_?version(?: =|":|:|) |\bimage\.version=|\bnewTag: |/zimwatch:)["']?)(\d+\.\d+\.\d+)(["']?)""",
    re.IGNORECASE,
)
MANIFESTS: Final = {"CMakeLists.txt", "build.gradle", "package.json", "pubspec.yaml"}
SOURCES: Final = {".cs", ".dart", ".hpp", ".java", ".js", ".swift"}
_UNRELEASED: Final = "## [Unreleased]\n"


def files() -> Iterator[Path]:
    """Those with a version of their own, which are all the same."""
    yield ROOT / "sidecar/version.py"
    yield ROOT / "sidecar/sdk/tap/zim-tap.js"
    yield ROOT / "sidecar/sdk/tap/package.json"
    yield ROOT / "docker/Dockerfile"
    for name in ("edge", "kustomization", "sidecar"):
        yield ROOT / f"docker/kubernetes/{name}.yaml"
    yield ROOT / "docs/deployment.md"
    ports = ROOT / "docs/ports"
    for path in sorted(ports.rglob("*.*")):
        if path.name in MANIFESTS or ("eporter." in path.name and path.suffix in SOURCES):
            yield path


def update(version: str) -> None:
    """Of all files; the changelog's newest part gets the version and today's date."""
    for path in files():
        text, found = SAID.subn(rf"\g<1>{version}\g<3>", path.read_text(encoding="utf-8"))
        if not found:
            raise ValueError(f"{path} has no version")
        path.write_text(text, encoding="utf-8")
    released = f"{_UNRELEASED}\n## [{version}] - {datetime.now(UTC):%Y-%m-%d}\n"
    CHANGELOG.write_text(CHANGELOG.read_text(encoding="utf-8").replace(_UNRELEASED, released, 1), encoding="utf-8")


if __name__ == "__main__":
    if not re.fullmatch(r"\d+\.\d+\.\d+", given := sys.argv[1]):
        sys.exit(f"{given} is no version such as 1.2.3")
    update(given)
