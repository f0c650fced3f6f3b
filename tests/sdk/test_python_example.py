"""The examples of docs/python.md run unchanged."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sidecar.sdk import NOWHERE
from tests.support.running import zimwatch

DOCUMENT = Path(__file__).parents[2] / "docs/python.md"


@pytest.fixture
def example() -> dict[str, Any]:
    """What the examples define, each run by itself: a reader may copy any one alone."""
    defined: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL):
        names: dict[str, Any] = {}
        exec(compile(block, str(DOCUMENT), "exec"), names)  # noqa: S102 - the project's own document
        defined |= names
    return defined


@pytest.mark.node
async def test_the_example_logs_in_is_refused_and_is_observed(
    example: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with zimwatch(tmp_path) as running:
        await example["main"](7, "alice", "garbage", running.url, tmp_path / "queue", NOWHERE)
        _, timeline = await running.get("/v1/users/7/alice/events")
    assert "refused: 6000103 Token is invalid." in capsys.readouterr().out
    assert [event["type"] for event in timeline["events"]] == ["login_result", "login"]
    assert {event["device_id"] for event in timeline["events"]} == {"gateway-1"}


async def test_the_example_of_the_simulator_is_kicked_out(example: dict[str, Any]) -> None:
    assert await example["kicked_out"]() == [(1, 1), (2, 0), (0, 4)]
