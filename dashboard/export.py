"""The filtered list of users as a file: CSV, JSON or Parquet, streamed page by page, so that size costs no memory."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from dashboard.asked import AppOf, Asked, MomentError, moment_asked
from dashboard.language import gettext as _
from dashboard.views.users import FilterError, search_of
from sidecar.clock import Clock
from sidecar.store import Store
from sidecar.store.lookup import FoundUser
from sidecar.store.records import UserRow

UserView = Callable[[UserRow], Mapping[str, Any]]
"""A user as the API writes it."""

ROWS: Final = 1_000
_TEXT: Final = ("user_id", "status", "since", "reason", "token_expires_at", "last_seen_at", "platform")
_MORE: Final = ("sdk_name", "sdk_version", "app_version")
# A spreadsheet takes a cell that begins so for a formula (CWE-1236).
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")

Encode = Callable[[AsyncIterator[list[dict[str, Any]]]], AsyncIterator[bytes]]


def routes(store: Store, clock: Clock, app_of: AppOf, user_view: UserView) -> list[web.AbstractRouteDef]:
    """``/users.csv``, ``/users.json`` and ``/users.parquet``, with the filters of ``/users``."""

    def row_of(found: FoundUser) -> dict[str, Any]:
        more = {name: getattr(found, name) for name in _MORE}
        return {**user_view(found.user), **more, "live_clients": found.live_clients}

    def export(name: str, kind: str, encode: Encode) -> web.RouteDef:
        async def answer(request: web.Request) -> web.StreamResponse:
            asked = Asked.of(request, app_of)
            try:
                wanted = msgspec.structs.replace(search_of(asked, clock()), limit=ROWS)
                as_of_us = moment_asked(asked, "as_of")
            except (FilterError, MomentError) as error:
                raise web.HTTPBadRequest(text=str(error)) from None

            async def pages() -> AsyncIterator[list[dict[str, Any]]]:
                cursor = wanted.cursor
                while True:
                    page = msgspec.structs.replace(wanted, cursor=cursor)
                    found = await (store.search(page) if as_of_us is None else store.users_as_of(page, as_of_us))
                    if found.users:
                        yield [row_of(one) for one in found.users]
                    if (cursor := found.next_cursor) is None:
                        return

            chunks = encode(pages())
            headers = {
                "Content-Type": kind,
                "Content-Disposition": f'attachment; filename="{name}"',
                "Cache-Control": "no-store",
            }
            response = web.StreamResponse(headers=headers)
            await response.prepare(request)
            async for chunk in chunks:
                await response.write(chunk)
            await response.write_eof()
            return response

        return web.get(f"/{name}", answer)

    return [
        export("users.csv", "text/csv; charset=utf-8", _csv),
        export("users.json", "application/json", _json),
        export("users.parquet", "application/vnd.apache.parquet", _parquet),
    ]


async def _csv(pages: AsyncIterator[list[dict[str, Any]]]) -> AsyncIterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text)
    named = False
    async for rows in pages:
        if not named:
            writer.writerow(rows[0])
            named = True
        writer.writerows([_cell(value) for value in row.values()] for row in rows)
        yield text.getvalue().encode(errors="replace")
        text.seek(0)
        text.truncate()


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


async def _json(pages: AsyncIterator[list[dict[str, Any]]]) -> AsyncIterator[bytes]:
    before = b'{"users":[\n'
    async for rows in pages:
        for row in rows:
            yield before + msgspec.json.encode(row)
            before = b",\n"
    yield (b"" if before.startswith(b",") else before) + b"\n]}\n"


def _parquet(pages: AsyncIterator[list[dict[str, Any]]]) -> AsyncIterator[bytes]:
    """HTTP 501 where pyarrow is not installed: it is an extra."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise web.HTTPNotImplemented(
            text=_("Parquet needs pyarrow: install Zimwatch with its extra, zimwatch[parquet]")
        ) from None
    schema = pa.schema(
        [
            ("app_id", pa.int64()),
            *((name, pa.string()) for name in _TEXT[:4]),
            ("unconfirmed", pa.bool_()),
            *((name, pa.string()) for name in (*_TEXT[4:], *_MORE)),
            ("live_clients", pa.int64()),
        ]
    )
    return _row_groups(pages, schema, pa, parquet)


async def _row_groups(
    pages: AsyncIterator[list[dict[str, Any]]],
    schema: Any,  # noqa: ANN401 - pyarrow has no types
    pa: Any,  # noqa: ANN401
    parquet: Any,  # noqa: ANN401
) -> AsyncIterator[bytes]:
    sink = _Sink()
    writer = parquet.ParquetWriter(sink, schema)
    async for rows in pages:
        writer.write_table(pa.Table.from_pylist(_utf8(rows), schema=schema))
        yield sink.taken()
    writer.close()
    yield sink.taken()


def _utf8(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            key: value.encode(errors="replace").decode() if isinstance(value, str) else value
            for key, value in row.items()
        }
        for row in rows
    ]


class _Sink(io.RawIOBase):
    """A file that can only be written on, whose bytes are taken away as they come."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()
        self._written = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._written

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        size = len(memoryview(data).cast("B"))
        self._held += data
        self._written += size
        return size

    def taken(self) -> bytes:
        """What was written since the last call."""
        taken, self._held = bytes(self._held), bytearray()
        return taken
