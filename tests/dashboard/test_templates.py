"""The templates of the pages, as text."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import dashboard

TEMPLATES: Final = Path(dashboard.__file__).parent / "templates"
LONGEST: Final = 120


def test_no_line_of_a_template_is_too_long() -> None:
    """As in Python, where ruff holds it; djlint has no such rule."""
    files = sorted(TEMPLATES.rglob("*.html"))
    lines = [(file, number, line) for file in files for number, line in enumerate(file.read_text().splitlines(), 1)]
    assert lines
    assert [f"{file.name}:{number}" for file, number, line in lines if len(line) > LONGEST] == []
