"""What a page says about an alert stays true however long the alert has fired."""

from __future__ import annotations

import re

import pytest

from dashboard.text.alert_summary import TIMELESS, alert_summary
from sidecar.alerting.pending import Pending
from sidecar.domain.alerts.alert import FIRING, RESOLVED, Alert, State, Subject
from sidecar.domain.alerts.rules.export_stalled import ExportStalled
from sidecar.domain.alerts.rules.kick_ping_pong import PING_PONG
from sidecar.domain.alerts.rules.offline_too_long import OfflineTooLong
from sidecar.domain.alerts.rules.token_expiring import TOKEN_EXPIRING, TOKENS_EXPIRING
from sidecar.domain.texts import Sentence, Text, duration, verbatim
from sidecar.domain.units import MINUTE_US

# "for 59 min", "ends in 30 s", "end within 1 h": what only holds when it is said.
PASSES = re.compile(r"\bfor %\(span\)s|\bends? (in|within) %\(span\)s|%\(span\)s (ago|behind)")
SPAN = duration(59 * MINUTE_US)
# What ends an alert is said once it is over.
ENDINGS = {"fewer_expire", "no_more_failures", "nobody_refused"}


def alert(summary: Text, state: State) -> Alert:
    return Alert(
        id=1,
        kind="offline_too_long",
        fingerprint="f",
        subject=Subject(1, "alice"),
        severity="warning",
        started_at_us=0,
        opened_at_us=0,
        summary=summary,
        state=state,
    )


def test_every_summary_whose_duration_goes_by_has_one_without_it() -> None:
    passing = {one.id for one in Sentence.known.values() if PASSES.search(one.template)}
    assert passing - ENDINGS == set(TIMELESS)


@pytest.mark.parametrize(
    ("summary", "firing", "resolved"),
    [
        (OfflineTooLong.summary("alice", 59 * MINUTE_US), "alice is offline", "alice was offline"),
        (
            TOKEN_EXPIRING(who="dave", span=duration(30_000_000)),
            "dave: the token is about to expire and is not renewed yet",
            "dave: the token was about to expire",
        ),
        (
            TOKENS_EXPIRING(count="1,200", span=SPAN, share="60%"),
            "Many tokens end within 59 min: those of 1,200 users when the alert began",
            "Many tokens ended within 59 min: those of 1,200 users when the alert began",
        ),
        (
            ExportStalled.summary("spans", 59 * MINUTE_US, verbatim("HTTP 503")),
            "spans: nothing is delivered (HTTP 503)",
            "spans: nothing was delivered (HTTP 503)",
        ),
        (
            PING_PONG(who="bob", count=9, span=SPAN),
            "bob: two devices kick each other out, 9 times within 59 min",
            "bob: two devices kick each other out, 9 times within 59 min",
        ),
    ],
)
def test_a_summary_holds_whenever_it_is_read(summary: Text, firing: str, resolved: str) -> None:
    assert alert_summary(alert(summary, FIRING)) == firing
    assert alert_summary(alert(summary, RESOLVED)) == resolved


def test_a_pending_alert_says_what_holds_now() -> None:
    pending = Pending(
        kind="offline_too_long",
        subject=Subject(1, "alice"),
        started_at_us=0,
        fires_at_us=1,
        summary=OfflineTooLong.summary("alice", 59 * MINUTE_US),
    )
    assert alert_summary(pending) == "alice is offline"
