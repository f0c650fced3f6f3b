"""What became of a user after a device was logged out: by a kick, or because its token expired."""

from __future__ import annotations

from typing import Final, Literal

from sidecar.domain.alerts.alert import Severity
from sidecar.domain.alerts.rules.login_ended import LOG_IN_AGAIN
from sidecar.domain.events import Event
from sidecar.domain.findings.life import Life
from sidecar.domain.kick import last_login
from sidecar.domain.status import NOT_LOGGED_IN
from sidecar.domain.texts import Sentence, Text

# cut_off: no device is logged in, because of it. again: logged in since. elsewhere: another device is logged in, and
# was before it. over: no device is logged in, for another reason.
Aftermath = Literal["cut_off", "again", "elsewhere", "over"]
SEVERITIES: Final[dict[Aftermath, Severity]] = {
    "cut_off": "critical",
    "again": "info",
    "elsewhere": "warning",
    "over": "warning",
}
_AGAIN: Final = Sentence("finding.logged_in_since", "%(what)s; logged in again since")


def aftermath(life: Life, end: Event, by: Event | None = None) -> Aftermath:
    """What became of the user after ``end``, the callback. ``by``: the login on another device that caused it."""
    if life.status == NOT_LOGGED_IN:
        return "cut_off" if life.reason == end.connection_event else "over"
    for client_id, own in life.of_client.items():
        if life.status_of(client_id) == NOT_LOGGED_IN:
            continue
        login = last_login(own, life.now_us)
        if login is not None and login.moment_us >= end.moment_us and (by is None or login.id != by.id):
            return "again"
    return "elsewhere"


def with_aftermath(summary: Text, after: Aftermath) -> Text:
    """The summary, and whether the user has logged in since."""
    return _AGAIN(what=summary) if after == "again" else summary


def to_log_in(after: Aftermath) -> list[Text]:
    """The advice to let the user log in again, unless that has happened."""
    return [] if after == "again" else [LOG_IN_AGAIN()]
