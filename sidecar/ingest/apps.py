"""The apps whose events are accepted, so that no sender can invent any number of them.

These are the apps of the settings, and those that tokens are bound to. While ``ingest.apps`` is empty, also the first
:data:`LEARNED_MOST` others that events come from, whose senders must be allowed to send for every app.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

from sidecar.settings import Settings, secrets_by_app
from sidecar.store import Store
from sidecar.store.users import user_list

LEARNED_MOST: Final = 100


class Apps:
    """The apps of one server. Apps that have users at the first request count as learned."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._named_by: tuple[tuple[object, ...], frozenset[int]] = ((), frozenset())
        self.learned: set[int] = set()
        self.store = store
        self._is_read = False

    @property
    def are_listed(self) -> bool:
        """Whether apps outside of the settings and tokens are refused."""
        return bool(self._settings.ingest.apps)

    @property
    def named(self) -> frozenset[int]:
        """The apps of the settings; made again when these have changed."""
        zego, canary = self._settings.zego, self._settings.canary.app_id
        listed = (self._settings.ingest.apps, zego.callback_secrets)
        if self._named_by[0] != listed:
            named = frozenset(
                {
                    *self._settings.ingest.apps,
                    *secrets_by_app(zego.callback_secrets),
                    *secrets_by_app(zego.server_secrets),
                    *(() if canary is None else (canary,)),
                }
            )
            self._named_by = (listed, named)
        return self._named_by[1]

    async def admission(self) -> Admission:
        """The admission for one request whose token, if any, is bound to no app."""
        if not self._is_read:
            self.learned |= set(await self.store.read(user_list.app_ids)) - self.named
            self._is_read = True
        return Admission(self)


class Admission:
    """Checks the apps of one request. Nothing is learned before :meth:`keep`."""

    def __init__(self, apps: Apps) -> None:
        self._apps = apps
        # Not copied for each request: they may be many.
        self._learned: AbstractSet[int] = frozenset() if apps.are_listed else apps.learned
        self._allowed: set[int] = set()
        self._new: set[int] = set()
        # Read on first use: the apps that tokens are bound to, and how many may still be learned.
        self._bound: frozenset[int] | None = None
        self._room = 0

    def check(self, app_id: int) -> None:
        """ValueError where events of this app are not accepted."""
        if app_id in self._apps.named or app_id in self._learned or app_id in self._allowed:
            return
        if self._bound is None:
            self._bound = self._apps.store.credentials.apps()
            self._room = 0 if self._apps.are_listed else LEARNED_MOST - len(self._apps.learned - self._bound)
        if app_id not in self._bound:
            if self._apps.are_listed:
                raise ValueError(f"app_id {app_id} is not one of the apps of this server; add it to ingest.apps")
            if len(self._new) >= self._room:
                raise ValueError(
                    f"app_id {app_id} is new, and {LEARNED_MOST} apps outside of the settings are accepted already;"
                    " add it to ingest.apps"
                )
            self._new.add(app_id)
        self._allowed.add(app_id)

    def keep(self) -> None:
        """Learns the new apps of the request."""
        self._apps.learned |= self._new
