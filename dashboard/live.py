"""Open pages kept up to date: the live part of a page is made once for all who look at it, and only when it changed.

Each open page holds one stream of server-sent events (``/live`` and the page's own address). A commit wakes the
views it concerns; a view is made anew at most every ``PAUSE_S``, and what came out goes to all of its readers as the
same bytes. A message is the whole part, and its id is its digest: a reader that was away gets it as it stands now, or
nothing where it has it already. A slow reader misses what was in between, and nothing piles up for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import web
from markupsafe import Markup

from dashboard import language
from dashboard.asked import LIVE, AppOf, Asked, Loader, View
from dashboard.page import fill, render
from dashboard.visitor import form_token
from sidecar.store import Store
from sidecar.store.records import Commit

_log = structlog.get_logger(__name__)

PAUSE_S: Final = 0.4
# Time alone changes a page too (a lease runs out), and no commit tells of it.
REFRESH_S: Final = 10.0
KEEP_ALIVE_S: Final = 15.0
# A view that is dear to make rests for this many times its own cost: it never takes more than a share of the CPU.
_REST: Final = 4
# "3 minutes ago" goes on by itself in the browser.
_GOES_ON: Final = re.compile(r"(<time [^>]*data-ago>)[^<]*")


class Part:
    """The live part of a page as it was last made."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.id = hashlib.sha256(_GOES_ON.sub(r"\1", text).encode()).hexdigest()[:16]

    def message(self) -> bytes:
        """As one server-sent event."""
        lines = "".join(f"data: {line}\n" for line in self.text.splitlines())
        return f"id: {self.id}\n{lines}\n".encode()


class _Open:
    """One view that somebody looks at."""

    def __init__(self, asked: Asked, load: Loader) -> None:
        self.asked = asked
        self.load = load
        self.readers: set[asyncio.Event] = set()
        # Those who came since the part was last made: their page may be newer than it, so that they wait for the next.
        self.newcomers: set[asyncio.Event] = set()
        self.stale = asyncio.Event()
        self.part: Part | None = None
        self.message = b""
        self.task: asyncio.Task[None] | None = None


class Live:
    """The open views. Belongs to one event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: dict[Asked, _Open] = {}
        self._by_user: dict[tuple[int, str], set[_Open]] = defaultdict(set)
        self._general: set[_Open] = set()
        self._unsubscribe: Callable[[], None] | None = None

    async def tell(self, asked: Asked, load: Loader, view: View, response: web.StreamResponse, seen: str) -> None:
        """Writes the live part now, unless its id is ``seen``, and whenever it is another, until the reader goes."""
        shown = self._look(asked, load, view)
        awake = asyncio.Event()
        shown.newcomers.add(awake)
        shown.stale.set()
        try:
            while True:
                try:
                    await asyncio.wait_for(awake.wait(), KEEP_ALIVE_S)
                except TimeoutError:
                    await response.write(b": still here\n\n")
                    continue
                awake.clear()
                if shown.part is not None and shown.part.id != seen:
                    seen = shown.part.id
                    await response.write(shown.message)
        finally:
            shown.readers.discard(awake)
            shown.newcomers.discard(awake)
            if not shown.readers and not shown.newcomers:
                self._leave(shown)

    def _look(self, asked: Asked, load: Loader, view: View) -> _Open:
        shown = self._open.get(asked)
        if shown is None:
            shown = self._open[asked] = _Open(asked, load)
            if view.concerns is None:
                self._general.add(shown)
            for who in view.concerns or ():
                self._by_user[who].add(shown)
            shown.task = asyncio.create_task(self._keep(shown), name=f"live {asked.path[:80]}")
            if self._unsubscribe is None:
                self._unsubscribe = self._store.subscribe(self._hear)
        return shown

    def _leave(self, shown: _Open) -> None:
        if shown.task is not None:
            shown.task.cancel()
        del self._open[shown.asked]
        self._general.discard(shown)
        for who in [who for who, views in self._by_user.items() if shown in views]:
            self._by_user[who].discard(shown)
            if not self._by_user[who]:
                del self._by_user[who]
        if not self._open and self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    def _hear(self, commit: Commit) -> None:
        for shown in self._general:
            shown.stale.set()
        if self._by_user:
            for who in (*commit.users, *commit.alerted):
                for shown in self._by_user.get(who, ()):
                    shown.stale.set()

    async def _keep(self, shown: _Open) -> None:
        """Makes the part anew, for as long as somebody reads it."""
        language.speak(shown.asked.language)
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(shown.stale.wait(), REFRESH_S)
            shown.stale.clear()
            came, shown.newcomers = shown.newcomers, set()
            shown.readers |= came
            begun = loop.time()
            try:
                made = part_of(await shown.load(shown.asked), self._store.problem)
            except Exception as error:  # noqa: BLE001 - the top of a worker's loop: the page stays as it was
                _log.warning("a live page could not be made", path=shown.asked.path[:200], error=str(error))
            else:
                if shown.part is None or made.id != shown.part.id:
                    shown.part, shown.message = made, made.message()
                    came = shown.readers
                for reader in came:
                    reader.set()
            await asyncio.sleep(max(PAUSE_S, _REST * (loop.time() - begun)))


def part_of(view: View, trouble: str | None) -> Part:
    """The live part of a page, in the language of this task; above it, why events are refused, where they are."""
    return Part(fill("live/trouble.html", trouble=trouble) + fill(f"live/{view.name}", **view.values))


def whole(view: View, *, here: str, stream: str | None, token: str, trouble: str | None) -> web.Response:
    """The page with its live part in it. ``stream`` is where the part is kept up to date; None for one that stays."""
    part = part_of(view, trouble)
    values = view.values | {"here": here, "stream": stream, "part_id": part.id, "form_token": token}
    made = Markup(part.text)  # noqa: S704 - by a template just now, escaped there
    return render(view.name, view.status, part=made, **values)


def routes(store: Store, pages: dict[str, Loader], app_of: AppOf) -> list[web.AbstractRouteDef]:
    """The pages by their paths, and the stream of the live part of each."""
    live = Live(store)

    def page(load: Loader) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            asked = Asked.of(request, app_of)
            view = await load(asked)
            stream = f"{LIVE}{asked.here}" if view.is_live else None
            return whole(view, here=asked.here, stream=stream, token=form_token(request), trouble=store.problem)

        return answer

    def stream(load: Loader) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            asked = Asked.of(request, app_of)
            view = await load(asked)
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
            await response.prepare(request)
            with contextlib.suppress(ConnectionError):  # the reader went away
                await live.tell(asked, load, view, response, request.headers.get("Last-Event-ID", ""))
            return response

        return answer

    return [
        route
        for path, load in pages.items()
        for route in (web.get(path, page(load)), web.get(f"{LIVE}{path}", stream(load)))
    ]
