"""The details of a row of the audit log, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dashboard.text.language import gettext, marked
from sidecar.domain.outside_text import one_line

# By the name in the log. Of a flag the text is shown where it is true.
DETAIL_TEXTS: Final = {
    "app_id": marked("app %(value)s"),
    "changed": marked("changed: %(value)s"),
    "command": marked("command: %(value)s"),
    "did": marked("done: %(value)s"),
    "events": marked("events: %(value)s"),
    "file": marked("file %(value)s"),
    "filters": marked("filtered by %(value)s"),
    "live": marked("kept open"),
    "role": marked("role %(value)s"),
    "route": marked("at %(value)s"),
    "rows": marked("rows: %(value)s"),
    "scope": marked("scope %(value)s"),
    "status": marked("answered with %(value)s"),
    "successor": marked("followed by token %(value)s"),
    "times": marked("%(value)s more times"),
}


def detail_words(stored: str | None) -> list[str]:
    """One text a detail, in the order in which they were written. One that this version does not know has its name."""
    if stored is None:
        return []
    try:
        details = msgspec.json.decode(stored, type=dict[str, Any])
    except msgspec.MsgspecError:  # somebody changed it, which ``zimwatch audit verify`` finds
        return [one_line(stored)]
    return [words for name, value in details.items() if (words := _words(name, value))]


def _words(name: str, value: Any) -> str:  # noqa: ANN401 - of JSON
    text = DETAIL_TEXTS.get(name)
    if value is False:
        return ""
    if text is not None:
        return gettext(text) % {"value": _value(value)}
    return one_line(name.replace("_", " ") + ("" if value is True else f" {_value(value)}"))


def _value(value: Any) -> str:  # noqa: ANN401 - same
    if isinstance(value, Mapping | list):
        return one_line(msgspec.json.encode(value).decode())
    return one_line(str(value))
