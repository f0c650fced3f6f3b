"""A strategy that makes lives in which anything may go wrong, with details that no decoder would accept."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from sidecar.domain.events import Event
from tests.support.lives import Device

_CODES: Final = (6_000_121, 6_000_104, 6_000_105, 6_000_103, 6_000_111, 6_000_015, 6_000_004, 0, -1, 2**63 - 1)
_ODD: Final = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=40), st.lists(st.integers())
)
_CHANGES: Final = (
    ("CONNECTED", "SUCCESS"),
    ("CONNECTING", "ACTIVE_LOGIN"),
    ("RECONNECTING", "LOGIN_INTERRUPTED"),
    ("DISCONNECTED", "SUCCESS"),
    ("DISCONNECTED", "KICKED_OUT"),
    ("DISCONNECTED", "TOKEN_EXPIRED"),
    ("DISCONNECTED", "UNREGISTERED"),
    ("DISCONNECTED", "LOGIN_TIMEOUT"),
    ("DISCONNECTED", "LOGIN_INTERRUPTED"),
    ("99", "77"),
)


@st.composite
def _acts(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A type of event and its fields."""
    kind = draw(
        st.sampled_from(
            ["connection_state_changed"] * 4
            + ["login", "login_result", "logout", "api_error", "api_error", "token_will_expire", "token_renewed", "odd"]
        )
    )
    if kind == "connection_state_changed":
        state, event = draw(st.sampled_from(_CHANGES))
        return kind, {"connection_state": state, "connection_event": event}
    code = draw(st.one_of(st.sampled_from(_CODES), _ODD))
    method, message = draw(st.sampled_from(["sendMessage", "login", "", "m" * 256])), draw(_ODD)
    details = {"code": code, "method": method, "message": message, "second": draw(st.one_of(st.just(30), _ODD))}
    return kind, {"details": draw(st.sampled_from([details, {}]))}


@st.composite
def _lives(draw: st.DrawFn) -> list[Event]:
    """Events of one user from several clients; the moments need not follow ``seq``, as clocks are set."""
    devices = [Device(name="phone", sdk_version="2.8.0"), Device(name="laptop", platform=None), Device(name="tablet")]
    events = []
    at = 0.0
    for act, fields in draw(st.lists(_acts(), max_size=40)):
        at += draw(st.sampled_from([0, 0.1, 1, 5, 40, 700, 2_000, -3]))
        events.append(draw(st.sampled_from(devices)).event(act, max(0, at), **fields))
    return events


LIVES: Final = _lives()
