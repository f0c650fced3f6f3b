"""``never_logged_in``: there are events of the user, and no device has ever reported a connection."""

from __future__ import annotations

from typing import Final

from sidecar.domain.events import LOGIN, LOGIN_RESULT, SERVER_USER_ACTION
from sidecar.domain.findings import sources
from sidecar.domain.findings.finding import Check, Finding
from sidecar.domain.findings.life import Life
from sidecar.domain.findings.refused_logins import is_connected, logged_in_after
from sidecar.domain.sdk_words import LOGIN_INTERRUPTED
from sidecar.domain.status import NOT_LOGGED_IN
from sidecar.domain.texts import Sentence
from sidecar.domain.units import SECOND_US

PENDING: Final = Sentence(
    "finding.never_logged_in.pending", "login was called, and neither its result nor a connection has been reported"
)
NOT_REPORTED: Final = Sentence(
    "finding.never_logged_in.not_reported", "login succeeded, and yet no connection has ever been reported"
)
SERVER_ONLY: Final = Sentence(
    "finding.never_logged_in.server_only", "Only ZEGO's server has reported this user, and no device has"
)
SAY_SERVER_ONLY: Final = Sentence(
    "finding.never_logged_in.say_server_only",
    "I cannot see your device from here. Which app do you use, on which phone or computer, and in which version?",
)
ADVISE_PENDING: Final = Sentence(
    "finding.never_logged_in.advise_pending",
    "A login stays pending where the network lets nothing through: look for a firewall or a proxy, show the user that "
    "signing in takes long, and call other functions only after CONNECTED.",
)
ADVISE_HANDLER: Final = Sentence(
    "finding.never_logged_in.advise_handler",
    "Install the tap before create, and report connectionStateChanged: a second handler for it replaces the first.",
)
ADVISE_TAP: Final = Sentence(
    "finding.never_logged_in.advise_tap", "Put the tap or a reporter into every app and version that this user may use."
)
# A login takes less where nothing is wrong.
_PENDING_US: Final = 30 * SECOND_US


class NeverLoggedIn(Check):
    """A login that was refused last is ``login_refused``, one that reported RECONNECTING ``unstable_network``."""

    kind = "never_logged_in"
    severity = "warning"
    title = Sentence("finding.never_logged_in", "Never logged in")
    evidence = Sentence("finding.never_logged_in.evidence", "The user's events, none of which reports a connection.")
    threshold = Sentence(
        "finding.never_logged_in.threshold",
        "A login that has been pending for 30 s, or one that succeeded without a callback. Info where only ZEGO's "
        "server reports the user.",
    )
    lifetime = Sentence("finding.never_logged_in.lifetime", "Until a device reports its connection.")
    say = Sentence(
        "finding.never_logged_in.say",
        "The app has not finished signing you in. Please close it, check your connection, open it and sign in again.",
    )
    advice = (ADVISE_PENDING, ADVISE_HANDLER, ADVISE_TAP)
    source = sources.MANAGE_LOGIN

    @classmethod
    def find(cls, life: Life) -> Finding | None:
        """What is there instead of a connection."""
        if life.status != NOT_LOGGED_IN or not life.events or not _never_connected(life):
            return None
        failed = life.failed_logins
        if failed and not logged_in_after(life, failed[-1]):
            return None  # login_refused, or plan_limit
        own = [event for event in life.events if event.type != SERVER_USER_ACTION]
        if not own:
            return cls.found(SERVER_ONLY(), life.events, say=SAY_SERVER_ONLY(), advice=[ADVISE_TAP()], severity="info")
        logins = [event for event in own if event.type in {LOGIN, LOGIN_RESULT}]
        if not logins:
            return None  # calls without a login are calls_failing
        if logins[-1].type == LOGIN_RESULT:
            return cls.found(NOT_REPORTED(), logins, advice=[ADVISE_HANDLER()])
        is_pending = logins[-1].moment_us <= life.now_us - _PENDING_US
        return cls.found(PENDING(), logins, advice=[ADVISE_PENDING()]) if is_pending else None


def _never_connected(life: Life) -> bool:
    """Whether the callback of a login that was refused is all that is reported of connections."""
    return life.since_us is None or (life.reason == LOGIN_INTERRUPTED and not any(map(is_connected, life.events)))
