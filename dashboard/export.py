"""Exports of the user list, streamed page by page, in bounded memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from aiohttp import web

from dashboard.page_request import MomentError, PageRequest, past_moment
from dashboard.pages.users import FilterError, search_of
from dashboard.parts.export_formats import FORMATS, ExportFormat
from dashboard.parts.user_columns import export_row
from dashboard.site import Site
from sidecar.access import routing
from sidecar.access.policy import Action
from sidecar.store.users import as_of, user_list

ROWS: Final = 1_000


def routes(site: Site) -> list[web.AbstractRouteDef]:
    """``/users.csv`` and so on, one for each format, with the filters of ``/users``."""
    store, clock = site.store, site.clock

    def export(format_: ExportFormat) -> web.AbstractRouteDef:
        name = f"users.{format_.ending}"

        async def answer(request: web.Request) -> web.StreamResponse:
            page_request = PageRequest.of(request, site.server)
            try:
                wanted = msgspec.structs.replace(search_of(page_request, clock()), limit=ROWS)
                as_of_us = past_moment(page_request, "as_of", clock())
            except (FilterError, MomentError) as error:
                raise web.HTTPBadRequest(text=str(error)) from None

            async def pages() -> AsyncIterator[list[dict[str, Any]]]:
                cursor = wanted.cursor
                while True:
                    page = msgspec.structs.replace(wanted, cursor=cursor)
                    found = await (
                        store.read(user_list.list_users_with_clients, page, store.now())
                        if as_of_us is None
                        else store.read(as_of.users_as_of, page, as_of_us, store.now())
                    )
                    if found.users:
                        yield [export_row(one, site.user_view(one.user)) for one in found.users]
                    if (cursor := found.next_cursor) is None:
                        return

            return await streamed(request, format_, "users", name, pages())

        return routing.get(f"/{name}", answer, Action.SEE_USERS)

    return [export(format_) for format_ in FORMATS]


async def streamed(
    request: web.Request, format_: ExportFormat, noun: str, name: str, pages: AsyncIterator[list[dict[str, Any]]]
) -> web.StreamResponse:
    """The pages of rows as a file called ``name``; ``noun`` is what the rows are."""
    chunks = format_.encode(pages, noun)
    headers = {
        "Content-Type": format_.media_type,
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
    }
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    async for chunk in chunks:
        await response.write(chunk)
    await response.write_eof()
    return response
