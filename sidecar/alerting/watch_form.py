"""A watch as the API, a form or a chat requests it, and its validation."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Annotated, Final

import msgspec
import sqlalchemy as sa

from sidecar.alerting.silence_form import NotPossibleError, end_of
from sidecar.alerting.tables import user_watch_rows
from sidecar.domain import app_ids
from sidecar.domain.alerts.user_watches import UserWatch
from sidecar.domain.app_ids import AppIds
from sidecar.domain.texts import Sentence
from sidecar.domain.units import DAY_US
from sidecar.store import Store
from sidecar.store.access.audit_values import User
from sidecar.store.schema import LARGEST
from sidecar.store.values import Publishing

_LONGEST_US: Final = 30 * DAY_US
# Both are in one index, and one of PostgreSQL takes 2,704 bytes; the same holds on every engine.
LONGEST_BYTES: Final = 2_560

NO_END: Final = Sentence("watch.no_end", "ends_at or duration is missing: a watch has an end")
OVER: Final = Sentence("watch.over", "the watch would have ended already")
TOO_LONG: Final = Sentence("watch.too_long", "a watch ends within 30 days")
NO_USER: Final = Sentence("watch.no_user", "user_id is empty: a watch is of one user")
LONG_ID: Final = Sentence(
    "watch.long_id", "user_id is too long for a watch: with the author's name it may have %(most)s bytes"
)
NO_APP: Final = Sentence("watch.no_app", "app_id %(given)s is not one of your apps: %(own)s")
NOT_OF_ONE_APP: Final = Sentence(
    "watch.not_of_one_app", "receiver: with access to some apps none can be chosen, because all apps share them"
)
NO_RECEIVER: Final = Sentence("watch.no_receiver", "receiver %(given)s is unknown; it is one of: %(known)s")
NO_RECEIVERS: Final = Sentence("watch.no_receivers", "receiver %(given)s is unknown: the settings have no receivers")
TOO_MANY: Final = Sentence(
    "watch.too_many",
    "too many users are watched: %(of_app)s of an app, %(most)s together. End a watch that is no longer needed",
)


class WatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Until ``ends_at``, or for ``duration``."""

    app_id: Annotated[int, msgspec.Meta(ge=0, le=LARGEST)]
    user_id: Annotated[str, msgspec.Meta(max_length=LONGEST_BYTES)]
    receiver: str | None = None
    author: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    ends_at: datetime | None = None
    duration: str | None = None


def watch_of(given: WatchRequest, who: str, now_us: int, receivers: Collection[str], own: AppIds = None) -> UserWatch:
    """The requested watch, without an id; NotPossibleError names what is wrong with it.

    ``own`` are the apps that the request is limited to.
    """
    if own is not None and given.app_id not in own:
        raise NotPossibleError(NO_APP(given=given.app_id, own=app_ids.listed(own)))
    if not given.user_id:
        raise NotPossibleError(NO_USER())
    if _stored_bytes(given.user_id) + _stored_bytes(who) > LONGEST_BYTES:
        raise NotPossibleError(LONG_ID(most=f"{LONGEST_BYTES:,}"))
    receiver = given.receiver or None
    if receiver is not None and own is not None:
        raise NotPossibleError(NOT_OF_ONE_APP())
    if receiver is not None and receiver not in receivers:
        known = ", ".join(receivers)
        problem = NO_RECEIVER(given=repr(receiver), known=known) if known else NO_RECEIVERS(given=repr(receiver))
        raise NotPossibleError(problem)
    until_us = end_of(given.ends_at, given.duration, now_us)
    if until_us is None:
        raise NotPossibleError(NO_END())
    if until_us <= now_us:
        raise NotPossibleError(OVER())
    if until_us - now_us > _LONGEST_US:
        raise NotPossibleError(TOO_LONG())
    return UserWatch(
        id=0,
        app_id=given.app_id,
        user_id=given.user_id,
        author=who,
        receiver=receiver,
        created_at_us=now_us,
        until_us=until_us,
    )


async def create(
    store: Store, add: Callable[[sa.Connection, UserWatch], Publishing[UserWatch | None]], wanted: UserWatch
) -> UserWatch:
    """Stores a watch by ``add``, and returns it with its id; NotPossibleError where too many last."""
    created = await store.write(add, wanted)
    if created is None:
        raise NotPossibleError(TOO_MANY(of_app=user_watch_rows.MOST_OF_AN_APP, most=user_watch_rows.MOST))
    return created


def _stored_bytes(text: str) -> int:
    """U+0000 and U+001A may take two bytes."""
    return len(text.encode("utf-8", "surrogatepass")) + text.count("\0") + text.count("\x1a")


def named(watch: UserWatch) -> User:
    """Whom a watch is of, in the audit log."""
    return User(watch.app_id, watch.user_id)
