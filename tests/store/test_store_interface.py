"""All reads and writes go through four methods of Store."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
OPENS: Final = re.compile(r"\b(create_engine|sqlite3\.connect|connections\.connect|throw_away|SqliteDatabase)\b")


def public_names() -> set[str]:
    """The public methods and attributes of Store."""
    module = ast.parse((ROOT / "sidecar/store/store.py").read_text(encoding="utf-8"))
    (store,) = (node for node in module.body if isinstance(node, ast.ClassDef) and node.name == "Store")
    names = {node.name for node in store.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for node in ast.walk(store):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            names.add(node.attr)
    return {name for name in names if not name.startswith("_")}


def test_the_store_has_the_names_that_the_architecture_gives_it_and_no_others() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text[text.index("one interface to the store") : text.index("## What holds")]
    cells = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    assert public_names() == set(re.findall(r"`(\w+)`", " ".join(cells)))


def test_no_module_beside_the_store_opens_a_database() -> None:
    opening = {
        str(path.relative_to(ROOT)): found
        for folder in ("sidecar", "dashboard")
        for path in (ROOT / folder).rglob("*.py")
        if "node_modules" not in path.parts
        and not path.is_relative_to(ROOT / "sidecar/store")
        and (found := set(OPENS.findall(path.read_text(encoding="utf-8"))))
    }
    assert opening == {
        "sidecar/alerting/replay.py": {"throw_away"},  # a database of its own
        "sidecar/system/files.py": {"sqlite3.connect"},  # by which the store opens its files
        "sidecar/sdk/recording/event_queue.py": {"sqlite3.connect"},  # the queue of an app, not the store
    }
