"""The SDK's error codes of login, network and plan, in words.

Source: ZEGOCLOUD, In-app Chat, "Error codes", and runs of zego-zim-web 2.29.0 (docs/zim.md).
"""

from __future__ import annotations

from typing import Final

from sidecar.domain.outside_text import cut
from sidecar.domain.texts import Sentence, Text, verbatim

TOO_FREQUENT: Final = 6_000_004
TOO_OFTEN: Final = frozenset({TOO_FREQUENT, 6_000_005, 6_000_006})
NO_NETWORK: Final = 6_000_104
NO_ANSWER: Final = 6_000_105
NETWORK: Final = frozenset({NO_NETWORK, NO_ANSWER})
BAD_TOKEN: Final = 6_000_101
TOKEN_INVALID: Final = 6_000_103
TOKEN_EXPIRED: Final = 6_000_106
TOKEN_VERSION: Final = 6_000_107
TOKEN_LIVES_SHORT: Final = 6_000_108
TOKEN_LIVES_LONG: Final = 6_000_109
ALREADY_LOGGED_IN: Final = 6_000_111
NOT_LOGGED_IN: Final = 6_000_121
# The users of the app's plan are used up, for the day or the month: another login cannot help.
PLAN_OF_DAY: Final = 6_000_015
PLAN_OF_MONTH: Final = 6_000_016
PLAN_USED_UP: Final = frozenset({PLAN_OF_DAY, PLAN_OF_MONTH})

CODES: Final = {
    6_000_003: Sentence("code.6000003", "bad AppID"),
    6_000_004: Sentence("code.6000004", "called too often"),
    6_000_005: Sentence("code.6000005", "called too often"),
    6_000_006: Sentence("code.6000006", "called too often"),
    6_000_012: Sentence("code.6000012", "the plan's limit of queries is reached"),
    6_000_013: Sentence("code.6000013", "not in the plan"),
    6_000_015: Sentence("code.6000015", "the plan's users of the day are used up"),
    6_000_016: Sentence("code.6000016", "the plan's users of the month are used up"),
    6_000_101: Sentence("code.6000101", "bad token or AppID"),
    6_000_102: Sentence("code.6000102", "internal error of the SDK"),
    6_000_103: Sentence("code.6000103", "the token is not valid"),
    6_000_104: Sentence("code.6000104", "no network"),
    6_000_105: Sentence("code.6000105", "no answer in time"),
    6_000_106: Sentence("code.6000106", "the token has expired"),
    6_000_107: Sentence("code.6000107", "the token's version is wrong"),
    6_000_108: Sentence("code.6000108", "the token is valid for less than 30 s"),
    6_000_109: Sentence("code.6000109", "the token cannot be read, or is valid for too long"),
    6_000_111: Sentence("code.6000111", "already logged in"),
    6_000_121: Sentence("code.6000121", "not logged in"),
    6_000_122: Sentence("code.6000122", "already logged out"),
    6_000_123: Sentence("code.6000123", "reconnecting took too long"),
    6_000_124: Sentence("code.6000124", "offline login with another user"),
}
# Of the alert and of the finding about a plan whose users are used up.
LOGIN_CANNOT_HELP: Final = Sentence(
    "plan.login_cannot_help", "Logging in again cannot help: do not let the app try it by itself."
)
RAISE_PLAN: Final = Sentence(
    "plan.raise_plan",
    "Whoever runs the app raises its plan in ZEGOCLOUD's console, or waits for the next day or month.",
)
_REFUSED_BY_PLAN: Final = Sentence("plan.refused", "ZIM refuses logins: %(code)s")
_CODE: Final = Sentence("code_in_words", "%(code)s: %(words)s")
_NO_CODE: Final = Sentence("no_code", "no error code")
# The SDK's messages may have 64 KiB, and a code that is no number anything.
_LONGEST_MESSAGE: Final = 200
_LONGEST_CODE: Final = 40
_DIGITS: Final = 19


def number(code: object) -> int | None:
    """A code as an integer, also one that was reported as text; None if it is none."""
    if type(code) is int:  # bool is none
        return code
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) <= _DIGITS:
        return int(code)
    return None


def refused_by_plan(code: object) -> Text:
    """``ZIM refuses logins: 6000016: the plan's users of the month are used up``."""
    return _REFUSED_BY_PLAN(code=in_words(code))


def in_words(code: object, message: object = None) -> Text:
    """``6000121: not logged in``; an unknown code with the beginning of the SDK's message, if there is one."""
    known = number(code)
    sentence = None if known is None else CODES.get(known)
    if sentence is not None:
        return _CODE(code=known, words=sentence())
    words = cut(str(message), _LONGEST_MESSAGE) if message else None
    if code is None:
        return _NO_CODE() if words is None else verbatim(words)
    shown = cut(str(code), _LONGEST_CODE)
    return verbatim(shown) if words is None else _CODE(code=shown, words=words)
