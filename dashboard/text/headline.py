"""What the head of a user's page says: the first finding where there is one, else the texts of the status. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from dashboard.text.status_texts import StatusTexts, texts_of
from dashboard.text.translate import translate
from sidecar.domain.findings import Finding
from sidecar.domain.sdk_words import FAILURES, KICKED_OUT, LOGIN_INTERRUPTED, LOGIN_TIMEOUT, TOKEN_EXPIRED
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE
from sidecar.store.values import UserRow

# Findings that say the same as the reason of a status: (status, reason).
_SAME: Final[dict[str, frozenset[tuple[str, str | None]]]] = {
    "kicked_by_other_device": frozenset({(NOT_LOGGED_IN, KICKED_OUT)}),
    "token_expired": frozenset({(NOT_LOGGED_IN, TOKEN_EXPIRED)}),
    "token_not_renewed": frozenset({(NOT_LOGGED_IN, TOKEN_EXPIRED)}),
    "login_refused": frozenset((NOT_LOGGED_IN, reason) for reason in (LOGIN_INTERRUPTED, LOGIN_TIMEOUT, None)),
    "plan_limit": frozenset((NOT_LOGGED_IN, reason) for reason in (LOGIN_INTERRUPTED, LOGIN_TIMEOUT, None)),
    "never_logged_in": frozenset((NOT_LOGGED_IN, reason) for reason in (LOGIN_INTERRUPTED, LOGIN_TIMEOUT, None)),
    "unstable_network": frozenset({(OFFLINE, LOGIN_INTERRUPTED)}),
}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A finding as it is shown; ``events`` are the ids of its evidence, of which one ``is_unproven``."""

    kind: str
    severity: str
    summary: str
    say: str
    advice: tuple[str, ...]
    since_us: int
    events: tuple[bytes, ...]
    is_unproven: bool


class Headline(msgspec.Struct, frozen=True, kw_only=True):
    """``first`` is the finding that leads; None: the status does. ``more`` are the findings below the head.

    ``summary``, ``say``, ``advice`` and ``since_us`` are those of what leads. ``reason`` is the status's own sentence,
    None where the head has it already or where it adds nothing to the status.
    """

    first: Said | None
    more: tuple[Said, ...]
    summary: str
    say: str
    advice: tuple[str, ...]
    since_us: int | None
    reason: str | None


def headline(user: UserRow | None, findings: Sequence[Finding], *, kicked_itself: bool = False) -> Headline:
    """For a user, None for one never seen; ``findings`` in their order, in the language of the request."""
    texts = texts_of(user, kicked_itself=kicked_itself)
    said = [_said(finding) for finding in findings]
    if user is None or not said or _status_is_graver(user, findings[0]):
        return Headline(
            first=None,
            more=tuple(said),
            summary=texts.reason,
            say=texts.say,
            advice=(texts.advice,),
            since_us=user.since_us if user else None,
            reason=None,
        )
    first = said[0]
    return Headline(
        first=first,
        more=tuple(said[1:]),
        summary=first.summary,
        say=first.say,
        advice=first.advice,
        since_us=first.since_us,
        reason=_reason(user, texts, findings[0]),
    )


def _said(finding: Finding) -> Said:
    return Said(
        kind=finding.kind,
        severity=finding.severity,
        summary=translate(finding.summary),
        say=translate(finding.say),
        advice=tuple(translate(text) for text in finding.advice),
        since_us=finding.since_us,
        events=finding.events,
        is_unproven=finding.is_unproven,
    )


def _status_is_graver(user: UserRow, finding: Finding) -> bool:
    """Whether a login has failed and the finding is a mere remark about something else."""
    failed = user.status == NOT_LOGGED_IN and user.reason in FAILURES
    return failed and finding.severity == "info" and not _is_same(user, finding)


def _is_same(user: UserRow, finding: Finding) -> bool:
    if finding.kind == "silent_device":
        return user.unconfirmed
    if finding.kind == "server_disagrees":
        return user.disagreement is not None
    return (user.status, user.reason) in _SAME.get(finding.kind, ())


def _reason(user: UserRow, texts: StatusTexts, finding: Finding) -> str | None:
    is_plain = user.status == ONLINE and not user.unconfirmed
    return None if is_plain or _is_same(user, finding) else texts.reason
