"""Checks the licences of what is installed with Zimwatch: exits 1 and names each package whose licence is not allowed.

Those of the run lock, of the extras, and of the npm packages that ``zimwatch sdk install`` fetches; not those of tools
of development, which nobody is given. Packages that are for other platforms, and so not installed, are left out.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
# Permissive ones, and those that ask for the source of their own files alone (MPL), or of a library that is imported
# and not changed (LGPL).
ALLOWED: Final = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "PSF-2.0", "Unlicense", "Zlib"),
    *("LGPL-3.0-only", "MPL-2.0"),
}
# Classifiers and free texts of packages that state no SPDX expression yet.
_SPDX: Final = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


def is_allowed(expression: str) -> bool:
    """Of an SPDX expression without brackets inside: one alternative whose every part is allowed."""
    return any(set(one.split(" AND ")) <= ALLOWED for one in expression.strip("()").split(" OR "))


def licence_of(name: str) -> str:
    """As an SPDX expression, where its texts are known."""
    found = metadata.metadata(name)
    if "License-Expression" in found:
        return found["License-Expression"]
    classified = [one.rpartition(" :: ")[2] for one in found.get_all("Classifier", []) if one.startswith("License ::")]
    texts = classified or [found["License"].partition("\n")[0] if "License" in found else "none"]
    return " AND ".join(_SPDX.get(text, text) for text in texts)


def licences() -> Iterator[tuple[str, str]]:
    """Each package, and its licence."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [re.split(r"[\[<>=; ]", one)[0] for extra in project["optional-dependencies"].values() for one in extra]
    for name in [*re.findall(r"^([\w.-]+)==", (ROOT / "requirements/run.txt").read_text(), re.MULTILINE), *extras]:
        try:
            yield name, licence_of(name)
        except metadata.PackageNotFoundError:
            continue
    lock = json.loads((ROOT / "sidecar/sdk/node/package-lock.json").read_text())
    for path, package in lock["packages"].items():
        if path and not package.get("dev"):
            yield f"npm {path.rpartition('node_modules/')[2]}", package.get("license", "none")


def refused() -> list[str]:
    """A line for each package whose licence is not allowed."""
    return [f"{name}: {licence}" for name, licence in licences() if not is_allowed(licence)]


if __name__ == "__main__":
    sys.exit("\n".join(refused()) or 0)
