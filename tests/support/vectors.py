"""The vectors of ``schemas/``, and the schema that they are held to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).parents[2] / "schemas"


def schema(name: str) -> Any:
    """A schema by its file's name."""
    return json.loads((SCHEMAS / name).read_text(encoding="utf-8"))


def vectors(name: str) -> list[dict[str, Any]]:
    """The vectors of wire version 1: ``valid``, ``invalid`` or ``sequences``."""
    found: list[dict[str, Any]] = schema(f"vectors/v1/{name}.json")
    return found


def sent(vector: dict[str, Any]) -> bytes:
    """An event as it goes over the wire: some cannot be written by a JSON encoder, and are given as text."""
    if "raw" in vector:
        return str(vector["raw"]).encode()
    return json.dumps(vector["event"], ensure_ascii=False).encode()
