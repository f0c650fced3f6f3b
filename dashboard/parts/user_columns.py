"""The columns of the user list, on the page and in its exports: to add one, add it here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec

from dashboard.page import grouped
from dashboard.text.app_names import apps
from dashboard.text.language import marked
from dashboard.text.times import iso
from sidecar.store.users import client_rows
from sidecar.store.users.user_query import ListedUser


class PageColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column that a reader of the page may choose; ``key`` is its name in the address.

    ``value`` is text, a number or, for ``is_time``, a moment in µs. ``usual`` columns are shown by default;
    ``in_past`` ones are known as of a past moment.
    """

    key: str
    title: str
    value: Callable[[ListedUser], str | int | None]
    is_time: bool = False
    usual: bool = False
    in_past: bool = False


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the exports: ``name`` there, and ``type`` as pyarrow calls it; None leaves it out of Parquet.

    Without ``value`` it is the field ``name`` of the API's JSON object of the user.
    """

    name: str
    type: Literal["string", "int64", "bool_"] | None = "string"
    value: Callable[[ListedUser], str | int | None] | None = None
    page: PageColumn | None = None


def _live_devices(found: ListedUser) -> str:
    return grouped(found.live_clients, client_rows.COUNTED_MOST)


COLUMNS: Final = (
    Column(
        name="app_id",
        type="int64",
        page=PageColumn(
            key="app",
            title=marked("App"),
            value=lambda found: apps().shown(found.user.app_id),
            usual=True,
            in_past=True,
        ),
    ),
    Column(name="app_name", value=lambda found: apps().name(found.user.app_id)),
    Column(name="user_id"),
    Column(name="status"),
    Column(name="since"),
    Column(name="reason"),
    Column(name="unconfirmed", type="bool_"),
    Column(
        name="token_expires_at",
        page=PageColumn(
            key="token",
            title=marked("Token ends"),
            value=lambda found: found.user.token_expires_at_us,
            is_time=True,
        ),
    ),
    Column(
        name="last_seen_at",
        page=PageColumn(
            key="seen",
            title=marked("Last seen"),
            value=lambda found: found.user.last_seen_at_us,
            is_time=True,
            in_past=True,
        ),
    ),
    Column(
        name="platform",
        page=PageColumn(
            key="platform", title=marked("Platform"), value=lambda found: found.user.platform, usual=True, in_past=True
        ),
    ),
    Column(name="server", type=None),
    Column(name="disagreement", type=None),
    Column(name="sdk_name", value=lambda found: found.sdk_name),
    Column(
        name="sdk_version",
        value=lambda found: found.sdk_version,
        page=PageColumn(key="sdk", title=marked("SDK"), value=lambda found: found.sdk_version),
    ),
    Column(
        name="app_version",
        value=lambda found: found.app_version,
        page=PageColumn(key="version", title=marked("App version"), value=lambda found: found.app_version),
    ),
    Column(
        name="live_clients",
        type="int64",
        value=lambda found: found.live_clients,
        page=PageColumn(key="devices", title=marked("Live devices"), value=_live_devices),
    ),
    # Of exports of users to whom something happened.
    Column(name="happened_at", value=lambda found: iso(found.user.happened.last_us) if found.user.happened else None),
    Column(
        name="happened_times",
        type="int64",
        value=lambda found: found.user.happened.times if found.user.happened else None,
    ),
)
PAGE_COLUMNS: Final = {column.page.key: column.page for column in COLUMNS if column.page is not None}


def export_row(found: ListedUser, user_view: Mapping[str, Any]) -> dict[str, Any]:
    """One user as a row of an export; ``user_view`` is the API's JSON object of the user."""
    return {column.name: column.value(found) if column.value else user_view[column.name] for column in COLUMNS}
