"""Takes values out of what is stored: of named keys of ``extended_data``, and of unknown fields of rejected events."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec

from sidecar.domain.events import Event
from sidecar.ingest.wire_types import Wire

REDACTED: Final = "[redacted]"
_KNOWN: Final = frozenset(field.encode_name for kind in Wire.__args__ for field in msgspec.structs.fields(kind)) | {
    "type",
    "name",
    "version",
}
_NESTED: Final = frozenset({dict, list})
# One pass from left to right: a key, and a value that is text. Each part excludes what ends it.
_PAIR: Final = re.compile(r'"([^"\\]{1,200})"(\s{0,20}:\s{0,20})"((?:[^"\\]|\\.)*)("?)')


class Redaction:
    """Redacts the values of some keys, at any depth of an ``extended_data`` that is JSON, whatever their case.

    One that is no JSON and has such a key in it is replaced as a whole.
    """

    def __init__(self, keys: Collection[str]) -> None:
        self._keys = frozenset(key.lower() for key in keys)

    def events(self, events: list[tuple[int, Event]]) -> list[tuple[int, Event]]:
        """The events as they are to be stored."""
        if not self._keys:
            return events
        return [(at, self._event(event)) if event.extended_data else (at, event) for at, event in events]

    def _event(self, event: Event) -> Event:
        text = event.extended_data or ""
        clean = self.text(text)
        return event if clean is text else msgspec.structs.replace(event, extended_data=clean)

    def text(self, text: str) -> str:
        """The same text where it has none of the keys."""
        lower = text.lower()
        # A key may be escaped in JSON.
        if "\\u" not in lower and not any(key in lower for key in self._keys):
            return text
        try:
            value = msgspec.json.decode(text)
            clean = _replaced(value, lambda key: key.lower() in self._keys)
        except (msgspec.DecodeError, RecursionError):
            return REDACTED
        return text if clean == value else msgspec.json.encode(clean).decode()


def known_fields(body: str) -> str:
    """The body of a rejected event without the values of fields that no event has: they may be anything."""
    try:
        value = msgspec.json.decode(body)
        return msgspec.json.encode(_only_known(value)).decode()
    except (msgspec.DecodeError, RecursionError):
        return _PAIR.sub(lambda m: m[0] if m[1] in _KNOWN else f'"{m[1]}"{m[2]}"{REDACTED}{m[4]}', body)


def _replaced(value: Any, is_meant: Callable[[str], bool]) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return {key: REDACTED if is_meant(key) else _replaced(one, is_meant) for key, one in value.items()}
    return [_replaced(one, is_meant) for one in value] if isinstance(value, list) else value


def _only_known(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Without a call for each key, as a sender may have thousands of events refused at once."""
    if isinstance(value, dict):
        return {
            key: REDACTED if key not in _KNOWN else _only_known(one) if type(one) in _NESTED else one
            for key, one in value.items()
        }
    return [_only_known(one) if type(one) in _NESTED else one for one in value] if isinstance(value, list) else value
