"""``kicked_by_other_device``: devices were logged out because of another login of the user."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

from sidecar.domain import sdk_words
from sidecar.domain.alerts.alert import Severity
from sidecar.domain.alerts.naming import device_of, user_name
from sidecar.domain.alerts.rules.kick_ping_pong import KICKS_TO_AND_FRO, PING_PONG
from sidecar.domain.alerts.rules.kicked_out import UPDATE_SDK, kick_summary, kicks_itself_no_more
from sidecar.domain.alerts.rules.login_ended import LOG_IN_AGAIN
from sidecar.domain.events import API_ERROR, CONNECTION_STATE_CHANGED, LOGIN, Event
from sidecar.domain.findings import login_end, sources
from sidecar.domain.findings.devices import names
from sidecar.domain.findings.finding import HOLDS_US, Check, Finding
from sidecar.domain.findings.life import Life
from sidecar.domain.findings.login_end import Aftermath
from sidecar.domain.kick import Cause, cause_of
from sidecar.domain.texts import Sentence, Text, duration
from sidecar.domain.units import MINUTE_US

KICKED_OFTEN: Final = Sentence("finding.kicked_often", "%(what)s; the last of %(count)s kicks within %(span)s")
BY_UNKNOWN: Final = Sentence("finding.kicked_by_unknown", "%(what)s; which other device logged in is not known")
RING: Final = Sentence(
    "finding.kicked.ring", "%(who)s: %(devices)s devices kick each other out, %(count)s times within %(span)s"
)
# So many kicks are no change of devices.
_MANY: Final = 3
_TWO: Final = 2
# Devices that have not kicked each other for so long have stopped, and a user has got used to the other device.
_OVER_US: Final = 10 * MINUTE_US
# Of the calls that failed because of a kick, the newest are evidence.
_CALLS: Final = 10

_SAY_TWO: Final = Sentence(
    "finding.kicked.say_two",
    "Two of your devices sign each other out: %(device)s and %(other)s. Please close the app on the one that you do "
    "not need now; %(device)s was signed out last.",
)
_SAY_RING: Final = Sentence(
    "finding.kicked.say_ring",
    "Your devices sign each other out: %(devices)s. Please keep the app on the one that you need now, and close it on "
    "the others; %(device)s was signed out last.",
)
_SAY_UNNAMED: Final = Sentence(
    "finding.kicked.say_unnamed",
    "Two of your devices sign each other out. Please close the app on all devices but the one that you need now.",
)
_SAY_SAME: Final = Sentence(
    "finding.kicked.say_same",
    "The app runs twice, both times on %(device)s, and one signs the other out. Please close all but one: another "
    "device, another window, or another copy of the app.",
)
_SAY_BY: Final = Sentence(
    "finding.kicked.say_by",
    "You were signed out on %(device)s because you signed in on %(other)s. Please sign in again on the device that you "
    "want to use. If you do not know the other one, change your password.",
)
_SAY_ITSELF: Final = Sentence(
    "finding.kicked.say_itself",
    "You were signed out on %(device)s after its connection had dropped, perhaps by its own old connection; no other "
    "device need be involved. Please sign in again.",
)
_SAY_ITSELF_UNNAMED: Final = Sentence(
    "finding.kicked.say_itself_unnamed",
    "You were signed out after your connection had dropped, perhaps by your device's own old connection; no other "
    "device need be involved. Please sign in again.",
)
_SAY_AGAIN: Final = Sentence(
    "finding.kicked.say_again",
    "You were signed out on %(device)s because of another sign-in with your account, and have signed in again since. "
    "If it happens again, close the app on your other devices.",
)
_SAY_AGAIN_UNNAMED: Final = Sentence(
    "finding.kicked.say_again_unnamed",
    "You were signed out because of another sign-in with your account, and have signed in again since. If it happens "
    "again, close the app on your other devices.",
)
_ADVISE_RING: Final = Sentence(
    "finding.kicked.advise_ring",
    "Several devices log each other out, most often because the app calls login again when it is kicked out: lead back "
    "to the login page instead, and let the user keep one and close the others.",
)
_SEVERAL_DEVICES: Final = Sentence(
    "finding.kicked.several_devices",
    "If users may use several devices at a time, turn on multi-device login for the app (SDK 2.11.0 and newer, by "
    "plan).",
)


class _Kicks(msgspec.Struct, frozen=True):
    """The last kicks, at most half an hour from one to the next; ``mutual``: how many of the last went to and fro.

    ``other`` is an event of the other device of the newest one, None if it is not known. ``between`` has an event of
    each device that can be told apart of those that kick each other out, in the order of their names.
    """

    kicks: Sequence[Event]
    mutual: int
    cause: Cause
    other: Event | None
    between: Sequence[Event]

    @property
    def is_ring(self) -> bool:
        """Whether more than two devices kick each other out."""
        return self.mutual > 1 and len(self.between) > _TWO

    @property
    def last(self) -> Event:
        return self.kicks[-1]


class KickedByOtherDevice(Check):
    """The kicks of a user, to and fro or single, and what came of them."""

    kind = "kicked_by_other_device"
    severity = "critical"
    title = Sentence("finding.kicked_by_other_device", "Kicked out by another device")
    types = frozenset({CONNECTION_STATE_CHANGED, LOGIN, API_ERROR})
    evidence = Sentence(
        "finding.kicked.evidence",
        "KICKED_OUT callbacks; the login on another device from two minutes before the last one to ten seconds after "
        "it; and calls that failed with 6000121 since.",
    )
    threshold = Sentence(
        "finding.kicked.threshold",
        "One: critical while the user is logged in nowhere because of it; warning while another device is logged in, "
        "and info after ten minutes of that; info once the user has logged in again. Three or more, less than half an "
        "hour apart: critical until ten minutes after the last one.",
    )
    lifetime = Sentence(
        "finding.kicked.lifetime",
        "While the user is logged in nowhere because of it; otherwise until the last kick, or the last call that "
        "failed because of it, is 30 minutes old.",
    )
    say = Sentence(
        "finding.kicked.say",
        "You were signed out because of another sign-in with your account. Have you signed in on another device? If "
        "so, use that one, or sign in again here. If not, change your password.",
    )
    advice = (LOG_IN_AGAIN, KICKS_TO_AND_FRO, _ADVISE_RING, _SEVERAL_DEVICES, UPDATE_SDK)
    source = sources.MANAGE_LOGIN

    @classmethod
    def find(cls, life: Life) -> Finding | None:
        """What is known of the last kicks."""
        found = _last_kicks(life)
        if found is None:
            return None
        after = login_end.aftermath(life, found.last, found.cause.login)
        by = [] if found.cause.login is None else [found.cause.login]
        evidence = [*found.kicks, *by, *life.refused_after(sdk_words.KICKED_OUT)[-_CALLS:]]
        is_over = max(event.moment_us for event in evidence) <= life.now_us - _OVER_US
        return cls.found_while_it_holds(
            life,
            _summary(life, found, after),
            evidence,
            is_lasting=after == "cut_off",
            say=_say_ring(found) if found.is_ring else _say(found, after),
            advice=_advice(found, after),
            severity=_severity(found, after, is_over=is_over),
            since_us=found.kicks[0].moment_us,
        )


def _last_kicks(life: Life) -> _Kicks | None:
    kicks = [event for event in life.events if event.connection_event == sdk_words.KICKED_OUT]
    if not kicks:
        return None
    begin = max((place for place, (one, next_) in enumerate(pairwise(kicks), 1) if _apart(one, next_)), default=0)
    kicks = kicks[begin:]
    last = kicks[-1]
    mutual = 1
    for one, next_ in pairwise(kicks):
        mutual = 1 if _key(one) == _key(next_) else mutual + 1
    cause = cause_of(last, life.events)
    before = next((one for one in reversed(kicks) if _key(one) != _key(last)), None)
    other = cause.login or before
    taking_part = [*([] if other is None else [other]), *kicks[-mutual:]]
    between = {(one.platform, one.device_id): one for one in taking_part if device_of(one).is_named}
    in_order = sorted(between.values(), key=lambda one: (one.platform or "", one.device_id or ""))
    return _Kicks(kicks, mutual, cause, other, in_order)


def _apart(kick: Event, after: Event) -> bool:
    return after.moment_us - kick.moment_us > HOLDS_US


def _key(kick: Event) -> str:
    return kick.device_id or kick.client_id.hex()


def _severity(found: _Kicks, after: Aftermath, *, is_over: bool) -> Severity:
    if len(found.kicks) >= _MANY and after != "cut_off":
        return "warning" if is_over else "critical"
    if len(found.kicks) > 1 and after == "again":
        return "warning"
    return "info" if after == "elsewhere" and is_over else login_end.SEVERITIES[after]


def _summary(life: Life, found: _Kicks, after: Aftermath) -> Text:
    who = user_name(life.user_id)
    count, span = len(found.kicks), duration(found.last.moment_us - found.kicks[0].moment_us)
    if found.is_ring:
        return RING(who=who, devices=len(found.between), count=count, span=span)
    if found.mutual > 1:
        return PING_PONG(who=who, count=count, span=span)
    summary = kick_summary(life.user_id, found.last, found.cause)
    if found.cause == Cause():
        summary = BY_UNKNOWN(what=summary)
    if count > 1:
        summary = KICKED_OFTEN(what=summary, count=count, span=span)
    return login_end.with_aftermath(summary, after)


def _say(found: _Kicks, after: Aftermath) -> Text:
    own = device_of(found.last)
    other = None if found.other is None else device_of(found.other)
    if not own.is_named or (other is not None and not other.is_named):
        return _say_unnamed(found, after)
    device = own.text
    if other is not None and other.text == device:
        return _SAY_SAME(device=device)
    if other is not None and found.mutual > 1:
        return _SAY_TWO(device=device, other=other.text)
    if after == "again":
        return _SAY_AGAIN(device=device)
    if other is not None:
        return _SAY_BY(device=device, other=other.text)
    return _SAY_ITSELF(device=device) if found.cause.may_be_itself else KickedByOtherDevice.say()


def _say_ring(found: _Kicks) -> Text:
    return _SAY_RING(devices=names(found.between), device=device_of(found.last).text)


def _say_unnamed(found: _Kicks, after: Aftermath) -> Text:
    if found.mutual > 1:
        return _SAY_UNNAMED()
    if after == "again":
        return _SAY_AGAIN_UNNAMED()
    return _SAY_ITSELF_UNNAMED() if found.other is None and found.cause.may_be_itself else KickedByOtherDevice.say()


def _advice(found: _Kicks, after: Aftermath) -> list[Text]:
    if found.is_ring:
        return [_ADVISE_RING(), _SEVERAL_DEVICES()]
    if found.mutual > 1:
        return [KICKS_TO_AND_FRO(), _SEVERAL_DEVICES()]
    if not found.cause.may_be_itself:
        return [*login_end.to_log_in(after), _SEVERAL_DEVICES()]
    mended = kicks_itself_no_more(found.last.sdk_version)
    return [*login_end.to_log_in(after), *([] if mended else [UPDATE_SDK()])]
