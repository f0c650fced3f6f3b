"""ZEGO's callback, from bytes to an event."""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import pytest

from sidecar.domain.units import SECOND_US
from sidecar.ingest import callback
from sidecar.ingest.server_query import signed
from sidecar.ingest.wire import BodyError
from sidecar.ingest.wire_events import TYPES
from tests.support.events import APP_ID, BEGIN_US
from tests.support.zego import BEGIN_S, SECRET, user_action

SECRETS = {APP_ID: (SECRET,)}
WINDOW_US = 300 * SECOND_US


def test_the_signature_is_that_of_zegos_own_example() -> None:
    made = callback.signature("secret", "1470820198", "123412")
    assert made == "5bd59fd62953a8059fb7eaba95720f66d19e4517"


def test_a_query_is_signed_with_md5_over_app_nonce_secret_and_time() -> None:
    # md5 of "1234567890" + "0123456789abcdef" + "secret" + "1700000000"
    made = signed(APP_ID, "secret", nonce="0123456789abcdef", timestamp_s=1_700_000_000)
    assert made["Signature"] == "34392447ee174803ab88061395577c5e"
    assert made["SignatureVersion"] == "2.0"


def bodies(payload: dict[str, Any]) -> dict[str, str]:
    text = json.dumps(payload, ensure_ascii=False)
    return {
        "JSON": text,
        "JSON with spaces around": f"\r\n {text}\n",
        "URL-encoded JSON": quote(text, safe=""),
        "URL-encoded JSON with plus for space": quote_plus(text),
        "a form": urlencode(payload),
    }


@pytest.mark.parametrize("encoding", bodies({}))
@pytest.mark.parametrize("user_id", ["alice", "a+b c%2Fd", "断线 🙂", "&=?#"])
def test_every_encoding_gives_the_same_event(encoding: str, user_id: str) -> None:
    payload = user_action(1, user_id=user_id, nonce="0042")
    given = callback.read(bodies(payload)[encoding].encode())
    assert callback.check(given, SECRETS, now_us=BEGIN_US, window_us=WINDOW_US) == APP_ID
    event = callback.event_of(given, APP_ID, now_us=BEGIN_US)
    assert event.user_id == user_id
    assert event == callback.event_of(callback.read(json.dumps(payload).encode()), APP_ID, now_us=BEGIN_US)


def test_an_event_has_the_fields_of_the_callback_but_no_nickname() -> None:
    payload = user_action(2, at=90)
    event = callback.event_of(callback.read(json.dumps(payload).encode()), APP_ID, now_us=7)
    assert event.type == "server_user_action"
    assert event.type not in TYPES
    assert (event.occurred_at_us, event.received_at_us) == (BEGIN_US + 90 * SECOND_US, 7)
    assert uuid.UUID(bytes=event.id).version == 5
    assert event.details == {
        "action": "offline",
        "status": "offline",
        "said_at_us": BEGIN_US + 90 * SECOND_US,
        "os": "WEB",
        "zego_session_id": "930821637828251648",
        "login_time_us": BEGIN_US,
        "offline_time_us": BEGIN_US + 90 * SECOND_US,
    }


def test_all_reports_of_the_server_about_a_user_share_a_client_id() -> None:
    events = [
        callback.event_of(callback.read(json.dumps(user_action(action, user_id=name)).encode()), APP_ID, now_us=0)
        for action, name in ((0, "alice"), (1, "alice"), (0, "bob"))
    ]
    ids = [event.client_id for event in events]
    assert ids[0] == ids[1] != ids[2]
    assert len({event.id for event in events}) == 3


def test_a_relogin_counts_by_its_callback_because_it_may_carry_the_first_logins_time() -> None:
    payload = user_action(0, at=60, relogin="1", login_time=BEGIN_S)
    event = callback.event_of(callback.read(json.dumps(payload).encode()), APP_ID, now_us=0)
    assert event.occurred_at_us == BEGIN_US + 60 * SECOND_US


def test_an_unknown_action_is_kept_and_has_no_status() -> None:
    event = callback.event_of(callback.read(json.dumps(user_action(7)).encode()), APP_ID, now_us=0)
    assert (event.details["action"], event.details["status"]) == ("7", None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"signature": "0" * 40}, "signature"),
        ({"signature": ""}, "signature"),
        ({"nonce": "another"}, "signature"),
        ({"timestamp": BEGIN_S + 1}, "signature"),
        ({"appid": "7"}, "signature"),
    ],
)
def test_a_callback_that_is_not_authentic_is_refused(change: dict[str, Any], reason: str) -> None:
    given = callback.read(json.dumps(user_action(0) | change).encode())
    with pytest.raises(callback.CallbackRefusedError, match=reason):
        callback.check(given, SECRETS, now_us=BEGIN_US, window_us=WINDOW_US)


@pytest.mark.parametrize(("late", "good"), [(300, True), (301, False), (-60, True), (-61, False)])
def test_a_timestamp_is_valid_within_the_window_and_hardly_ahead(late: int, *, good: bool) -> None:
    given = callback.read(json.dumps(user_action(0)).encode())
    now_us = BEGIN_US + late * SECOND_US
    if good:
        assert callback.check(given, SECRETS, now_us=now_us, window_us=WINDOW_US) == APP_ID
    else:
        with pytest.raises(callback.CallbackRefusedError, match="callback_window" if late > 0 else "60 s"):
            callback.check(given, SECRETS, now_us=now_us, window_us=WINDOW_US)


def test_during_a_rotation_both_secrets_are_valid() -> None:
    both = {APP_ID: ("old", "new")}
    for secret in ("old", "new"):
        given = callback.read(json.dumps(user_action(0, secret=secret)).encode())
        assert callback.check(given, both, now_us=BEGIN_US, window_us=WINDOW_US) == APP_ID


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"%7B%22appid%22%3A%FF",
        b"{" * 5_000,
        b"a=1&" * 100,
        json.dumps(user_action(0) | {"nonce": 1.5}).encode(),
        json.dumps(user_action(0) | {"nonce": None}).encode(),
        json.dumps(user_action(0) | {"nonce": "n" * 2_000}).encode(),
    ],
)
def test_an_unreadable_body_is_a_body_error(body: bytes) -> None:
    with pytest.raises(BodyError, match="callback"):
        callback.read(body)


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": ""},
        {"user_id": None},
        {"user_id": "a" * 900 + "断" * 4_000},
        {"action": None},
        {"action": "-1"},
        {"logout_time": "soon"},
        {"logout_time": 10**15},
    ],
)
def test_an_authentic_callback_with_a_wrong_field_is_refused_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(BodyError, match=next(iter(change))):
        callback.event_of(callback.read(json.dumps(user_action(1) | change).encode()), APP_ID, now_us=0)
