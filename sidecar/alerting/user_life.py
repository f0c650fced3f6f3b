"""A user's life, read from the store: what its findings are made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from sidecar.alerting.tables import storm_rows
from sidecar.domain import findings
from sidecar.domain.findings import Finding, Life
from sidecar.domain.sdk_words import ENDS_LOGIN
from sidecar.domain.status import NOT_LOGGED_IN
from sidecar.store.users import user_reads
from sidecar.store.values import StoredEvent, UserDetail

# Findings are made from so many of the newest events, from up to EVENTS_LATELY where more were received within the time
# that findings hold, and from the event that ended the login, which is looked for in so many before these.
EVENTS: Final = 200
EVENTS_LATELY: Final = 1_000
LOOKED_AT: Final = 2_000
_STORMS: Final = 3


def user_findings(connection: sa.Connection, detail: UserDetail, now_us: int) -> list[Finding]:
    """What is wrong with a user, from the events that :func:`newest_events` reads."""
    return findings.find(life(connection, detail, newest_events(connection, detail, now_us), now_us))


def newest_events(connection: sa.Connection, detail: UserDetail, now_us: int) -> list[StoredEvent]:
    """The newest :data:`EVENTS` of a user, newest first; more where these do not have all that findings need.

    An event that happened lately was received lately: all such are read, up to :data:`EVENTS_LATELY`, so that a device
    that sends what it kept for hours displaces none. The event that logged the user out for good is found also behind
    those of an app that keeps calling the SDK.
    """
    user = detail.user
    stored: list[StoredEvent] = []
    while not stored or (
        len(stored) % EVENTS == 0
        and len(stored) < EVENTS_LATELY
        and stored[-1].event.received_at_us > now_us - findings.HOLDS_US
    ):
        before = stored[-1].position if stored else None
        more = user_reads.timeline(connection, user.app_id, user.user_id, before=before, limit=EVENTS)
        if not more:
            break
        stored += more
    is_ended = user.status == NOT_LOGGED_IN and user.reason in ENDS_LOGIN
    if not is_ended or len(stored) < EVENTS or any(one.event.connection_event == user.reason for one in stored):
        return stored
    ending = user_reads.newest_connection_event(
        connection, user.app_id, user.user_id, str(user.reason), before=stored[-1].position, within=LOOKED_AT
    )
    return stored if ending is None else [*stored, ending]


def life(connection: sa.Connection, detail: UserDetail, stored: Sequence[StoredEvent], now_us: int) -> Life:
    """The life of a user at ``now_us``, also a past moment: from its events until then, and the storms that fired."""
    user = detail.user
    # A clock that was set back: what was received has happened.
    now_us = max([now_us, *(one.event.received_at_us for one in stored)])
    storms = storm_rows.of_user_at(connection, user.app_id, user.user_id, now_us, _STORMS)
    return life_of(detail, user.user_id, stored, now_us, disagreement=user.disagreement, storms=storms)


def life_of(detail: UserDetail, called: str, stored: Sequence[StoredEvent], now_us: int, **more: object) -> Life:
    """The life of a user whom its findings name ``called``: from what is given alone."""
    user = detail.user
    return Life.of(
        now_us,
        called,
        [one.event for one in stored],
        devices=detail.sessions,
        status=user.status,
        since_us=user.since_us,
        reason=user.reason,
        unconfirmed=user.unconfirmed,
        **more,
    )
