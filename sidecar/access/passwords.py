"""Hashes passwords with Argon2id, in a pool with a bounded number of threads and of passwords that wait.

19 MiB, two passes and one lane for each: one of the equal choices of OWASP
(https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html). So all together never take more than
``AT_ONCE`` times that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from typing import Final, TypeVar

from aiohttp import web
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from sidecar.access.refusals import BusyError
from sidecar.domain.account_names import PASSWORD_CHARACTERS, normal_password
from sidecar.system.threads import Threads, run_in

AT_ONCE: Final = 2
WAITING_MOST: Final = 30
"""Passwords that wait for a thread, and then those that are refused with 503."""
MEMORY_KIB: Final = 19_456
_PASSES: Final = 2

T = TypeVar("T")


def strong_hasher() -> PasswordHasher:
    """The parameters of new hashes."""
    return PasswordHasher(time_cost=_PASSES, memory_cost=MEMORY_KIB, parallelism=1)


class Passwords:
    """Hashes and verifies. Belongs to one event loop."""

    def __init__(self, hasher: PasswordHasher, pool: Executor) -> None:
        self._hasher = hasher
        self._pool = pool
        self._running = 0

    async def hashed(self, password: str) -> str:
        """A hash of the password. BusyError."""
        return await self._run(lambda: self._hasher.hash(normal_password(password)))

    async def is_of(self, password: str, hashed: str | None) -> bool:
        """Whether the hash is of the password. BusyError.

        Without a hash False, after the same work: an unknown name takes as long as a known one.
        """
        # None is longer, so that the work does not grow with what is sent.
        given = normal_password(password[: PASSWORD_CHARACTERS + 1])

        def verify() -> bool:
            if hashed is None:
                self._hasher.hash(given)
                return False
            try:
                return self._hasher.verify(hashed, given)
            except (VerificationError, InvalidHashError):
                return False

        return await self._run(verify)

    def is_outdated(self, hashed: str) -> bool:
        """Whether the hash has other parameters than new ones."""
        return self._hasher.check_needs_rehash(hashed)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._running >= AT_ONCE + WAITING_MOST:
            raise BusyError
        self._running += 1
        try:
            return await run_in(self._pool, work)
        finally:
            self._running -= 1


def passwords_of(
    threads: Threads, hasher: PasswordHasher
) -> tuple[Passwords, Callable[[web.Application], AsyncIterator[None]]]:
    """What hashes, and the context of an application that closes its pool."""
    pool = threads.pool("passwords", AT_ONCE)

    async def closing(_application: web.Application) -> AsyncIterator[None]:
        yield
        pool.shutdown()

    return Passwords(hasher, pool), closing
