"""What an edge sends is what it has: decoded as of an edge it is the same event again."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from sidecar.forwarding.wire_out import body_of
from sidecar.ingest import decode
from tests.support.events import BEGIN_US, Phone
from tests.support.vectors import sent, vectors

VALID = vectors("valid")


@pytest.mark.parametrize("vector", VALID, ids=lambda vector: str(vector["name"]))
def test_a_valid_event_is_the_same_at_the_centre(vector: dict[str, Any]) -> None:
    # The device's clock is off, so that the moment does not follow from when it occurred.
    ((_, event),) = decode(b"[" + sent(vector) + b"]", "json", BEGIN_US, sent_at_us=BEGIN_US + 777_777_777).events
    for proven in (None, False, True):
        here = msgspec.structs.replace(event, proven=proven)
        ((_, there),) = decode(b"[" + body_of(here) + b"]", "json", BEGIN_US, of_edge=True).events
        assert there == here


def test_times_keep_their_microseconds() -> None:
    login = Phone("alice").login(0.123457, token_expires_at_us=BEGIN_US + 1)
    found = json.loads(body_of(login))
    assert found["observed_at"] == "2026-11-23T14:00:00.123457Z"
    assert found["token_expires_at"] == "2026-11-23T14:00:00.000001Z"
