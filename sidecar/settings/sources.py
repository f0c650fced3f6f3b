"""Where the settings come from that contradict each other or cannot work, for the sentences about them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

DEFAULT: Final = "default"
"""The source of a setting that is not given."""
_KEY: Final = re.compile(r"[a-z_]+\.[a-z_]+")


def with_sources(problem: str, sources: Mapping[str, str]) -> str:
    """The sentence, with the sources of the settings that it names before its full stop.

    Where none of them is given, as it should be, those of the settings of the same sections. ``sources``: of each
    ``section.key``.
    """
    keys = [key for key in _KEY.findall(problem) if key in sources]
    sections = {key.partition(".")[0] for key in keys} or {problem.partition(" ")[0]}
    found = list(_given(keys, sources)) or list(
        _given([key for key in sources if key.partition(".")[0] in sections], sources)
    )
    return f"{problem.removesuffix('.')} ({', '.join(dict.fromkeys(found))})." if found else problem


def _given(keys: list[str], sources: Mapping[str, str]) -> Iterator[str]:
    yield from (sources[key] for key in keys if sources[key] != DEFAULT)
