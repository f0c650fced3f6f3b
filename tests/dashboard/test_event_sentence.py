"""What an event says in a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.parts.event_sentence import (
    BAD,
    GOOD,
    LOGIN,
    PLAIN,
    SENTENCES,
    event_sentence,
)
from sidecar.domain.events import HEARTBEAT
from sidecar.ingest.wire_events import TYPES
from tests.support.events import BEGIN_US, Phone


@pytest.mark.parametrize(
    ("event_type", "details", "text", "kind", "note"),
    [
        ("login", {"offline_login": False}, "Login started", LOGIN, ""),
        ("login", {"offline_login": True}, "Offline login started", LOGIN, ""),
        (
            "login",
            {"token_expires_at_us": BEGIN_US},
            "Login started",
            LOGIN,
            "token valid until 2026-11-23 14:00:00 UTC",
        ),
        ("login_result", {"code": 0}, "Login succeeded", GOOD, ""),
        ("login_result", {"code": 6000106, "message": "x"}, "Login failed", BAD, "6000106: the token has expired"),
        ("login_result", {"code": 1, "message": "odd"}, "Login failed", BAD, "1: odd"),
        ("token_will_expire", {"second": 30}, "Token warning, 30 s before its end", PLAIN, ""),
        ("token_will_expire", {"second": -5}, "Token warning, 5 s after its end", BAD, ""),
        ("token_renewed", {"code": 0, "token_expires_at_us": None}, "Token renewed", GOOD, ""),
        ("token_renewed", {"code": 6000104}, "Renewing the token failed", BAD, "6000104: no network"),
        ("api_error", {"method": "sendMessage", "code": 6000121}, "sendMessage failed", BAD, "6000121: not logged in"),
        ("logout", {}, "The app called logout", PLAIN, ""),
    ],
)
def test_an_event_is_a_sentence(event_type: str, details: dict[str, Any], text: str, kind: str, note: str) -> None:
    sentence = event_sentence(Phone("alice").event(event_type, 0, details=details))
    assert (sentence.text, sentence.kind, sentence.note) == (text, kind, note)


@pytest.mark.parametrize(
    ("state", "event", "text", "kind"),
    [
        ("CONNECTED", "SUCCESS", "Connected", GOOD),
        ("CONNECTING", "ACTIVE_LOGIN", "Connecting", PLAIN),
        ("RECONNECTING", "LOGIN_INTERRUPTED", "Network lost, reconnecting", PLAIN),
        ("DISCONNECTED", "SUCCESS", "Logged out", PLAIN),
        ("DISCONNECTED", "KICKED_OUT", "Kicked out by another login", BAD),
        ("DISCONNECTED", "LOGIN_INTERRUPTED", "Login refused or interrupted", BAD),
        ("DISCONNECTED", "99", "DISCONNECTED 99", PLAIN),
        ("HIBERNATING", "SUCCESS", "HIBERNATING SUCCESS", PLAIN),
    ],
)
def test_a_connection_state_is_a_sentence(state: str, event: str, text: str, kind: str) -> None:
    sentence = event_sentence(Phone("alice").says(state, event, 0))
    assert (sentence.text, sentence.kind) == (text, kind)


@pytest.mark.parametrize(
    ("extended_data", "note"),
    [
        ("", ""),
        ("{}", ""),
        ('{"reason":1,"message":"on another device"}', "on another device"),
        ("Kicked out with102005", "Kicked out with102005"),
        ('{"message":5}', '{"message":5}'),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_extended_data_is_read_where_it_is_json_and_shown_where_it_is_not(extended_data: str, note: str) -> None:
    assert event_sentence(Phone("carol").says("DISCONNECTED", "KICKED_OUT", 0, extended_data)).note == note


@pytest.mark.parametrize("event_type", [one for one in TYPES if one != HEARTBEAT])
def test_every_stored_type_has_a_sentence(event_type: str) -> None:
    assert event_type in SENTENCES
    assert event_sentence(Phone("alice").event(event_type, 0, connection_state="CONNECTED")).text


def test_a_type_of_a_later_version_is_shown_by_its_name() -> None:
    assert event_sentence(Phone("alice").event("of_a_later_version", 0)).text == "Of a later version"
