"""A store that exports spans."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.store import (
    Store,
)
from tests.support.stores import opened


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = opened(tmp_path, export_spans=True)
    yield store
    await store.close()
