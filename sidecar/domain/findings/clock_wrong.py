"""``clock_wrong``: the clock of a device is off by more than a minute."""

from __future__ import annotations

from typing import Final

from sidecar.domain import error_codes
from sidecar.domain.alerts.naming import device_of
from sidecar.domain.events import TOKEN_WILL_EXPIRE, Event
from sidecar.domain.findings import sources
from sidecar.domain.findings.devices import device_key, is_live, newest_of_devices
from sidecar.domain.findings.finding import HOLDS_US, Check, Finding
from sidecar.domain.findings.life import Life
from sidecar.domain.findings.refused_logins import code_of
from sidecar.domain.findings.token_time import left_us
from sidecar.domain.moment import CLOCK_WRONG_US, clock_off_us, wrong_by_us
from sidecar.domain.sdk_words import TOKEN_EXPIRED
from sidecar.domain.texts import Sentence, Text, duration
from sidecar.domain.token04.problems import LONGEST_US, SHORTEST_US
from sidecar.domain.units import DAY_US, HOUR_US, MINUTE_US, SECOND_US

AHEAD: Final = Sentence("finding.clock_wrong.ahead", "The clock of %(device)s is %(off)s ahead")
BEHIND: Final = Sentence("finding.clock_wrong.behind", "The clock of %(device)s is %(off)s behind")
TOKEN_ENDS_EARLY: Final = Sentence("finding.clock_wrong.token", "%(clock)s: to it the token looks expired")
TOKEN_ENDS_LATE: Final = Sentence(
    "finding.clock_wrong.token_late", "%(clock)s: to it the token ends later than it does, or lives too long"
)
SAY_TOKEN: Final = Sentence(
    "finding.clock_wrong.say_token",
    "The date or time of your device is wrong, and so it cannot stay signed in. Please switch on automatic date and "
    "time in its settings, then sign in again.",
)
# Codes of a token that seems to have less left than this, or more: only a clock that is ahead, or behind, causes them.
_TOO_SHORT_US: Final[dict[int | None, int]] = {
    error_codes.TOKEN_EXPIRED: 0,
    error_codes.TOKEN_LIVES_SHORT: SHORTEST_US,
}
_TOO_LONG_US: Final[dict[int | None, int]] = {error_codes.TOKEN_LIVES_LONG: LONGEST_US}
# Where the end of the token is not known, a clock that is off by less is not suspected.
_ENDS_TOKENS_US: Final = 5 * MINUTE_US


class ClockWrong(Check):
    """Of several devices the one that is most wrong. Without trouble of its token it is only worth knowing."""

    kind = "clock_wrong"
    severity = "critical"
    title = Sentence("finding.clock_wrong", "The device's clock is wrong")
    evidence = Sentence(
        "finding.clock_wrong.evidence",
        "The newest event of a device, as far as its time differs from that at which it happened by Zimwatch's clock.",
    )
    threshold = Sentence(
        "finding.clock_wrong.threshold",
        "More than 60 s (info). Critical where it explains what happened to a token of that device in the last 30 "
        "minutes, because the token looks so to it: a clock that is ahead explains 6000106, 6000108, and an expiry "
        "more than 60 s before the token's end; one that is behind explains 6000109, and an expiry more than 60 s "
        "after the end. Where the end is not known, five minutes ahead explain the former, and five minutes behind "
        "6000109.",
    )
    lifetime = Sentence(
        "finding.clock_wrong.lifetime", "While the device is live, or its newest event is less than 30 minutes old."
    )
    say = Sentence(
        "finding.clock_wrong.say",
        "The date or time of your device is wrong. Please switch on automatic date and time in its settings.",
    )
    advice = (
        Sentence(
            "finding.clock_wrong.advice",
            "Take the times of tokens from your server's clock, and never compare them with the device's. If a token "
            "looks expired at once, ask the user to set the clock.",
        ),
    )
    source = sources.TOKENS

    @classmethod
    def find(cls, life: Life) -> Finding | None:
        """The device whose clock is most wrong, of those that are live or were heard lately."""
        newest: dict[str | bytes, Event] = {}
        for event in sorted(newest_of_devices(life), key=lambda event: (event.moment_us, event.id)):
            newest[device_key(event)] = event
        after_us = life.now_us - HOLDS_US
        wrong = [
            event
            for event in newest.values()
            if wrong_by_us(clock_off_us(event)) and (event.moment_us > after_us or is_live(life, event.client_id))
        ]
        if not wrong:
            return None
        caused = {event.id: _caused(life, event) for event in wrong}
        worst = max(wrong, key=lambda event: (bool(caused[event.id]), abs(clock_off_us(event)), event.id))
        trouble, off_us = caused[worst.id], clock_off_us(worst)
        clock = (AHEAD if off_us > 0 else BEHIND)(device=device_of(worst).text, off=_rounded(abs(off_us)))
        evidence = [*trouble, worst]
        if trouble:
            summary = TOKEN_ENDS_EARLY if off_us > 0 else TOKEN_ENDS_LATE
            return cls.found(summary(clock=clock), evidence, say=SAY_TOKEN())
        return cls.found(clock, evidence, severity="info")


def _caused(life: Life, newest: Event) -> list[Event]:
    """The recent trouble of tokens that the clock of a device explains."""
    device, off_us, after_us = device_key(newest), clock_off_us(newest), life.now_us - HOLDS_US
    found = []
    for own in life.of_client.values():
        ends_us: int | None = None  # by the clock of the server that made the token
        for event in own:
            reported = event.details.get("token_expires_at_us")
            ends_us = reported if isinstance(reported, int) else ends_us
            if event.moment_us > after_us and device_key(event) == device:
                token_us = None if ends_us is None else ends_us - event.moment_us
                found += [event] if _explains(off_us, event, token_us) else []
    return found


def _explains(off_us: int, event: Event, token_us: int | None) -> bool:
    """Whether a clock that is off explains an event, with so much left of the token; None: that is not known."""
    code = code_of(event)
    if code in _TOO_SHORT_US and off_us > 0:
        least_us = _TOO_SHORT_US[code]
        return off_us >= _ENDS_TOKENS_US if token_us is None else token_us > least_us >= token_us - off_us
    if code in _TOO_LONG_US and off_us < 0:
        most_us = _TOO_LONG_US[code]
        return off_us <= -_ENDS_TOKENS_US if token_us is None else token_us <= most_us < token_us - off_us
    warned_late = event.type == TOKEN_WILL_EXPIRE and left_us(event) == 0
    if not warned_late and event.connection_event != TOKEN_EXPIRED:
        return False
    if token_us is None:
        return off_us >= _ENDS_TOKENS_US
    # Expired too early, and to a clock that is ahead in time; or too late, and to one that is behind in time.
    seen_us = token_us - off_us
    return seen_us <= CLOCK_WRONG_US < token_us if off_us > 0 else token_us < -CLOCK_WRONG_US <= seen_us


def _rounded(us: int) -> Text:
    """A difference in its largest unit, rounded."""
    unit_us = next((unit for unit in (DAY_US, HOUR_US, MINUTE_US) if us >= 2 * unit), SECOND_US)
    return duration(round(us / unit_us) * unit_us)
