"""Every error that Zimwatch raises on purpose, under one base: mapped once to HTTP and once to an exit status."""

from __future__ import annotations

from sidecar.domain.texts import Text, verbatim


class ZimwatchError(Exception):
    """An error with a sentence that a person can act on; :attr:`text` is the same for pages, which translate it."""

    def __init__(self, message: str | Text) -> None:
        super().__init__(str(message))
        self.text = message if isinstance(message, Text) else verbatim(message)


class SettingsError(ZimwatchError):
    """Settings are wrong or unknown. ``problems`` has one sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class DatabaseRefusedError(ZimwatchError):
    """The database is not Zimwatch's, newer, in use or damaged; nothing was written to it."""


class StoreUnavailableError(ZimwatchError):
    """Nothing of this was stored; the same call may succeed after ``retry_after_s`` seconds."""

    def __init__(self, message: str | Text, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DutyLostError(StoreUnavailableError):
    """A job wrote for a duty that its node does not hold any more; nothing of this was stored."""
