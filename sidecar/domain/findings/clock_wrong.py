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
from sidecar.domain.units import DAY_US, HOUR_US, MINUTE_US, SECOND_US

AHEAD: Final = Sentence("finding.clock_wrong.ahead", "The clock of %(device)s is %(off)s ahead")
BEHIND: Final = Sentence("finding.clock_wrong.behind", "The clock of %(device)s is %(off)s behind")
AND_TOKEN: Final = Sentence("finding.clock_wrong.token", "%(clock)s: to it the token looks expired or not valid")
SAY_TOKEN: Final = Sentence(
    "finding.clock_wrong.say_token",
    "The date or time of your device is wrong, and so it cannot stay signed in. Please switch on automatic date and "
    "time in its settings, then sign in again.",
)
# Codes of a token whose times do not fit the clock that they are compared with.
_CODES: Final = frozenset({error_codes.TOKEN_EXPIRED, 6_000_108, 6_000_109})
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
        "More than 60 s (info). Critical where a token of that device expired more than 60 s before or after its end, "
        "or was refused for its times, in the last 30 minutes; where its end is not known, from five minutes on.",
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
        worst = max(wrong, key=lambda event: (abs(clock_off_us(event)), event.id))
        off_us = clock_off_us(worst)
        clock = (AHEAD if off_us > 0 else BEHIND)(device=device_of(worst).text, off=_rounded(abs(off_us)))
        trouble = [event for event in life.recent if _is_trouble(life, event, worst)]
        evidence = [*trouble, worst]
        if trouble:
            return cls.found(AND_TOKEN(clock=clock), evidence, say=SAY_TOKEN())
        return cls.found(clock, evidence, severity="info")


def _is_trouble(life: Life, event: Event, worst: Event) -> bool:
    """Whether it is trouble of a token that the clock of the device may have caused."""
    if device_key(event) != device_key(worst):
        return False
    if code_of(event) in _CODES:
        return True
    has_ended = event.connection_event == TOKEN_EXPIRED
    if not has_ended and (event.type != TOKEN_WILL_EXPIRE or left_us(event) > 0):
        return False
    ends_us = _token_ends_us(life.of_client[event.client_id], event)
    if ends_us is None:
        return abs(clock_off_us(worst)) >= _ENDS_TOKENS_US
    # A clock that is ahead ends tokens early; one that is behind warns of their end too late.
    return abs(event.moment_us - ends_us) > CLOCK_WRONG_US


def _token_ends_us(own: list[Event], before: Event) -> int | None:
    """When the token of a client ends, by the clock of the server that made it; None if that is not known."""
    ends = [event.details.get("token_expires_at_us") for event in own if event.order < before.order]
    return next((one for one in reversed(ends) if isinstance(one, int)), None)


def _rounded(us: int) -> Text:
    """A difference in its largest unit, rounded."""
    unit_us = next((unit for unit in (DAY_US, HOUR_US, MINUTE_US) if us >= 2 * unit), SECOND_US)
    return duration(round(us / unit_us) * unit_us)
