"""Watches: somebody wants to be notified when anything happens to a user again, for a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import msgspec

from sidecar.domain.alerts.alert import Subject


class UserWatch(msgspec.Struct, frozen=True, kw_only=True):
    """Lasts until ``until_us``. ``receiver`` is notified beside those of the routes; None: nobody else is."""

    id: int
    app_id: int
    user_id: str
    author: str
    receiver: str | None
    created_at_us: int
    until_us: int


class UserWatches:
    """The watches that last, for one transaction. ``read`` gives all of them, which are few, when one is needed."""

    def __init__(self, read: Callable[[], Iterable[UserWatch]] = tuple) -> None:
        self._read = read

    @cached_property
    def _of_user(self) -> dict[tuple[int, str], list[UserWatch]]:
        found: dict[tuple[int, str], list[UserWatch]] = {}
        for watch in self._read():
            found.setdefault((watch.app_id, watch.user_id), []).append(watch)
        return found

    def of(self, subject: Subject) -> Sequence[UserWatch]:
        """Those of the user that an alert is about."""
        if subject.app_id is None or subject.user_id is None:
            return ()
        return self._of_user.get((subject.app_id, subject.user_id), ())
