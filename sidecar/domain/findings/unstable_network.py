"""``unstable_network``: a device keeps losing its connection, has been without one for long, or has given up."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from sidecar.domain import error_codes, login_state
from sidecar.domain.alerts.alert import Severity
from sidecar.domain.alerts.naming import device_of
from sidecar.domain.events import CONNECTION_STATE_CHANGED, LOGIN, Event
from sidecar.domain.findings import sources
from sidecar.domain.findings.devices import device_key, is_live, online_beside
from sidecar.domain.findings.finding import HOLDS_US, Check, Finding
from sidecar.domain.findings.life import Life
from sidecar.domain.findings.refused_logins import code_of, is_near, times_of
from sidecar.domain.login_state import LoginState
from sidecar.domain.sdk_words import LOGIN_TIMEOUT, RECONNECTING
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE
from sidecar.domain.texts import Sentence, duration
from sidecar.domain.units import MINUTE_US, SECOND_US

OFTEN: Final = Sentence(
    "finding.unstable_network.often", "%(device)s lost its connection %(count)s times within %(span)s"
)
LONG: Final = Sentence("finding.unstable_network.long", "%(device)s is without a connection, and the SDK keeps trying")
GAVE_UP: Final = Sentence("finding.unstable_network.gave_up", "The SDK could not reach ZIM on %(device)s and gave up")
SAY_LONG: Final = Sentence(
    "finding.unstable_network.say_long",
    "Your device has no connection to the chat service. Please check Wi-Fi or mobile data, or try another network; the "
    "app connects again by itself.",
)
SAY_GAVE_UP: Final = Sentence(
    "finding.unstable_network.say_gave_up",
    "The app could not reach the chat service and has stopped trying. Please check your connection and sign in again.",
)
ADVISE_FALL_BACK: Final = Sentence(
    "finding.unstable_network.advise_fall_back",
    "After DISCONNECTED the SDK tries no more: lead back to the login page, and let the user sign in again.",
)
# A lift, a tunnel or a walk through a house is two or three outages of seconds.
_OUTAGES: Final = 5
_LONG_US: Final = 2 * MINUTE_US
# A login may begin with RECONNECTING: that is no connection that was lost.
_LOGGING_IN_US: Final = 10 * SECOND_US


class UnstableNetwork(Check):
    """Outages are changes to offline: the SDK repeats RECONNECTING for each retry."""

    kind = "unstable_network"
    severity = "warning"
    types = frozenset({CONNECTION_STATE_CHANGED})
    title = Sentence("finding.unstable_network", "The network is unstable")
    evidence = Sentence(
        "finding.unstable_network.evidence",
        "Changes to RECONNECTING, but for the first after a call of login and within 10 s of it; DISCONNECTED / "
        "LOGIN_TIMEOUT.",
    )
    threshold = Sentence(
        "finding.unstable_network.threshold",
        "Five outages of one device within 30 minutes, one outage of two minutes that still lasts, or LOGIN_TIMEOUT. "
        "Info while another device is online.",
    )
    lifetime = Sentence(
        "finding.unstable_network.lifetime",
        "While five outages are less than 30 minutes old; until the device is connected again, or silent; until the "
        "next connection.",
    )
    say = Sentence(
        "finding.unstable_network.say",
        "Your connection keeps breaking off, as hotel or office Wi-Fi often does. Please try mobile data or another "
        "network; the app connects again by itself.",
    )
    advice = (
        Sentence(
            "finding.unstable_network.advice",
            "The SDK reconnects by itself: do not call login for it. Show that there is no connection, and keep what "
            "could not be sent.",
        ),
        ADVISE_FALL_BACK,
    )
    source = sources.RECONNECTING

    @classmethod
    def find(cls, life: Life) -> Finding | None:
        """The device with the most outages; else the one that is offline for longest; else a login given up."""
        return cls._often(life) or cls._long(life) or cls._gave_up(life)

    @classmethod
    def _often(cls, life: Life) -> Finding | None:
        by_device: dict[str | bytes, list[Event]] = defaultdict(list)
        for own in life.of_client.values():
            if sum(event.connection_state == RECONNECTING for event in own):
                for event in outages(own):
                    if event.moment_us > life.now_us - HOLDS_US:
                        by_device[device_key(event)].append(event)
        lost = max(by_device.values(), key=len, default=[])
        if len(lost) < _OUTAGES:
            return None
        lost.sort(key=lambda event: event.moment_us)
        span = duration(lost[-1].moment_us - lost[0].moment_us)
        summary = OFTEN(device=device_of(lost[-1]).text, count=len(lost), span=span)
        return cls.found(summary, lost, advice=[cls.advice[0]()], severity=_severity(life, lost))

    @classmethod
    def _long(cls, life: Life) -> Finding | None:
        found: list[tuple[int, list[Event]]] = []
        for client_id, own in life.of_client.items():
            if life.status_of(client_id) == OFFLINE and is_live(life, client_id):
                device = life.device(client_id)
                since_us = login_state.fold(own).since_us if device is None else device.since_us
                tries = [event for event in own if event.connection_state == RECONNECTING]
                if since_us is not None and since_us <= life.now_us - _LONG_US and tries:
                    found.append((since_us, tries))
        if not found:
            return None
        since_us, tries = min(found, key=lambda one: (one[0], one[1][-1].id))
        tries = [event for event in tries if event.moment_us >= since_us] or tries[-1:]
        summary = LONG(device=device_of(tries[-1]).text)
        return cls.found(
            summary,
            tries,
            say=SAY_LONG(),
            advice=[cls.advice[0]()],
            severity=_severity(life, tries),
            since_us=since_us,
        )

    @classmethod
    def _gave_up(cls, life: Life) -> Finding | None:
        if life.status != NOT_LOGGED_IN or life.reason != LOGIN_TIMEOUT:
            return None
        ends = [event for event in life.events if event.connection_event == LOGIN_TIMEOUT]
        unreached = [event for event in life.failed_logins if code_of(event) in error_codes.NETWORK]
        if not ends or is_near(ends[-1], times_of(unreached)):
            return None  # else login_refused says it, with the code
        summary = GAVE_UP(device=device_of(ends[-1]).text)
        return cls.found(summary, ends[-1:], say=SAY_GAVE_UP(), advice=[ADVISE_FALL_BACK()])


def outages(own: list[Event]) -> list[Event]:
    """The events with which a client lost its connection, from its events in the order of ``seq``."""
    state = LoginState()
    lost = []
    login: Event | None = None
    for event in own:
        before = state.outages
        login_state.apply(state, event)
        if event.type == LOGIN:
            login = event
        elif state.outages > before:
            if login is None or event.moment_us - login.moment_us >= _LOGGING_IN_US:
                lost.append(event)
            login = None
    return lost


def _severity(life: Life, evidence: list[Event]) -> Severity:
    others = online_beside(life, {event.client_id for event in evidence})
    return "info" if others else UnstableNetwork.severity
