"""The tutorial, with Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import tutorial


def test_each_way_has_its_own_start_and_the_same_page() -> None:
    text = (tutorial.ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
    python, docker = tutorial.blocks(text, "Python"), tutorial.blocks(text, "Docker")
    assert [("docker" in "".join(ways), ".venv-run" in "".join(ways)) for ways in (python, docker)] == [
        (False, True),
        (True, False),
    ]
    assert python[2:4] == docker[2:4]
    assert python[-1] == docker[-1]


@pytest.mark.soak
@pytest.mark.browser
@pytest.mark.node
async def test_a_fresh_clone_leads_to_a_user_on_the_dashboard(tmp_path: Path) -> None:
    await tutorial.walk("Python", tmp_path)
