"""Texts for people: a sentence's id and the parameters that fill its placeholders.

A text is stored as these two, so that it can be shown in any language and a sentence can be reworded without changing
stored data. ``str(text)`` is its English, for programs, logs and messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec

from sidecar.domain.outside_text import one_line
from sidecar.domain.units import SECOND_US


class Text(msgspec.Struct, frozen=True, array_like=True):
    """``parameters`` are names and numbers as shown, or texts."""

    sentence: str
    parameters: Mapping[str, str | Text] = {}

    def __str__(self) -> str:
        """The English text."""
        template = Sentence.known[self.sentence].template
        return template % {name: str(value) for name, value in self.parameters.items()}


class Sentence:
    """A template with placeholders such as ``%(who)s``. Call it with their values to get a :class:`Text`.

    ``id`` is stored, and must stay when the template is reworded. ValueError if two sentences share an id.
    """

    known: ClassVar[dict[str, Sentence]] = {}

    def __init__(self, id: str, template: str) -> None:  # noqa: A002 - as in stored texts
        if id in self.known:
            raise ValueError(f"two sentences have the id {id}")
        self.id = id
        self.template = template
        self.known[id] = self

    def __call__(self, **parameters: object) -> Text:
        """The text. A value that is no text is converted by ``str`` and put into one line."""
        return Text(self.id, {n: v if isinstance(v, Text) else one_line(str(v)) for n, v in parameters.items()})


VERBATIM: Final = Sentence("verbatim", "%(text)s")
_LIST: Final = Sentence("list", "%(first)s, %(rest)s")
_UNITS: Final = (
    (86_400, Sentence("days", "%(count)s d")),
    (3_600, Sentence("hours", "%(count)s h")),
    (60, Sentence("minutes", "%(count)s min")),
)
_SECONDS: Final = Sentence("seconds", "%(count)s s")


def verbatim(text: str) -> Text:
    """A text that is not translated: an answer of a receiver, an error of the system."""
    return VERBATIM(text=text)


def joined(texts: list[Text]) -> Text:
    """One text that lists several; ValueError if there are none."""
    if not texts:
        raise ValueError("a list of texts needs at least one")
    first, *rest = texts
    return _LIST(first=first, rest=joined(rest)) if rest else first


def duration(us: int) -> Text:
    """``30 s``, ``5 min``, ``2 h``, ``3 d``: in the largest unit that divides it or fits twice."""
    seconds = max(0, round(us / SECOND_US))
    for size, unit in _UNITS:
        if seconds >= size and (seconds % size == 0 or seconds // size > 1):
            return unit(count=seconds // size)
    return _SECONDS(count=seconds)


def dump(text: Text) -> str:
    """The stored form: a JSON array of the sentence's id and an object of its parameters."""
    return msgspec.json.encode(text).decode()


def load(stored: str) -> Text:
    """The inverse of :func:`dump`. A sentence unknown to this version is shown as its stored form."""
    text = _decoder.decode(stored)
    return text if _is_known(text) else verbatim(stored)


def _is_known(text: Text) -> bool:
    """Whether its English can be formatted: a newer version may have stored it."""
    try:
        str(text)
    except (KeyError, ValueError, TypeError):
        return False
    return True


_decoder: Final = msgspec.json.Decoder(Text)
