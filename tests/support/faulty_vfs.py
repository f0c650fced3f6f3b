"""Faults at SQLite's own input and output: a VFS of ours in front of the system's, in the library that Python uses.

https://www.sqlite.org/vfs.html. The structures are those of ``sqlite3.h``, as far as they are touched here.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
from collections.abc import Callable, Iterator
from typing import Any

SQLITE_OK, SQLITE_BUSY, SQLITE_READONLY, SQLITE_FULL = 0, 5, 8, 13
SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC = 10 | (3 << 8), 10 | (4 << 8)

_VOID, _INT, _INT64 = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
_OPEN = ctypes.CFUNCTYPE(_INT, _VOID, _VOID, _VOID, _INT, _VOID)
_WRITE = ctypes.CFUNCTYPE(_INT, _VOID, _VOID, _INT, _INT64)
_SYNC = ctypes.CFUNCTYPE(_INT, _VOID, _INT)
_SHM_LOCK = ctypes.CFUNCTYPE(_INT, _VOID, _INT, _INT, _INT)
# Where things are in sqlite3_vfs and sqlite3_io_methods, in pointers.
_VFS_WORDS, _VFS_NAME, _VFS_OPEN = 21, 3, 5
_METHODS_WORDS, _METHODS_WRITE, _METHODS_SYNC, _METHODS_SHM_LOCK = 19, 3, 5, 14
_WORD = ctypes.sizeof(_VOID)


class Faults:
    """Each write, sync and lock of shared memory calls ``decide``, which gives the code to fail with, or SQLITE_OK."""

    def __init__(self) -> None:
        self.decide: Callable[[str], int] = lambda _operation: SQLITE_OK
        self.count = 0

    def code(self, operation: str) -> int:
        self.count += 1
        return self.decide(operation)


@contextlib.contextmanager
def faults() -> Iterator[Faults]:
    """Every database that is opened meanwhile goes through the faults; close them before the end."""
    library = ctypes.CDLL(ctypes.util.find_library("sqlite3"))
    library.sqlite3_vfs_find.restype = _VOID
    library.sqlite3_vfs_find.argtypes = [ctypes.c_char_p]
    library.sqlite3_vfs_register.argtypes = [_VOID, _INT]
    library.sqlite3_vfs_unregister.argtypes = [_VOID]
    original = library.sqlite3_vfs_find(None)
    faults = Faults()
    kept: list[Any] = []

    def words(address: int, count: int) -> Any:
        return (ctypes.c_size_t * count).from_address(address)

    open_original = _OPEN(words(original, _VFS_WORDS)[_VFS_OPEN])
    wrapped: dict[int, Any] = {}

    def methods_of(address: int) -> int:
        """A copy of a file's methods, in which some ask first."""
        if address not in wrapped:
            copy = (ctypes.c_size_t * _METHODS_WORDS)(*words(address, _METHODS_WORDS))
            write, sync = _WRITE(copy[_METHODS_WRITE]), _SYNC(copy[_METHODS_SYNC])
            shm_lock = _SHM_LOCK(copy[_METHODS_SHM_LOCK]) if copy[_METHODS_SHM_LOCK] else None

            @_WRITE  # type: ignore[untyped-decorator]
            def faulty_write(file: Any, data: Any, size: int, offset: int) -> int:
                code = faults.code("write")
                return code or int(write(file, data, size, offset))

            @_SYNC  # type: ignore[untyped-decorator]
            def faulty_sync(file: Any, flags: int) -> int:
                code = faults.code("sync")
                return code or int(sync(file, flags))

            @_SHM_LOCK  # type: ignore[untyped-decorator]
            def faulty_lock(file: Any, offset: int, count: int, flags: int) -> int:
                taking = flags & 2  # SQLITE_SHM_LOCK; letting go cannot fail
                code = faults.code("lock") if taking else SQLITE_OK
                return code or int(shm_lock(file, offset, count, flags)) if shm_lock else SQLITE_OK

            copy[_METHODS_WRITE] = ctypes.cast(faulty_write, _VOID).value or 0
            copy[_METHODS_SYNC] = ctypes.cast(faulty_sync, _VOID).value or 0
            if shm_lock:
                copy[_METHODS_SHM_LOCK] = ctypes.cast(faulty_lock, _VOID).value or 0
            wrapped[address] = copy
            kept.extend([faulty_write, faulty_sync, faulty_lock, write, sync, shm_lock])
        return ctypes.addressof(wrapped[address])

    @_OPEN  # type: ignore[untyped-decorator]
    def faulty_open(_vfs: Any, name: Any, file: Any, flags: int, out: Any) -> int:
        code = int(open_original(original, name, file, flags, out))
        methods = words(file, 1)
        if code == SQLITE_OK and methods[0]:
            methods[0] = methods_of(methods[0])
        return code

    own = (ctypes.c_size_t * _VFS_WORDS)(*words(original, _VFS_WORDS))
    name = ctypes.create_string_buffer(b"faulty")
    own[_VFS_NAME] = ctypes.addressof(name)
    own[_VFS_OPEN] = ctypes.cast(faulty_open, _VOID).value or 0
    library.sqlite3_vfs_register(ctypes.addressof(own), 1)
    try:
        yield faults
    finally:
        library.sqlite3_vfs_register(original, 1)
        library.sqlite3_vfs_unregister(ctypes.addressof(own))
