"""User ids from pasted text: a column of a spreadsheet, a line of a log, a list in code. Pure."""

from __future__ import annotations

from typing import Final

_SEPARATORS: Final = frozenset(",;\t\r\n\uff0c\uff1b\u3001")
_QUOTES: Final = {'"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019"}
_AROUND: Final = " \t\r\n\x0b\x0c\xa0\u3000\ufeff\u200b\u200e\u200f"
_BRACKETS: Final = {"[": "]", "(": ")", "{": "}"}


def ids(text: str) -> tuple[str, ...]:
    """Each id once, in order. A separator within quotes belongs to the id; an id ends with its line."""
    text = text.strip(_AROUND)
    if text and _BRACKETS.get(text[0]) == text[-1] and _SEPARATORS.intersection(text):
        text = text[1:-1]
    found: list[str] = []
    part, closes = "", ""
    for sign in f"{text}\n":
        if sign == closes:
            closes = ""
        elif sign in _SEPARATORS and (not closes or sign in "\r\n"):
            found.append(part.strip(_AROUND))
            part, closes = "", ""
        elif sign in _QUOTES and not part.strip(_AROUND):
            closes = _QUOTES[sign]
        else:
            part += sign
    return tuple(dict.fromkeys(one for one in found if one))
