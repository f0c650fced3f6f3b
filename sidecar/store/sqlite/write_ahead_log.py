"""Detects damage in a write-ahead log, which SQLite itself reads as an earlier end of the log.

Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log. A crash may leave an incomplete commit at the end,
which was never acknowledged: that is no damage. Damage is an invalid frame with complete commits behind it.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_HEADER: Final = struct.Struct(">8I")
_FRAME: Final = struct.Struct(">6I")
_MAGIC: Final = {0x377F0682: "<", 0x377F0683: ">"}  # by the byte order of the checksums
_VERSION: Final = 3_007_000
_MASK: Final = 0xFFFFFFFF


def damage(log: Path) -> str | None:
    """The damage in a log that no process writes to; None where there is none, or no log."""
    try:
        frames = _read(log)
    except ValueError:
        return f"the header of {log} is damaged, and all that the log holds cannot be read"
    broken = None
    ends_at = 0
    for number, is_whole, is_commit in frames:
        if not is_whole:
            broken = broken or number
        elif broken and ends_at:
            # A later transaction began, so the one that ended there was completely on disk.
            return f"{log} is damaged in frame {broken}, and the commits behind it cannot be read"
        elif is_commit:
            ends_at = number if broken else 0
    return None


def holds_commits(log: Path) -> bool:
    """Whether SQLite will find a commit in it."""
    with contextlib.suppress(ValueError):
        for _number, is_whole, is_commit in _read(log):
            if not is_whole or is_commit:
                return is_whole
    return False


def _read(log: Path) -> Iterator[tuple[int, bool, bool]]:
    """The frames of the log's newest generation; ValueError where the header is damaged and frames follow."""
    try:
        content = log.read_bytes()
    except FileNotFoundError:
        return iter(())
    frames = content[_HEADER.size :]
    if not any(frames):
        return iter(())  # no frames, or preallocated zeros
    header = _HEADER.unpack_from(content)
    order = _MAGIC.get(header[0])
    if order is None or header[1] != _VERSION or _checksum(content[:24], (0, 0), order) != header[6:]:
        raise ValueError(log)
    return _frames(frames, header[2], header[4:6], header[6:], order)


def _frames(
    frames: bytes, page_bytes: int, salt: tuple[int, ...], begin: tuple[int, ...], order: str
) -> Iterator[tuple[int, bool, bool]]:
    """Of each frame its number, whether it is valid and of this generation, and whether it ends a commit.

    A checksum continues the one stored in the frame before, so that a frame behind an invalid one can be valid.
    """
    size = _FRAME.size + page_bytes
    before = begin
    for number, at in enumerate(range(0, len(frames) - size + 1, size), 1):
        _page, pages, *found = _FRAME.unpack_from(frames, at)
        checked = _checksum(frames[at : at + 8], before, order)
        checked = _checksum(frames[at + _FRAME.size : at + size], checked, order)
        before = (found[2], found[3])
        yield number, tuple(found[:2]) == salt and checked == before, pages > 0


def _checksum(content: bytes, begin: tuple[int, ...], order: str) -> tuple[int, int]:
    one, two = begin
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = one + first + two & _MASK
        two = two + second + one & _MASK
    return one, two
