"""The read side of a large database at the server: the API's calls, every page, and a start."""

from __future__ import annotations

import contextlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import msgspec

from benchmarks import large
from benchmarks.ingest import percentile
from benchmarks.processes import rss_mb
from tests.support.process import DATABASE, serving


class Target(msgspec.Struct, frozen=True):
    """The share of the answers that should come within so many milliseconds."""

    share: float
    ms: int


CALL_TARGET: Final = Target(0.99, 10)
PAGE_TARGET: Final = Target(0.95, 60)
STARTS: Final = 5
_TIMING: Final = re.compile(r"dur=([0-9.]+)")
_WARM: Final = 3
_APP: Final = large.APP_ID

# {user} is another one each time, {part} its last digits; {hour} is the time an hour ago.
CALLS: Final = {
    "all users": "/v1/users",
    "by status": "/v1/users?status=offline",
    "by app": f"/v1/users?app_id={_APP}",
    "by platform": "/v1/users?platform=Web",
    "by reason": "/v1/users?reason=KICKED_OUT",
    "by a rare reason": "/v1/users?reason=TOKEN_EXPIRED",
    "by a reason that nobody has": "/v1/users?reason=LOGIN_FAILED",
    "unconfirmed": "/v1/users?unconfirmed=1",
    "by all of these": f"/v1/users?app_id={_APP}&status=online&platform=Web&reason=SUCCESS&unconfirmed=0",
    "disagreement": "/v1/users?disagreement=1",
    "500 at once": "/v1/users?limit=500",
    "a page far down": "/v1/users?cursor=100000",
    "by a beginning": "/v1/users?q={beginning}",
    "by a part": "/v1/users?q={part}",
    "by a part and a status": "/v1/users?q={part}&status=offline",
    "by a part that all have": "/v1/users?q=user-",
    "by a part that nobody has": "/v1/users?q=zzzzzz",
    "by three characters": "/v1/users?q=r-0",
    "by two characters": "/v1/users?q=99",
    "by one character": "/v1/users?q=z",
    "kicked out within the hour": "/v1/users?happened=kicked_out&within=1h",
    "kicked out within 7 days": "/v1/users?happened=kicked_out&within=7d",
    "expired within 7 days, by a rare SDK": "/v1/users?happened=token_expired&within=7d&sdk_version=2.9.0",
    "a user": f"/v1/users/{_APP}/{{user}}",
    "a user of 40 devices": f"/v1/users/{_APP}/{large.MANY}",
    "a timeline": f"/v1/users/{_APP}/{{user}}/events?limit=20",
    "the timeline of 100,000 events": f"/v1/users/{_APP}/{large.HEAVY}/events?limit=100",
    "the counts": "/v1/summary",
    "alerts": "/v1/alerts",
}
PAGES: Final = {
    "overview": "/",
    "wall": "/wall",
    "users": "/users",
    "users, oldest first": "/users?order=oldest",
    "users by id": "/users?order=id",
    "users, offline": "/users?status=offline",
    "users, kicked out": "/users?reason=KICKED_OUT",
    "users, Android and unconfirmed": "/users?platform=Android&unconfirmed=true",
    "users of an app": f"/users?app_id={_APP}",
    "users, a rare SDK": "/users?sdk=2.9.0",
    "users, an app version that nobody has": "/users?version=9.9.9",
    "users, changed within five minutes": "/users?since=5m",
    "users, a token that ends within the hour": "/users?token=1h",
    "users, server disagrees": "/users?disagreement=true",
    "users, kicked out within 7 days": "/users?happened=kicked_out&within=7d",
    "users, kicked out in an hour": "/users?happened=kicked_out&until={hour}",
    "users, kicked out and online, by a part": "/users?happened=kicked_out&status=online&q={part}",
    "users, calls failed": "/users?happened=calls_failed",
    "users, suggestions": "/users/suggestions?q={beginning}",
    "users, exact id": "/users?q={user}&match=exact",
    "users, prefix": "/users?q={beginning}&match=prefix",
    "users, substring": "/users?q={part}",
    "users, a part that all have": "/users?q=user-",
    "users, a part that all have and a rare SDK": "/users?q=user-&sdk=2.9.0&order=oldest",
    "users, nothing like it": "/users?q=zzzzzz",
    "users, 200 pasted ids": "/users?ids={ids}",
    "users, all columns": "/users?col=app&col=platform&col=sdk&col=version&col=devices&col=token&col=seen",
    "users an hour ago": "/users?as_of={hour}",
    "users offline an hour ago": "/users?as_of={hour}&status=offline",
    "users of a rare reason an hour ago": "/users?as_of={hour}&reason=TOKEN_EXPIRED",
    "a user": f"/users/{_APP}/{{user}}",
    "a user an hour ago": f"/users/{_APP}/{{user}}?as_of={{hour}}",
    "a user of 40 devices": f"/users/{_APP}/{large.MANY}",
    "a user of 100,000 events": f"/users/{_APP}/{large.HEAVY}",
    "a user of 100,000 events an hour ago": f"/users/{_APP}/{large.HEAVY}?as_of={{hour}}",
    "alerts": "/alerts",
    "alerts by cause": "/alerts?group=cause",
    "alerts of a user": "/alerts?q={user}",
    "alerts that resolved": "/alerts?state=resolved",
    "an alert": "/alerts/1",
    "silences": "/silences",
    "settings": "/settings",
}


@contextlib.contextmanager
def folder_of(kept: Path | None) -> Iterator[Path]:
    """The folder of the database: the given one, or a temporary one."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="zimwatch-bench-") as name:
        yield Path(name)


async def measure(folder: Path, users: int, events: int, times: int) -> dict[str, Any]:
    """Each page ``times`` times on one connection, in milliseconds, by the server's timing; and a start.

    Each call ten times as often: its aim is a p99, which of a hundred would be the slowest one.
    """
    filled = await large.fill(folder, users, events)
    if (folder / DATABASE).exists():  # and not a database of PostgreSQL
        into_memory(folder / DATABASE)
    found: dict[str, Any] = {"users": users, "events": events, "filled in s": filled.seconds}
    starts = []
    for _ in range(STARTS):
        begun = time.perf_counter()
        async with serving(folder):
            starts.append(time.perf_counter() - begun)
    found["start s"] = statistics.median(starts)
    found["of that, loading the code s"] = _loading_s()
    async with serving(folder) as (url, process), aiohttp.ClientSession(url) as http:
        found["RSS MB after the start"] = rss_mb(process.pid)
        of = made_up(users)
        found["calls"] = {name: await _read(http, path, of, times * 10, CALL_TARGET) for name, path in CALLS.items()}
        found["pages"] = {name: await _read(http, path, of, times, PAGE_TARGET) for name, path in PAGES.items()}
        found["RSS MB after the reads"] = rss_mb(process.pid)
    return found


async def _read(
    http: aiohttp.ClientSession, path: str, of: Callable[[], Mapping[str, str]], times: int, target: Target
) -> dict[str, float]:
    at_server, at_client = [], []
    for _ in range(_WARM + times):
        call = path.format_map(of())
        begun = time.perf_counter()
        async with http.get(call) as answer:
            await answer.read()
            if answer.status != 200:  # noqa: PLR2004 - HTTP's OK
                raise RuntimeError(f"{call}: {answer.status}")
            timing = _TIMING.search(answer.headers["Server-Timing"])
        at_client.append(time.perf_counter() - begun)
        at_server.append(float(timing[1]) / 1_000 if timing else float("nan"))
    at_server, at_client = at_server[_WARM:], at_client[_WARM:]
    return {
        "beside the target": percentile(at_server, target.share) / target.ms,
        "p50": percentile(at_server, 0.5),
        "p95": percentile(at_server, 0.95),
        "p99": percentile(at_server, 0.99),
        "p50 at the client": percentile(at_client, 0.5),
    }


def made_up(users: int) -> Callable[[], Mapping[str, str]]:
    """The values of the addresses: other users each time, the same ones in each run."""
    rng = Random(3)  # noqa: S311 - the same every time

    def of() -> Mapping[str, str]:
        ids = [f"user-{rng.randrange(users - 2):07}" for _ in range(200)]
        hour = datetime.now(UTC) - timedelta(hours=1, minutes=rng.randrange(60))
        return {
            "user": ids[0],
            "beginning": ids[0][:-2],
            "part": ids[0][-5:],
            "ids": quote("\n".join(ids)),
            "hour": hour.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    return of


def into_memory(file: Path) -> None:
    """Reads the whole file into the page cache, so that the disk is not measured."""
    with file.open("rb", buffering=0) as opened:
        while opened.read(1 << 24):
            pass


def _loading_s() -> float:
    """How long Python takes to start and to load the command."""
    took = []
    for _ in range(STARTS):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import sidecar.cli.serve"], check=True)
        took.append(time.perf_counter() - begun)
    return statistics.median(took)
