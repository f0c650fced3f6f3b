"""A store that exports spans, and a clock to set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.store import (
    Store,
)
from tests.support.clocks import Clock
from tests.support.stores import opened


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = opened(tmp_path, export_spans=True)
    yield store
    await store.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()
