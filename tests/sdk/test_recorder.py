"""The recording of one client: sessions, order, and no secrets."""

from __future__ import annotations

import json
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.token04.layout import expires_at_us
from sidecar.domain.units import SECOND_US
from sidecar.ingest import decode
from sidecar.sdk import Call, CallEnded, ConnectionStateChanged, SdkLostError, TokenWillExpire, ZimError
from sidecar.sdk.recording.recorder import Device, Recorder, WireEvent
from sidecar.sdk.token04 import made_up
from tests.support.events import BEGIN_US

TOKEN = made_up(BEGIN_US + 600 * SECOND_US, Random(1))  # noqa: S311 - it is made up
DEVICE = Device(platform="Web", sdk_name="zego-zim-web", sdk_version="2.29.0")
DISCONNECTED, CONNECTED, RECONNECTING = 0, 2, 3
KICKED_OUT = 4


class Life:
    """A recorder, and all that it recorded."""

    def __init__(self) -> None:
        self.events: list[WireEvent] = []
        rng = Random(1)  # noqa: S311 - a test's chance, not a secret
        self.recorder = Recorder(app_id=7, device=DEVICE, at_us=BEGIN_US, rng=rng, emit=self.events.append)

    def login(self, user_id: str = "alice", **config: object) -> Call:
        call = Call("login", (user_id, {"token": TOKEN, **config}))
        self.recorder.call(BEGIN_US, call)
        return call

    def ended(self, call: Call, error: ZimError | None = None) -> None:
        self.recorder.call(BEGIN_US, CallEnded(call, error))

    def called(self, method: str, *args: object, error: ZimError | None = None) -> None:
        call = Call(method, args)
        self.recorder.call(BEGIN_US, call)
        self.ended(call, error)

    def changed(self, state: int, event: int = 0, extended_data: str = "") -> None:
        what = ConnectionStateChanged(state=state, event=event, extended_data=extended_data)
        self.recorder.connection_state_changed(BEGIN_US, what)

    def sessions(self) -> list[str | None]:
        return [event["session_id"] for event in self.events]


def test_a_logout_ends_the_login_unless_connected_follows_it() -> None:
    life = Life()
    life.login()
    life.changed(CONNECTED)
    life.changed(RECONNECTING, 3)
    life.called("logout")
    life.recorder.heartbeat(BEGIN_US)
    life.changed(RECONNECTING, 3)  # it was on its way
    life.recorder.heartbeat(BEGIN_US)
    assert "heartbeat" not in {event["type"] for event in life.events}
    life.changed(CONNECTED)
    life.recorder.heartbeat(BEGIN_US)
    assert life.events[-1]["type"] == "heartbeat"
    assert len(set(life.sessions())) == 1
    life.called("logout")
    life.login()
    assert len(set(life.sessions())) == 2


def test_connected_does_not_undo_an_end_by_the_sdk() -> None:
    """As of a token that had expired before the login: CONNECTED comes last of all."""
    life = Life()
    life.login()
    life.changed(DISCONNECTED, 5)
    life.changed(CONNECTED)
    life.recorder.heartbeat(BEGIN_US)
    assert "heartbeat" not in {event["type"] for event in life.events}


def test_a_clock_before_1970_loses_no_event() -> None:
    events: list[WireEvent] = []
    rng = Random(1)  # noqa: S311
    recorder = Recorder(app_id=7, device=DEVICE, at_us=-SECOND_US, rng=rng, emit=events.append)
    recorder.call(-SECOND_US, Call("login", ("alice", {"token": ""})))
    assert events[0]["occurred_at"] == "1969-12-31T23:59:59.000Z"
    assert events[0]["id"][14] == "7"


def test_a_session_begins_with_the_call_and_a_second_login_of_the_same_user_joins_it() -> None:
    life = Life()
    first, second = life.login(), life.login()
    life.changed(CONNECTED)
    life.ended(first)
    life.ended(second)
    assert len(set(life.sessions())) == 1
    assert [event["seq"] for event in life.events] == [1, 2, 3, 4, 5]


def test_a_login_for_another_user_is_another_session_and_does_not_change_the_first() -> None:
    life = Life()
    life.ended(life.login())
    life.changed(CONNECTED)
    refused = life.login("mallory")
    life.ended(refused, ZimError(6_000_111, "User has already logged in."))
    life.changed(RECONNECTING, 3)
    users = [event["user_id"] for event in life.events]
    assert users == ["alice", "alice", "alice", "mallory", "mallory", "alice"]
    assert life.sessions()[5] == life.sessions()[0] != life.sessions()[3]


def test_the_login_after_a_kick_out_is_a_new_session() -> None:
    life = Life()
    life.ended(life.login("carol"))
    life.changed(CONNECTED)
    life.changed(DISCONNECTED, KICKED_OUT, '{"reason":1}')
    life.called("sendMessage", error=ZimError(6_000_121, "not logged in"))
    life.login("carol")
    assert len(set(life.sessions())) == 2
    assert life.events[-2]["type"] == "api_error"
    assert life.events[-2]["session_id"] == life.sessions()[0]


def test_a_refused_login_and_a_lost_sdk_end_the_session() -> None:
    life = Life()
    life.ended(life.login(), ZimError(6_000_103, "Token is invalid."))
    pending = life.login()
    life.changed(RECONNECTING, 3)
    life.ended(pending, SdkLostError("the SDK's process was ended by SIGKILL"))
    life.recorder.sdk_lost()
    count = len(life.events)
    life.recorder.heartbeat(BEGIN_US)
    assert len(life.events) == count
    life.login()
    assert len(set(life.sessions())) == 3
    assert life.events[-2]["code"] == -1


def test_heartbeats_are_recorded_only_while_logged_in() -> None:
    life = Life()
    life.recorder.heartbeat(BEGIN_US)
    assert life.events == []
    life.ended(life.login())
    life.changed(CONNECTED)
    life.recorder.heartbeat(BEGIN_US)
    assert life.events[-1]["type"] == "heartbeat"
    assert life.events[-1]["state"] == CONNECTED


def test_of_other_calls_only_errors_of_login_and_network_are_recorded() -> None:
    life = Life()
    life.called("sendMessage", error=ZimError(6_000_121, "not logged in"))
    life.called("sendMessage", error=ZimError(6_000_201, "the message is too long"))
    life.called("sendMessage")
    assert [event["type"] for event in life.events] == ["api_error"]


def test_a_renewal_has_the_new_expiry_or_the_code() -> None:
    life = Life()
    life.called("renewToken", TOKEN)
    life.called("renewToken", TOKEN, error=ZimError(6_000_104, "Network error."))
    renewals = [(event["code"], event["token_expires_at"]) for event in life.events]
    assert renewals == [(0, "2026-11-23T14:10:00.000Z"), (6_000_104, None)]


def test_no_token_nickname_or_argument_is_recorded_even_if_an_error_repeats_it() -> None:
    life = Life()
    call = life.login(userName="Alice's nickname")
    life.ended(call, ZimError(6_000_103, f"Token {TOKEN} is invalid."))
    life.called("sendMessage", "a secret message", error=ZimError(6_000_104, "Network error."))
    sent = json.dumps(life.events)
    assert TOKEN[20:60] not in sent
    assert "nickname" not in sent
    assert "secret message" not in sent
    assert "Token <token> is invalid." in sent
    assert TOKEN not in repr(call)


@given(
    user_id=st.text(min_size=1, max_size=50),
    extended=st.text(max_size=200),
    state=st.integers(-1, 9),
    second=st.integers(-100, 100),
)
def test_the_server_accepts_every_recorded_event(user_id: str, extended: str, state: int, second: int) -> None:
    life = Life()
    call = life.login(user_id + "\ud800")
    life.changed(state, state, extended + "\ud800")
    life.recorder.token_will_expire(BEGIN_US, TokenWillExpire(second))
    life.recorder.heartbeat(BEGIN_US)
    life.ended(call, ZimError(6_000_104, extended))
    life.called("logout")
    decoded = decode(json.dumps(life.events).encode(), "json", BEGIN_US)
    assert decoded.rejected == []
    assert len(decoded.events) == len(life.events)


@given(expires_s=st.integers(946_684_800, 7_258_118_399), seed=st.integers(0, 100))
def test_the_expiry_of_a_token_is_read(expires_s: int, seed: int) -> None:
    assert expires_at_us(made_up(expires_s * SECOND_US, Random(seed))) == expires_s * SECOND_US  # noqa: S311 - same


@given(junk=st.one_of(st.text(), st.text().map("04".__add__), st.none(), st.integers(), st.binary()))
def test_an_invalid_token_has_no_expiry_and_raises_nothing(junk: object) -> None:
    found = expires_at_us(junk)
    assert found is None or isinstance(found, int)
