"""What the package declares that it needs is what it imports."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
OWN = {"sidecar", "dashboard"}


def canonical(name: str) -> str:
    return name.lower().replace("_", "-")


def imported() -> set[str]:
    """Every module that is imported from elsewhere than the standard library, at the start of a module or later."""
    found: set[str] = set()
    for path in (path for folder in OWN for path in (ROOT / folder).rglob("*.py") if "node_modules" not in path.parts):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    return {name for name in found if name.split(".")[0] not in OWN | set(sys.stdlib_module_names)}


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    return {canonical(re.split(r"[\s;<>=\[]", one)[0]) for one in wanted}


def test_each_package_that_is_imported_is_declared_and_no_other() -> None:
    owners = {
        str(file.locate()): canonical(one.metadata["Name"])
        for one in metadata.distributions()
        for file in one.files or ()
        if file.suffix in {".py", ".so", ".pyd"}
    }
    needed: set[str] = set()
    for name in imported():
        spec = find_spec(name)
        assert spec is not None, name
        # A namespace such as `google.rpc` has no file of its own.
        files = (
            [spec.origin]
            if spec.origin
            else [str(file) for place in spec.submodule_search_locations or () for file in Path(place).glob("*.py")]
        )
        needed |= {owners[file] for file in files if file in owners}
    assert needed - declared() == set()
    assert declared() - needed == set()
