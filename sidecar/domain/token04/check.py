"""Checks a Token04: whether a login with it can work, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from sidecar.domain.apps import Apps
from sidecar.domain.outside_text import one_line
from sidecar.domain.texts import Sentence, Text, joined, verbatim
from sidecar.domain.token04.ciphers import decrypted, key_of
from sidecar.domain.token04.layout import Cipher, Token04, UnreadableError, parse
from sidecar.domain.token04.problems import CLOCK_OFF_US, LONGEST_US, SHORTEST_US, Problem, problem
from sidecar.domain.units import SECOND_US

CBC_IS_DEPRECATED: Final = Sentence(
    "token04.cbc",
    "Its layout is the deprecated one, with AES-CBC, which does not show whether a token was changed. Take the present "
    "generator, whose tokens have AES-GCM.",
)
NO_SECRET: Final = Sentence(
    "token04.no_secret",
    "Whether it was made with your ServerSecret is not checked: zego.server_secrets has none that you may use.",
)
SECRET_LENGTH: Final = Sentence(
    "token04.secret_length",
    "A ServerSecret that zego.server_secrets has for app %(app)s was not tried: it does not have 32 characters.",
)
_UNNAMED: Final = Apps()
PAYLOAD: Final = Sentence("token04.payload", "It has a payload, which ZIM does not use.")


class Content(msgspec.Struct, frozen=True):
    """What a token says of itself. Each value is as it was found, and may be of any type."""

    app_id: Any = None
    user_id: Any = None
    nonce: Any = None
    ctime: Any = None
    expire: Any = None
    payload: Any = None


class TokenCheck(msgspec.Struct, frozen=True, kw_only=True):
    """``problems`` begin with the first to solve. Without one a login can work, as far as can be seen from here.

    ``app_id`` is the app with whose secret it was made, None where that is not known; ``tried`` are the apps whose
    secrets were tried.
    """

    cipher: Cipher | None = None
    expires_at_us: int | None = None
    problems: tuple[Problem, ...] = ()
    notes: tuple[Text, ...] = ()
    tried: tuple[int, ...] = ()
    app_id: int | None = None
    content: Content | None = None


class _Opened(msgspec.Struct, frozen=True):
    app_id: int
    content: Content | None


def check(text: str, now_us: int, secrets: Mapping[int, tuple[str, ...]], apps: Apps = _UNNAMED) -> TokenCheck:
    """What ``text`` is at this moment. ``secrets`` are the ServerSecrets to try, by app. Raises nothing."""
    try:
        token = parse(text)
    except UnreadableError as error:
        return TokenCheck(problems=(problem(error.flaw),))
    problems = _of_time(token.expires_s * SECOND_US, now_us)
    notes = [CBC_IS_DEPRECATED()] if token.cipher == "AES-CBC" else []
    keys = {app: tuple(key for one in secrets[app] if (key := key_of(one)) is not None) for app in secrets}
    notes += [SECRET_LENGTH(app=apps.in_full(app)) for app in secrets if len(keys[app]) < len(secrets[app])]
    tried = tuple(app for app in keys if keys[app])
    opened = _opened(token, keys)
    if not tried:
        notes.append(NO_SECRET())
    elif opened is None:
        problems.insert(0, problem("other_secret", apps=joined([verbatim(apps.in_full(app)) for app in tried])))
    else:
        problems += [one for one in _of_content(token, opened, now_us) if one.kind not in {it.kind for it in problems}]
        if opened.content is not None and opened.content.payload:
            notes.append(PAYLOAD())
    return TokenCheck(
        cipher=token.cipher,
        expires_at_us=token.expires_s * SECOND_US,
        problems=tuple(problems),
        notes=tuple(notes),
        tried=tried,
        app_id=opened.app_id if opened else None,
        content=opened.content if opened else None,
    )


def _of_time(expires_us: int, now_us: int) -> list[Problem]:
    left_us = expires_us - now_us
    if left_us <= 0:
        return [problem("expired")]
    if left_us < SHORTEST_US:
        return [problem("too_short")]
    return [problem("too_long")] if left_us > LONGEST_US else []


def _opened(token: Token04, keys: Mapping[int, tuple[bytes, ...]]) -> _Opened | None:
    """The app whose secret opens it, and its content."""
    for app_id, of_app in keys.items():
        for key in of_app:
            raw = decrypted(token, key)
            content = None if raw is None else _content(raw)
            # Of bytes without an authentication only the sense that they make shows that the secret is theirs.
            if content is not None or (raw is not None and (token.cipher == "AES-GCM" or _is_json(raw))):
                return _Opened(app_id, content)
    return None


def _content(raw: bytes) -> Content | None:
    try:
        return msgspec.json.decode(raw, type=Content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _is_json(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _of_content(token: Token04, opened: _Opened, now_us: int) -> list[Problem]:
    content = opened.content
    if content is None:
        return [problem("no_content")]
    found: list[Problem] = []
    if not _is_number(content.app_id) or content.app_id != opened.app_id:
        found.append(problem("other_app", named=one_line(str(content.app_id))[:40]))
    if not isinstance(content.user_id, str) or not content.user_id:
        found.append(problem("no_user"))
    if content.expire != token.expires_s:
        found.append(problem("expiry_differs"))
    if _is_number(content.ctime):
        if content.ctime * SECOND_US > now_us + CLOCK_OFF_US:
            found.append(problem("made_in_future"))
        if (token.expires_s - content.ctime) * SECOND_US > LONGEST_US:
            found.append(problem("too_long"))
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
