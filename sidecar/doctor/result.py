"""The result of one check: a level, a sentence, and what to do."""

from __future__ import annotations

from typing import Literal

import msgspec

Level = Literal["ok", "note", "problem"]


class Result(msgspec.Struct, frozen=True):
    """``note`` is worth knowing and needs nothing; ``problem`` needs what ``advice`` says."""

    check: str
    level: Level
    text: str
    advice: str = ""


def ok(check: str, text: str) -> Result:
    """Nothing to do."""
    return Result(check, "ok", text)


def note(check: str, text: str, advice: str = "") -> Result:
    """Worth knowing."""
    return Result(check, "note", text, advice)


def problem(check: str, text: str, advice: str) -> Result:
    """Needs doing."""
    return Result(check, "problem", text, advice)
