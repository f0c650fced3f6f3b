"""What can be wrong with a Token04, in words: the problem, what to do, and the SDK's code for it.

The codes of flaws are those that zego-zim-web 2.29.0 gives for such a token, or that ZEGOCLOUD's page "Error codes" has
for it. The SDK looks at the first bytes alone; what is wrong beyond them only ZIM's server can refuse.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import msgspec

from sidecar.domain.error_codes import (
    BAD_TOKEN,
    TOKEN_EXPIRED,
    TOKEN_INVALID,
    TOKEN_LIVES_LONG,
    TOKEN_LIVES_SHORT,
    TOKEN_VERSION,
    in_words,
)
from sidecar.domain.texts import Sentence, Text
from sidecar.domain.token04.layout import Flaw
from sidecar.domain.units import DAY_US, MINUTE_US, SECOND_US

SHORTEST_US: Final = 30 * SECOND_US
LONGEST_US: Final = 24 * DAY_US
# A clock that is off by less says nothing.
CLOCK_OFF_US: Final = MINUTE_US

OfTime = Literal["expired", "too_short", "too_long"]
OfContent = Literal["other_secret", "no_content", "other_app", "no_user", "expiry_differs", "made_in_future"]
Kind = Flaw | OfTime | OfContent


class Problem(msgspec.Struct, frozen=True):
    """``code`` is the SDK's error code for it, ``text`` says what is wrong and ``advice`` what to do."""

    kind: Kind
    code: int | None
    text: Text
    advice: Text

    @property
    def code_text(self) -> Text | None:
        """The code in words, such as ``6000106: the token has expired``."""
        return None if self.code is None else in_words(self.code)


_COPY: Final = Sentence(
    "token04.copy", "Copy the whole token again, from where your server made it: it begins with 04."
)
_GENERATOR: Final = Sentence(
    "token04.generator", "Make it with ZEGOCLOUD's published generator, by generateToken04, and change nothing of it."
)
_ON_ITS_WAY: Final = Sentence(
    "token04.on_its_way", "Look at what your server and app do with it on its way, and give the SDK the token as made."
)
_ANOTHER: Final = Sentence(
    "token04.another", "Get another token from your server, and give it to renewToken, or to login."
)
_LIVE_LONGER: Final = Sentence(
    "token04.live_longer", "Have your server make it valid for longer: hours, and a new one before it ends."
)
_LIVE_SHORTER: Final = Sentence(
    "token04.live_shorter", "Have your server make it valid for 24 days at most, and renew it before it ends."
)
_IN_SECONDS: Final = Sentence("token04.in_seconds", "The generator takes the validity in seconds, not milliseconds.")
_RIGHT_SECRET: Final = Sentence(
    "token04.right_secret",
    "Compare the AppID and the ServerSecret of your token server with those in ZEGOCLOUD's console.",
)
_CLOCK: Final = Sentence("token04.clock", "Set the clock of the server that makes tokens, by NTP.")

_SAID: Final[dict[Kind, tuple[int | None, Sentence, Sentence]]] = {
    "empty": (TOKEN_INVALID, Sentence("token04.empty", "There is no token."), _COPY),
    "too_large": (
        TOKEN_INVALID,
        Sentence("token04.too_large", "It is longer than 16,384 characters, which no token of ZIM is."),
        _COPY,
    ),
    "no_token04": (
        TOKEN_INVALID,
        Sentence("token04.no_token04", "It is no token of ZEGOCLOUD's: it does not begin with 04."),
        _COPY,
    ),
    "other_version": (
        TOKEN_VERSION,
        Sentence("token04.other_version", "Its version is not 04, which is the one that ZIM takes."),
        _GENERATOR,
    ),
    "kit_token": (
        TOKEN_INVALID,
        Sentence("token04.kit_token", "It is a kit token of ZEGOCLOUD's UI kits: a token, a # and more."),
        Sentence("token04.before_the_hash", "Check what is before the #: that is the token that ZIM gets."),
    ),
    "percent_encoded": (
        TOKEN_INVALID,
        Sentence("token04.percent_encoded", "It is percent-encoded, as in a URL."),
        _ON_ITS_WAY,
    ),
    "blanks": (
        TOKEN_INVALID,
        Sentence("token04.blanks", "It has blanks in it. A form or a URL turns each + of a token into a blank."),
        _ON_ITS_WAY,
    ),
    "url_safe": (
        TOKEN_INVALID,
        Sentence("token04.url_safe", "It is in the base64 of URLs, with - and _ in place of + and /."),
        _GENERATOR,
    ),
    "not_base64": (TOKEN_INVALID, Sentence("token04.not_base64", "What follows 04 is not base64."), _COPY),
    "cut_off": (TOKEN_INVALID, Sentence("token04.cut_off", "It is cut off: its end is missing."), _COPY),
    "bytes_left": (TOKEN_INVALID, Sentence("token04.bytes_left", "More follows its end than a token has."), _COPY),
    "mode_unknown": (
        TOKEN_INVALID,
        Sentence("token04.mode_unknown", "Its last byte is no mode that is known: 0 is AES-CBC, 1 is AES-GCM."),
        _GENERATOR,
    ),
    "sizes": (
        TOKEN_INVALID,
        Sentence("token04.sizes", "Its parts have sizes that a token has in neither of the two layouts."),
        _GENERATOR,
    ),
    "milliseconds": (
        TOKEN_LIVES_LONG,
        Sentence("token04.milliseconds", "Its expiry is in milliseconds, and is read as seconds."),
        _IN_SECONDS,
    ),
    "no_time": (
        TOKEN_EXPIRED,
        Sentence("token04.no_time", "Its expiry is no time of this century or the next."),
        _GENERATOR,
    ),
    "expired": (TOKEN_EXPIRED, Sentence("token04.expired", "It has expired."), _ANOTHER),
    "too_short": (
        TOKEN_LIVES_SHORT,
        Sentence("token04.too_short", "It ends in less than 30 s, which is too short for ZIM."),
        _LIVE_LONGER,
    ),
    "too_long": (
        TOKEN_LIVES_LONG,
        Sentence("token04.too_long", "It is valid for more than 24 days, which is too long for ZIM."),
        _LIVE_SHORTER,
    ),
    "other_secret": (
        BAD_TOKEN,
        Sentence("token04.other_secret", "It was not made with the ServerSecret of %(apps)s, or it was changed since."),
        _RIGHT_SECRET,
    ),
    "no_content": (
        TOKEN_INVALID,
        Sentence("token04.no_content", "It was made with the right secret, and its content is not that of a token."),
        _GENERATOR,
    ),
    "other_app": (
        BAD_TOKEN,
        Sentence("token04.other_app", "Its content names another app: %(named)s."),
        _RIGHT_SECRET,
    ),
    "no_user": (TOKEN_INVALID, Sentence("token04.no_user", "Its content names no user."), _GENERATOR),
    "expiry_differs": (
        TOKEN_INVALID,
        Sentence("token04.expiry_differs", "Its content has another expiry than its beginning. It was changed."),
        _GENERATOR,
    ),
    "made_in_future": (
        None,
        Sentence("token04.made_in_future", "By its content it was made in the future."),
        _CLOCK,
    ),
}


def problem(kind: Kind, **parameters: object) -> Problem:
    """The problem of this kind."""
    code, text, advice = _SAID[kind]
    return Problem(kind, code, text(**parameters), advice())


WITHOUT_SECRET: Final[tuple[Kind, ...]] = (*get_args(Flaw), *get_args(OfTime))
"""The kinds that are found without the secret, in a browser too."""
