"""Settings that change while Zimwatch runs: which may, and the one place where they do.

Those who use a setting keep its section and read it each time, so that a change reaches all of them at once. What is
made from settings is made again by :mod:`sidecar.reload`.
"""

from __future__ import annotations

from typing import Any, Final, get_type_hints

import msgspec
from msgspec import Meta

from sidecar.settings import convert
from sidecar.settings.load import KEYS, value_of
from sidecar.settings.sections import Settings


def _is_marked(hint: Any) -> bool:  # noqa: ANN401 - a type hint may be anything
    marks = (meta.extra or {} for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, Meta))
    return any(mark.get("live") for mark in marks)


_SECTIONS: Final = get_type_hints(Settings, include_extras=True)
LIVE: Final = frozenset(
    key for key in KEYS if _is_marked(convert.HINTS[key]) or _is_marked(_SECTIONS[key.partition(".")[0]])
)
"""The settings marked as ``Live``, by themselves or with their section, as ``section.key``."""


class Changes(msgspec.Struct, frozen=True):
    """What is different in settings that were read again: in force at once, and after a restart."""

    changed: tuple[str, ...]
    after_restart: tuple[str, ...]


def take_over(settings: Settings, new: Settings) -> Changes:
    """Changes ``settings`` in place to the values of ``new``, in those keys that may change."""
    different = [key for key in KEYS if value_of(settings, key) != value_of(new, key)]
    changed = tuple(key for key in different if key in LIVE)
    for key in changed:
        section, _, name = key.partition(".")
        # Sections are frozen for everybody else.
        msgspec.structs.force_setattr(getattr(settings, section), name, value_of(new, key))
    return Changes(changed, tuple(key for key in different if key not in LIVE))
