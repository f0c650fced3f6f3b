"""What the head of a user's page says: a finding first, else the status."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.text.headline import headline
from dashboard.text.status_texts import texts_of
from sidecar.domain.findings import Finding
from sidecar.domain.server_view import Disagreement
from sidecar.domain.texts import verbatim
from sidecar.store.values import UserRow

ONLINE_US, FOUND_US = 1_000, 2_000


def user(status: str = "online", reason: str | None = "SUCCESS", **more: Any) -> UserRow:
    given: dict[str, Any] = dict.fromkeys(UserRow.__struct_fields__) | {"app_id": 1, "user_id": "alice"}
    return UserRow(**given | {"status": status, "reason": reason, "since_us": ONLINE_US, "unconfirmed": False} | more)


def finding(kind: str = "calls_failing", severity: Any = "warning") -> Finding:
    return Finding(
        kind=kind,
        severity=severity,
        summary=verbatim(f"{kind}!"),
        say=verbatim("say"),
        advice=(verbatim("do"), verbatim("and do")),
        since_us=FOUND_US,
        events=(b"1",),
    )


def test_a_healthy_user_has_the_texts_of_the_status() -> None:
    head, texts = headline(user(), []), texts_of(user())
    assert (head.first, head.more) == (None, ())
    assert (head.summary, head.say, head.advice, head.since_us) == (texts.reason, texts.say, (texts.advice,), ONLINE_US)


def test_the_first_finding_leads_and_the_others_follow() -> None:
    head = headline(user(), [finding(), finding("old_sdk", "info")])
    assert head.first is not None
    assert (head.first.kind, [one.kind for one in head.more]) == ("calls_failing", ["old_sdk"])
    assert (head.summary, head.say, head.advice, head.since_us) == ("calls_failing!", "say", ("do", "and do"), FOUND_US)
    assert head.reason is None


def test_a_user_never_seen_has_the_text_for_that() -> None:
    head = headline(None, [])
    assert (head.summary, head.since_us) == (texts_of(None).reason, None)


@pytest.mark.parametrize(
    ("kind", "status", "reason", "same"),
    [
        ("kicked_by_other_device", "not_logged_in", "KICKED_OUT", True),
        ("kicked_by_other_device", "not_logged_in", "TOKEN_EXPIRED", False),
        ("token_expired", "not_logged_in", "TOKEN_EXPIRED", True),
        ("token_not_renewed", "not_logged_in", "TOKEN_EXPIRED", True),
        ("login_refused", "not_logged_in", "LOGIN_INTERRUPTED", True),
        ("plan_limit", "not_logged_in", None, True),
        ("never_logged_in", "not_logged_in", None, True),
        ("unstable_network", "offline", "LOGIN_INTERRUPTED", True),
        ("calls_failing", "offline", "LOGIN_INTERRUPTED", False),
        ("calls_failing", "online", "SUCCESS", True),
        ("a_kind_of_tomorrow", "offline", "LOGIN_INTERRUPTED", False),
    ],
)
def test_the_reason_of_the_status_is_not_said_twice(kind: str, status: str, reason: str | None, *, same: bool) -> None:
    head = headline(user(status, reason), [finding(kind)])
    assert (head.reason is None) is same


def test_silence_and_disagreement_are_not_said_twice_either() -> None:
    silent = user(unconfirmed=True)
    assert headline(silent, [finding("silent_device")]).reason is None
    assert headline(silent, [finding("calls_failing")]).reason == texts_of(silent).reason
    apart = user(
        "offline",
        "LOGIN_INTERRUPTED",
        disagreement=Disagreement(client="offline", server="online", since_us=5, reason=""),
    )
    assert headline(apart, [finding("server_disagrees")]).reason is None


def test_a_remark_does_not_hide_that_a_login_has_failed() -> None:
    ended = user("not_logged_in", "UNREGISTERED")
    head = headline(ended, [finding("old_sdk", "info")])
    assert (head.first, [one.kind for one in head.more]) == (None, ["old_sdk"])
    assert head.summary == texts_of(ended).reason
    assert headline(ended, [finding("calls_failing", "warning")]).first is not None
    kicked = user("not_logged_in", "KICKED_OUT")
    assert headline(kicked, [finding("kicked_by_other_device", "info")]).first is not None
