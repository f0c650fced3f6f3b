"""The search box: an id, or an id and a past moment, opens the page of the only user that it names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlencode

from dashboard.page_request import PageRequest
from dashboard.text.moments import moment_of
from dashboard.text.times import iso
from sidecar.domain.paths import user_path
from sidecar.store import Store
from sidecar.store.users import user_list
from sidecar.store.users.user_query import UserQuery

# The moment that a search ends with, with the viewer's offset: zimwatch.js adds it.
_MOMENT: Final = "moment"
# Fields that leave a search one for an id alone.
_BESIDE: Final = {"match", "order", "app_id", _MOMENT}
# Of ``3 minutes ago``. No moment is longer than a date, a time of day and an offset.
_WORDS_MOST: Final = 3
_LONGEST: Final = 40


async def page_of_only_hit(store: Store, page_request: PageRequest, wanted: UserQuery, now_us: int) -> str | None:
    """The address of the only user whom the search names, as of the past moment that it ends with, if it does.

    None where it names none or several, or anything else was asked for.
    """
    asked = {name for name, value in page_request.query if value} - _BESIDE
    if asked != {"q"} or wanted.match == "prefix":
        return None
    text = wanted.q or ""
    for user_id, at_us in ((text, None), *ids_and_moments(text, page_request.get(_MOMENT), now_us)):
        exact = UserQuery(q=user_id, match="exact", apps=wanted.apps, limit=2)
        hits = (await store.read(user_list.list_users, exact, store.now())).users
        if len(hits) == 1:
            path = user_path(hits[0].app_id, hits[0].user_id)
            return path if at_us is None else f"{path}?{urlencode({'as_of': iso(at_us)})}"
        if hits:
            return None
    return None


def ids_and_moments(text: str, zoned: str, now_us: int) -> Iterator[tuple[str, int]]:
    """The ways in which a search is an id and a past moment: ``alice yesterday 15:50``; the longest moment first.

    ``zoned`` is that longest one with the viewer's offset; empty where nobody knows it.
    """
    for words in range(_WORDS_MOST, 0, -1):
        user_id, *rest = text.rsplit(maxsplit=words) or [""]
        typed = " ".join(rest)
        if len(rest) < words or len(typed) > _LONGEST:
            continue
        with contextlib.suppress(ValueError, OverflowError):
            at_us, _is_whole = moment_of(typed, now_us)
            if zoned:
                (at_us, _is_whole), zoned = moment_of(zoned, now_us), ""
            if at_us <= now_us:
                yield user_id, at_us
