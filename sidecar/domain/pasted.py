"""What people paste: user ids from a spreadsheet, a log or code, and links to a user's page. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

_SEPARATORS: Final = frozenset(",;\t\r\n\uff0c\uff1b\u3001")
_QUOTES: Final = {'"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019"}
# Blanks, and signs that nobody sees: zero-width ones, marks of direction, soft hyphens.
_AROUND: Final = "".join(chr(code) for code in range(0x3001) if chr(code).isspace()) + (
    "\xad\ufeff\u200b\u200c\u200d\u2060\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_BRACKETS: Final = {"[": "]", "(": ")", "{": "}"}

_USER: Final = re.compile(r"([0-9]{1,10})/([^/]*)")


def trimmed(text: str) -> str:
    """``text`` without the blanks and invisible signs around it that copying brings along."""
    return text.strip(_AROUND)


def user_link(text: str) -> tuple[int, str] | None:
    """The app and the user of a link to a user's page, whichever server it names; None for anything else."""
    if "/users/" not in text or any(sign.isspace() for sign in text):
        return None
    try:
        link = urlsplit(text)
    except ValueError:
        return None
    # Behind a proxy there is a path before "/users".
    found = _USER.fullmatch(link.path.rpartition("/users/")[2])
    if found is None or (link.scheme not in {"", "http", "https"}):
        return None
    user_id = unquote(found[2], errors="replace") or parse_qs(link.query).get("id", [""])[0]
    return (int(found[1]), user_id) if user_id else None


def ids(text: str) -> tuple[str, ...]:
    """Each id once, in order. A separator within quotes belongs to the id; an id ends with its line."""
    text = trimmed(text)
    if text and _BRACKETS.get(text[0]) == text[-1] and _SEPARATORS.intersection(text):
        text = text[1:-1]
    found: list[str] = []
    part, closes = "", ""
    for sign in f"{text}\n":
        if sign == closes:
            closes = ""
        elif sign in _SEPARATORS and (not closes or sign in "\r\n"):
            found.append(trimmed(part))
            part, closes = "", ""
        elif sign in _QUOTES and not trimmed(part):
            closes = _QUOTES[sign]
        else:
            part += sign
    return tuple(dict.fromkeys(one for one in found if one))
