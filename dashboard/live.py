"""Live updates of open pages: the live part of a page is rendered once for all its readers, and sent when it changed.

Each open page holds one stream of server-sent events (``/live`` and the page's own address). A commit marks the views
it concerns as stale; a view is rendered at most every ``PAUSE_S``, and all its readers get the same bytes. A message
is the whole part, and its id is a digest of it: a reader that reconnects gets the current part, or nothing if it has
that one. A slow reader skips versions, and nothing queues up for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import structlog
from aiohttp import web
from markupsafe import Markup

from dashboard.page import capital, fill, render, with_secret
from dashboard.page_request import (
    LIVE,
    Loader,
    PageRequest,
    View,
)
from dashboard.root import rooted
from dashboard.text import language
from dashboard.text.language import gettext as _
from dashboard.text.translate import translate
from sidecar import access
from sidecar.access import routing
from sidecar.access.policy import Action
from sidecar.domain.texts import Text
from sidecar.settings import ServerSettings
from sidecar.store import Store
from sidecar.store.values import Commit
from sidecar.web.changes import Hub, Reader, Source
from sidecar.web.event_stream import EventStream, Payload
from sidecar.web.forms import form_token

_log = structlog.get_logger(__name__)

PAUSE_S: Final = 0.4
# Time alone changes a page too (a lease runs out), without a commit.
REFRESH_S: Final = 10.0
# Each open view is rendered at every change.
VIEWS_A_READER: Final = 32
_COME_BACK_S: Final = 30
# After rendering a view pauses for this many times the time it took, which bounds its share of the CPU.
_REST_FACTOR: Final = 4
# "3 minutes ago" is updated by the browser, and does not make a new part.
_RELATIVE_TIME: Final = re.compile(r"(<time [^<>]*data-ago>)[^<]*")


class Part:
    """The live part of a page as last rendered."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.id = hashlib.sha256(_RELATIVE_TIME.sub(r"\1", text).encode()).hexdigest()[:16]

    def message(self) -> Payload:
        """As one server-sent event."""
        lines = "".join(f"data: {line}\n" for line in rooted(self.text).splitlines())
        return Payload(f"id: {self.id}\n{lines}\n".encode())


class _Open:
    """One open view and its readers."""

    def __init__(self, page_request: PageRequest, load: Loader) -> None:
        self.page_request = page_request
        self.load = load
        self.readers: set[asyncio.Event] = set()
        # Readers since the last rendering: their page may be newer than the part, so they wait for the next one.
        self.newcomers: set[asyncio.Event] = set()
        self.stale = asyncio.Event()
        self.part: Part | None = None
        self.message: Payload | None = None
        self.task: asyncio.Task[None] | None = None


class PageReader(Reader):
    """One open page; ``seen`` is the id of its part."""

    def __init__(self, page_request: PageRequest, load: Loader, view: View, seen: str) -> None:
        super().__init__()
        self.page_request = page_request
        self.load = load
        self.view = view
        self.shown: _Open | None = None
        self._seen = seen

    async def send(self, stream: EventStream) -> None:
        """Writes the part, unless the page has it already."""
        shown = self.shown
        if shown is None or shown.part is None or shown.message is None or shown.part.id == self._seen:
            return
        self._seen = shown.part.id
        await stream.write(shown.message)


class Live(Source[PageReader]):
    """The open views. Belongs to one event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: dict[PageRequest, _Open] = {}
        self._by_user: dict[tuple[int, str], set[_Open]] = defaultdict(set)
        self._general: set[_Open] = set()
        self._by_reader: dict[str, Counter[PageRequest]] = defaultdict(Counter)

    def join(self, reader: PageReader) -> None:
        """Wakes the reader after the next rendering, and whenever the part changes."""
        shown = reader.shown = self._look(reader.page_request, reader.load, reader.view)
        shown.newcomers.add(reader.awake)
        shown.stale.set()

    def leave(self, reader: PageReader) -> None:
        """Stops the view with its last reader."""
        shown = self._open[reader.page_request]
        shown.readers.discard(reader.awake)
        shown.newcomers.discard(reader.awake)
        if not shown.readers and not shown.newcomers:
            self._leave(shown)

    def follow(self, commit: Commit) -> None:
        """Marks the views that the commit concerns as stale."""
        for shown in self._general:
            shown.stale.set()
        if self._by_user:
            for who in (*commit.users, *commit.alerted):
                for shown in self._by_user.get(who, ()):
                    shown.stale.set()

    @contextlib.contextmanager
    def counted(self, reader: str, page_request: PageRequest) -> Iterator[None]:
        """One of the reader's open views until the context ends. HTTP 429 where it would be one too many."""
        own = self._by_reader[reader]
        if page_request not in own and len(own) >= VIEWS_A_READER:
            raise web.HTTPTooManyRequests(
                text=_("%(count)s live views are open; close one first.") % {"count": len(own)},
                headers={"Retry-After": str(_COME_BACK_S)},
            )
        own[page_request] += 1
        try:
            yield
        finally:
            own[page_request] -= 1
            if not own[page_request]:
                del own[page_request]
            if not own:
                del self._by_reader[reader]

    def _look(self, page_request: PageRequest, load: Loader, view: View) -> _Open:
        shown = self._open.get(page_request)
        if shown is None:
            shown = self._open[page_request] = _Open(page_request, load)
            if view.concerns is None:
                self._general.add(shown)
            for who in view.concerns or ():
                self._by_user[who].add(shown)
            shown.task = asyncio.create_task(self._keep(shown), name="live view")
        return shown

    def _leave(self, shown: _Open) -> None:
        if shown.task is not None:
            shown.task.cancel()
        del self._open[shown.page_request]
        self._general.discard(shown)
        for who in [who for who, views in self._by_user.items() if shown in views]:
            self._by_user[who].discard(shown)
            if not self._by_user[who]:
                del self._by_user[who]

    async def _keep(self, shown: _Open) -> None:
        """Renders the part whenever it is stale, until the task is cancelled."""
        language.set_language(shown.page_request.language)
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(shown.stale.wait(), REFRESH_S)
            shown.stale.clear()
            came, shown.newcomers = shown.newcomers, set()
            shown.readers |= came
            begun = loop.time()
            try:
                made = part_of(await shown.load(shown.page_request), self._store.problem)
            except Exception as error:  # noqa: BLE001 - the top of a worker's loop: the page stays as it was
                _log.warning("a live page could not be rendered", path=shown.page_request.path[:200], error=str(error))
            else:
                if shown.part is None or made.id != shown.part.id:
                    shown.part, shown.message = made, made.message()
                    came = shown.readers
                for reader in came:
                    reader.set()
            await asyncio.sleep(max(PAUSE_S, _REST_FACTOR * (loop.time() - begun)))


def part_of(view: View, trouble: Text | None) -> Part:
    """The live part of a page in the language of this task, below the warning if events are refused."""
    return Part(fill("live/trouble.html", trouble=trouble) + fill(f"live/{view.name}", **view.values))


def whole(view: View, *, here: str, stream: str | None, token: str, trouble: Text | None) -> web.Response:
    """The whole page. ``stream`` is the address of the updates of its live part; None for a static page."""
    part = part_of(view, trouble)
    values = view.values | {"here": here, "stream": stream, "part_id": part.id, "form_token": token}
    made = Markup(part.text)  # noqa: S704 - rendered by a template, which escapes
    response = render(view.name, view.status, part=made, **values)
    return with_secret(response) if view.with_secret else response


def _wants_once(request: web.Request) -> bool:
    """Whether the browser polls for the part, as it has no connection left for a stream."""
    accepted = request.headers.get("Accept", "")
    return accepted.startswith("text/html") and "text/event-stream" not in accepted


def _once(part: Part, seen: str | None) -> web.Response:
    """The part; 204 if its reader has it already."""
    headers = {"Last-Event-ID": part.id, "Cache-Control": "no-store"}
    if part.id == seen:
        return web.Response(status=204, headers=headers)
    return web.Response(text=rooted(part.text), content_type="text/html", headers=headers)


def routes(
    store: Store, pages: dict[str, tuple[Loader, Action]], server: ServerSettings, hub: Hub
) -> list[web.AbstractRouteDef]:
    """The pages by their paths, each with what it needs, and the stream of the live part of each."""
    live = Live(store)

    def page(load: Loader) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            page_request = PageRequest.of(request, server)
            view = await load(page_request)
            if view.elsewhere is not None:
                raise web.HTTPSeeOther(view.elsewhere)
            stream = f"{LIVE}{page_request.here}" if view.is_live else None
            return whole(view, here=page_request.here, stream=stream, token=form_token(request), trouble=store.problem)

        return answer

    def stream(load: Loader) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            page_request = PageRequest.of(request, server)
            view = await load(page_request)
            if _wants_once(request):
                return _once(part_of(view, store.problem), request.headers.get("Last-Event-ID"))
            reader = PageReader(page_request, load, view, request.headers.get("Last-Event-ID", ""))
            with live.counted(access.reader_of(request, server), page_request):
                return await hub.serve(request, live, reader, reason=lambda text: capital(translate(text)))

        return answer

    return [
        route
        for path, (load, needed) in pages.items()
        for route in (
            routing.get(path, page(load), needed),
            routing.get(f"{LIVE}{path}", stream(load), needed, allow_head=False),
        )
    ]
