"""Every error that Zimwatch raises on purpose, under one base: mapped once to HTTP and once to an exit status."""

from __future__ import annotations


class ZimwatchError(Exception):
    """Its text is a sentence that a person can act on."""


class SettingsError(ZimwatchError):
    """A setting is wrong or unknown. ``problems`` names each, one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class DatabaseRefusedError(ZimwatchError):
    """The database file is not ours, newer than us, in use or broken; nothing was written to it."""


class StoreUnavailableError(ZimwatchError):
    """Nothing of this was kept; the same call may succeed after ``retry_after_s`` seconds."""

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
