"""The centre of an edge: sends one request to its ``POST /v1/events``, and says what became of it."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from sidecar.clock import Clock
from sidecar.domain import rfc3339
from sidecar.domain.outside_text import one_line
from sidecar.domain.retry import retry_after_us
from sidecar.domain.texts import Text
from sidecar.domain.units import SECOND_US
from sidecar.forwarding.texts import AWAY, REFUSED, STRANGE
from sidecar.http_client import Answer, DeliveryError, HttpClient
from sidecar.settings import ForwardSettings

PATH: Final = "/v1/events"
_GZIP_FROM_BYTES: Final = 1_000
_ANSWER_BYTES: Final = 1 << 20
_OK: Final = 200
_MALFORMED: Final = 400
_TOO_LARGE: Final = frozenset({400, 413})
# What may be different a moment later (RFC 9110, sections 15.5.9 and 15.6; RFC 6585, section 4).
_LATER: Final = frozenset({408, 425, 429})


class RejectedThere(msgspec.Struct, frozen=True):
    """An event that the centre rejected: its place in the request, and the reason."""

    index: int
    error: str


class Taken(msgspec.Struct, frozen=True):
    """The centre's answer. Of what it rejected the first are named, in order; ``rejected_more`` are not."""

    accepted: int
    duplicates: int = 0
    rejected: Sequence[RejectedThere] = ()
    rejected_more: int = 0
    heartbeat_after_s: int = 0


class TooLargeError(Exception):
    """The centre takes no such request; it may take a part of it."""


class NotTakenError(Exception):
    """The request was not taken, and is to be sent again. ``is_refused``: somebody has to do something first."""

    def __init__(self, problem: Text, *, is_refused: bool = False, retry_after_us: int = 0) -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.is_refused = is_refused
        self.retry_after_us = retry_after_us


class Report(msgspec.Struct, frozen=True):
    """How far the edge is behind once the request is taken. ``ends``: it stops, and nothing waits."""

    waiting: int
    behind_us: int
    ends: bool = False


class Centre:
    """Of the settings, in which an address and a token must be."""

    def __init__(self, settings: ForwardSettings, name: str, http: HttpClient, clock: Clock) -> None:
        self._url = f"{(settings.url or '').rstrip('/')}{PATH}"
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {settings.token}"}
        self._name = name
        self._http = http
        self._clock = clock

    async def send(self, bodies: Sequence[bytes], report: Report) -> Taken:
        """Sends events by their JSON. TooLargeError or NotTakenError where none was taken."""
        body = b"[" + b",".join(bodies) + b"]"
        headers: Mapping[str, str] = self._headers
        if len(body) >= _GZIP_FROM_BYTES:
            body = gzip.compress(body, 1)
            headers = {**headers, "Content-Encoding": "gzip"}
        sent_us = self._clock()
        params = [
            ("sent_at", rfc3339.exact_text(sent_us)),
            ("edge", self._name),
            ("edge_waiting", str(report.waiting)),
            ("edge_behind_s", f"{report.behind_us / SECOND_US:.3f}"),
            *([("edge_ends", "1")] if report.ends else []),
        ]
        answer = await self._post(body, headers, params)
        if answer.status == _OK:
            return _taken(answer.body)
        if answer.status in _TOO_LARGE and bodies:
            raise TooLargeError(_why(answer))
        raise _not_taken(answer, sent_us)

    async def try_token(self) -> bool:
        """Whether the token is of scope forward; NotTakenError where it may not send at all. Nothing is kept there.

        Only with that scope the centre reads what an edge says of itself, and refuses a report without a number.
        """
        report = [("dry_run", "1"), ("edge", self._name)]
        answer = await self._post(b"[]", self._headers, report)
        if answer.status != _OK:
            raise _not_taken(answer, self._clock())
        _taken(answer.body)
        answer = await self._post(b"[]", self._headers, [*report, ("edge_waiting", "none")])
        if answer.status not in {_OK, _MALFORMED}:
            raise _not_taken(answer, self._clock())
        return answer.status == _MALFORMED

    async def _post(self, body: bytes, headers: Mapping[str, str], params: Sequence[tuple[str, str]]) -> Answer:
        try:
            return await self._http.request("POST", self._url, body, headers, params=params, most_bytes=_ANSWER_BYTES)
        except DeliveryError as error:
            raise NotTakenError(AWAY(why=error.text), is_refused=error.permanent) from None


def _not_taken(answer: Answer, sent_us: int) -> NotTakenError:
    later_us = retry_after_us(answer.headers, sent_us) or 0
    if answer.status in _LATER or answer.status >= 500:  # noqa: PLR2004 - HTTP's errors of servers
        return NotTakenError(AWAY(why=_why(answer)), retry_after_us=later_us)
    return NotTakenError(REFUSED(why=_why(answer)), is_refused=True, retry_after_us=later_us)


def _why(answer: Answer) -> str:
    return f"HTTP {answer.status}: {_detail(answer.body)}".rstrip(": ")


_taken_decoder: Final = msgspec.json.Decoder(Taken)


def _taken(body: bytes) -> Taken:
    # A proxy or a captive portal may answer 200 as well.
    try:
        return _taken_decoder.decode(body)
    except msgspec.MsgspecError:
        raise NotTakenError(STRANGE(), is_refused=True) from None


class _Problem(msgspec.Struct):
    detail: str = ""


def _detail(body: bytes) -> str:
    try:
        return one_line(msgspec.json.decode(body, type=_Problem).detail[:300])
    except msgspec.MsgspecError:
        return ""
