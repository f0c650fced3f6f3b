"""Spans name a user by its id, by a keyed hash, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.domain.user_naming import Mode, UserNaming
from sidecar.store.values import PendingSpan
from sidecar.telemetry.otlp.spans import span_of

KEY = b"k" * 32
MODES: tuple[Mode, ...] = ("plain", "hash", "off")


def hash_of(app_id: int, user_id: str, key: bytes = KEY) -> str:
    return UserNaming("hash", key).hash(app_id, user_id) or ""


def pending(user_id: str) -> PendingSpan:
    given: dict[str, Any] = {}
    given |= dict.fromkeys(PendingSpan.__struct_fields__)
    numbers = dict.fromkeys(("position", "moment_us", "occurred_at_us", "app_id"), 1)
    ids = dict.fromkeys(("id", "client_id"), b"i" * 16)
    given |= {**numbers, **ids, "user_id": user_id, "starts_trace": True}
    return PendingSpan(**given)


@pytest.mark.parametrize("user_id", ["alice-7f3a9c", "alice-7f3a9c" * 20])
def test_a_span_has_what_the_setting_says(user_id: str) -> None:
    raw = user_id.encode()
    hashed = hash_of(1, user_id).encode()
    found = {mode: span_of(pending(user_id), UserNaming(mode, KEY)) for mode in MODES}
    assert [raw in found[mode] for mode in found] == [True, False, False]
    assert [hashed in found[mode] for mode in found] == [False, True, False]
    assert found["plain"] == span_of(pending(user_id))
    assert b"user.hash" not in found["off"]
    assert b"user.id" not in found["hash"]


def test_the_hash_needs_the_key_and_differs_by_app() -> None:
    assert len({hash_of(1, "alice"), hash_of(2, "alice"), hash_of(1, "alice", b"x" * 32)}) == 3
