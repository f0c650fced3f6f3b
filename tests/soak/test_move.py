"""A hundred thousand events, or ZIMWATCH_SOAK_MOVED, move to PostgreSQL while more come in, and back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.moving import move_and_back

pytestmark = [pytest.mark.soak, pytest.mark.postgres]

EVENTS = int(os.environ.get("ZIMWATCH_SOAK_MOVED", "100000"))


async def test_many_events_move_while_more_come_in_and_back(tmp_path: Path) -> None:
    await move_and_back(tmp_path, events=EVENTS, users=2_000)
