"""Overwrites what SQLite leaves behind of deleted rows: with ``secure_delete`` that is the unused part of pages.

``secure_delete`` zeroes cells when they are deleted. But where rows move to another page, as a table grows, copies stay
in the unused space of the first one, and are no longer found once the rows are deleted. SQLite never reads that space:
https://www.sqlite.org/fileformat.html, section 1.6. Files of older versions have deleted rows in free blocks and free
pages as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Final

from sidecar.store.sqlite import tuning

# The types of the pages of trees, and the sizes of their headers.
_HEADERS: Final = {0x02: 12, 0x05: 12, 0x0A: 8, 0x0D: 8}
_FILE_HEADER: Final = 100
_LARGEST_PAGE: Final = 65_536
# Types in pointer map pages, which files with auto_vacuum have: https://www.sqlite.org/fileformat.html, section 1.8.
_POINTER_BYTES: Final = 5
_FREE_BLOCK_HEADER: Final = 4


def overwrite(file: int, first_page: int) -> int | None:
    """Overwrites the unused parts of pages from ``first_page`` on; the next page, None at the end of the file.

    The caller holds the write lock, and the write-ahead log is empty. At the end all of it is on the disk.
    """
    header = os.pread(file, _FILE_HEADER, 0)
    size = int.from_bytes(header[16:18])
    page_bytes = _LARGEST_PAGE if size == 1 else size
    usable = page_bytes - header[20]
    has_map = any(header[52:56])
    free = _free_pages(file, header, page_bytes)
    start = (first_page - 1) * page_bytes
    chunk = os.pread(file, max(1, tuning.WIPE_BYTES // page_bytes) * page_bytes, start)
    pages = len(chunk) // page_bytes
    for place in range(pages):
        number = first_page + place
        page = chunk[place * page_bytes : (place + 1) * page_bytes]
        if number in free:
            parts: Iterable[tuple[int, int]] = [(0, page_bytes)]
        elif has_map and is_pointer_map(number, usable):
            continue
        else:
            parts = unused(page[:usable], _FILE_HEADER if number == 1 else 0)
        for begin, end in parts:
            if page.count(0, begin, end) != end - begin:
                os.pwrite(file, bytes(end - begin), start + place * page_bytes + begin)
    if first_page + pages <= os.fstat(file).st_size // page_bytes:
        return first_page + pages
    os.fsync(file)
    return None


def _free_pages(file: int, header: bytes, page_bytes: int) -> set[int]:
    """The numbers of the free pages, but of those that list them."""
    free: set[int] = set()
    trunk = int.from_bytes(header[32:36])
    while trunk:
        page = os.pread(file, page_bytes, (trunk - 1) * page_bytes)
        count = int.from_bytes(page[4:8])
        free.update(int.from_bytes(page[8 + 4 * one : 12 + 4 * one]) for one in range(count))
        trunk = int.from_bytes(page[:4])
    return free


def is_pointer_map(number: int, usable: int) -> bool:
    """Whether the page with this number is a pointer map page of a file that has them."""
    return number >= 2 and (number - 2) % (usable // _POINTER_BYTES + 1) == 0  # noqa: PLR2004 - the first one


def unused(page: bytes, at: int) -> Iterator[tuple[int, int]]:
    """The parts of a page of a tree that hold nothing, each from and to where; none of any other page.

    ``at`` is where its header begins.
    """
    kind = page[at]
    if kind not in _HEADERS:
        return
    first_block, cells, content = (int.from_bytes(page[at + place : at + place + 2]) for place in (1, 3, 5))
    content = content or _LARGEST_PAGE
    pointers = at + _HEADERS[kind]
    gap = pointers + 2 * cells
    if not gap <= content <= len(page):
        return
    # An overflow page may begin like one of a tree; its cells then point anywhere.
    places = [int.from_bytes(page[one : one + 2]) for one in range(pointers, gap, 2)]
    if any(not content <= one < len(page) for one in places):
        return
    blocks = []
    while first_block:
        if not content <= first_block <= len(page) - _FREE_BLOCK_HEADER:
            return
        following, size = (int.from_bytes(page[first_block + place : first_block + place + 2]) for place in (0, 2))
        if size < _FREE_BLOCK_HEADER or first_block + size > len(page) or 0 < following <= first_block:
            return
        blocks.append((first_block + _FREE_BLOCK_HEADER, first_block + size))
        first_block = following
    yield gap, content
    yield from blocks
