"""What to say and to change for each code of a login that failed.

Source: ZEGOCLOUD, In-app Chat, "Error codes" and "Authentication"; the plan's codes are those of ``plan_limit``.
"""

from __future__ import annotations

from typing import Final

from sidecar.domain import error_codes
from sidecar.domain.texts import Sentence

_SAY_NETWORK: Final = Sentence(
    "finding.login_refused.say_network",
    "The app could not reach the chat service. Please check your connection, or try another network.",
)
SAYS: Final = {
    error_codes.NO_NETWORK: _SAY_NETWORK,
    error_codes.NO_ANSWER: _SAY_NETWORK,
    error_codes.ALREADY_LOGGED_IN: Sentence(
        "finding.login_refused.say_other_user",
        "The app is still signed in with another account. Please sign out there first, then sign in with this one.",
    ),
    6_000_124: Sentence(
        "finding.login_refused.say_offline",
        "The app could not sign you in without a network. Please connect to the internet and sign in again.",
    ),
}

_TOO_OFTEN: Final = Sentence(
    "finding.login_refused.advise_frequency", "6000004 to 6000006: call login once, and wait for its result."
)
_NETWORK: Final = Sentence(
    "finding.login_refused.advise_network",
    "6000104, 6000105: the network, and not the token. Show that there is no connection, and let the user try again.",
)
ADVICE: Final = {
    6_000_003: Sentence("finding.login_refused.advise_6000003", "6000003: check the AppID that is given to create."),
    6_000_004: _TOO_OFTEN,
    6_000_005: _TOO_OFTEN,
    6_000_006: _TOO_OFTEN,
    6_000_101: Sentence(
        "finding.login_refused.advise_6000101",
        "6000101: the AppID that is given to create, that in the token, and the ServerSecret that makes the token must "
        "be those of one project.",
    ),
    6_000_103: Sentence(
        "finding.login_refused.advise_6000103",
        "6000103: make the token for this AppID and user id with the project's ServerSecret, and check that it "
        "reaches the SDK whole; the command zimwatch token04 reads it.",
    ),
    error_codes.NO_NETWORK: _NETWORK,
    error_codes.NO_ANSWER: _NETWORK,
    error_codes.TOKEN_EXPIRED: Sentence(
        "finding.login_refused.advise_6000106",
        "6000106: fetch a new token from your server for each login instead of keeping one, and check that server's "
        "clock.",
    ),
    6_000_107: Sentence(
        "finding.login_refused.advise_6000107",
        "6000107: make the token with a current generator of ZEGOCLOUD; it begins with 04.",
    ),
    6_000_108: Sentence(
        "finding.login_refused.advise_6000108",
        "6000108: let tokens live for more than 30 s (generators take seconds), and check your server's clock.",
    ),
    6_000_109: Sentence(
        "finding.login_refused.advise_6000109",
        "6000109: let tokens live for 24 days at most (2,073,600 s), and check that they reach the SDK whole.",
    ),
    error_codes.ALREADY_LOGGED_IN: Sentence(
        "finding.login_refused.advise_6000111",
        "6000111: call logout, and wait until it is done, before another user logs in.",
    ),
    6_000_124: Sentence(
        "finding.login_refused.advise_6000124",
        "6000124: set isOfflineLogin only for the user who was the last to log in on the device.",
    ),
}
UNKNOWN: Final = Sentence(
    "finding.login_refused.advise_other", "Another code: look it up in ZEGOCLOUD's list of error codes."
)
NOT_REPORTED: Final = Sentence(
    "finding.login_refused.advise_report", "No code: report the result of login (login_result), so that it is known."
)
