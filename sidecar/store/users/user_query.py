"""Queries of users: filters, sort order and cursor; and their pages."""

from __future__ import annotations

from typing import Final, Generic, Literal, TypeVar

import msgspec

from sidecar.domain.app_ids import AppIds
from sidecar.domain.status import Status
from sidecar.store.users.happenings import Happened
from sidecar.store.users.user_walk import GroupFilter
from sidecar.store.values import UserRow

Match = Literal["contains", "prefix", "exact"]
Order = Literal["newest", "oldest", "id", "user_id", "token"]
MATCHES: Final[tuple[Match, ...]] = ("contains", "prefix", "exact")
ORDERS: Final[tuple[Order, ...]] = ("newest", "oldest", "id", "user_id", "token")
IDS_MOST: Final = 1_000
T = TypeVar("T")


class UserQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which users, in which order; None is "any". ``cursor`` is ``UserPage.next_cursor`` of the page before.

    ``q`` is matched with the user id, and ``ids`` are whole ids. ``changed_after_us`` and ``token_ends_before_us``
    (which leaves out ended tokens) bound moments. ``sdk_version`` and ``app_version`` are those of any live client, or
    of the last one. ``order``: by the last change; by app and id; by id and app; by the token's end: first those to
    come, the next one first, then those that were, the last one first, then unknown ones.

    With ``happened``, which has its own platform and versions, the user to whom it happened last comes first.
    """

    q: str | None = None
    match: Match = "contains"
    ids: tuple[str, ...] = ()
    apps: AppIds = None
    status: Status | None = None
    reason: str | None = None
    platform: str | None = None
    sdk_version: str | None = None
    app_version: str | None = None
    changed_after_us: int | None = None
    token_ends_before_us: int | None = None
    unconfirmed: bool | None = None
    disagreement: bool | None = None
    happened: Happened | None = None
    order: Order = "newest"
    cursor: str | None = None
    limit: int = 50

    def on_device(self, platform: str | None, sdk_version: str | None, app_version: str | None) -> UserQuery:
        """The same for users with such a device, or to whom it happened on such a device."""
        device = {"platform": platform, "sdk_version": sdk_version, "app_version": app_version}
        if self.happened is None:
            return msgspec.structs.replace(self, **device)
        return msgspec.structs.replace(self, happened=msgspec.structs.replace(self.happened, **device))

    @property
    def exact_ids(self) -> tuple[str, ...]:
        """The whole ids to look up, each once; none where users are found in another way."""
        exact = (self.q,) if self.q and self.match == "exact" else ()
        return tuple(dict.fromkeys((*self.ids, *exact)))[:IDS_MOST]

    @property
    def prefix(self) -> str:
        """What the id begins with; empty for any."""
        return self.q if self.q and self.match == "prefix" else ""

    @property
    def part(self) -> str:
        """What the id contains; empty for any."""
        return self.q if self.q and self.match == "contains" else ""

    @property
    def page_size(self) -> int:
        """The most users on a page: all ``ids`` fit on one."""
        return max(self.limit, len(self.ids))

    @property
    def is_of_groups(self) -> bool:
        """Whether groups answer all of it, beside what happened."""
        asked = (
            self.q,
            self.sdk_version,
            self.app_version,
            self.changed_after_us,
            self.token_ends_before_us,
            self.disagreement,
        )
        return not self.ids and all(one is None for one in asked)

    @property
    def groups(self) -> GroupFilter:
        """The part of the query that groups answer."""
        return GroupFilter(
            status=self.status,
            apps=self.apps,
            platform=self.platform,
            reason=self.reason,
            unconfirmed=self.unconfirmed,
        )


class ListedUser(msgspec.Struct, frozen=True):
    """A user, how many of its clients are live, and the versions of the client seen last."""

    user: UserRow
    live_clients: int
    sdk_name: str | None = None
    sdk_version: str | None = None
    app_version: str | None = None


class UserPage(msgspec.Struct, Generic[T], frozen=True):
    """``next_cursor`` is None at the end. ``ended_early``: the page is short although more users may match.

    ``unknown_ids`` are those of the ids looked up for this page that no app knows.
    """

    users: list[T]
    next_cursor: str | None
    ended_early: bool = False
    unknown_ids: tuple[str, ...] = ()
