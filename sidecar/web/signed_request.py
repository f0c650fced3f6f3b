"""Signed requests: a signature is checked against headers and body, and each request is accepted once.

What was accepted is kept for as long as its signature is valid, in the database, so that a restart forgets nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

import msgspec
from aiohttp import web

from sidecar.alerting.payloads import moment
from sidecar.alerting.receivers.webhook import signer
from sidecar.domain.units import MINUTE_US, SECOND_US
from sidecar.ingest.callback import AHEAD_US
from sidecar.store import Store
from sidecar.store.access import signed_requests
from sidecar.web.problem import Problem

# How long a signature of a command is valid, so that a recorded request cannot be replayed later.
_VALID_US: Final = 5 * MINUTE_US
_ID_CHARACTERS: Final = 256
# A sender signs with the old and the new secret while it rotates them.
_SIGNATURES_MOST: Final = 8
_TIMESTAMP_DIGITS: Final = 11  # seconds, up to the year 5138


class Repeat(Enum):
    """Whether a request with the same key was accepted before."""

    NO = auto()
    SAME = auto()
    OTHER_CONTENTS = auto()


async def repeat_of(store: Store, key: bytes, contents: bytes, *, now_us: int, valid_until_us: int) -> Repeat:
    """Whether the request is a repeat; if it is none, records it until its signature expires."""
    digest = signed_requests.digest(contents)
    before = await store.write(signed_requests.taken_before, key, digest, now_us=now_us, until_us=valid_until_us)
    if before is None:
        return Repeat.NO
    return Repeat.SAME if before == digest else Repeat.OTHER_CONTENTS


class Signature(msgspec.Struct, frozen=True):
    """The signatures in a request's headers; ``key`` identifies the request among all of its sender's."""

    timestamp_s: int
    key: bytes
    given: tuple[str, ...]
    wanted: Callable[[bytes], str]

    @classmethod
    def of_webhook(cls, request: web.Request, secret: str, now_us: int) -> Signature:
        """By Standard Webhooks, where any of the header's signatures may match. 401 where a header is wrong."""
        message_id = request.headers.get("webhook-id", "")
        if not (message_id and message_id.isascii() and len(message_id) <= _ID_CHARACTERS):
            raise Problem(401, f"webhook-id is missing, or not 1 to {_ID_CHARACTERS} ASCII characters")
        timestamp_s = _valid_timestamp(request.headers.get("webhook-timestamp", ""), now_us)
        key, signed_at = signer(secret), moment(timestamp_s * SECOND_US)
        return cls(
            timestamp_s,
            signed_requests.digest("webhook", message_id),
            tuple(request.headers["webhook-signature"].split()[:_SIGNATURES_MOST]),
            lambda raw: key.sign(message_id, signed_at, raw.decode()),
        )

    @classmethod
    def of_slack(cls, request: web.Request, secret: str, now_us: int) -> Signature:
        """https://docs.slack.dev/authentication/verifying-requests-from-slack. 401 where a header is wrong."""
        timestamp = request.headers.get("X-Slack-Request-Timestamp", "")
        timestamp_s = _valid_timestamp(timestamp, now_us)
        given = request.headers.get("X-Slack-Signature", "")
        if not given:
            raise Problem(401, "X-Slack-Signature is missing")
        # Slack sends no id, but each body holds something unique, so that no two requests share a signature.
        return cls(
            timestamp_s,
            signed_requests.digest("slack", given),
            (given,),
            lambda raw: (
                "v0=" + hmac.new(secret.encode(), b"v0:%b:%b" % (timestamp.encode(), raw), hashlib.sha256).hexdigest()
            ),
        )

    async def accept(self, store: Store, raw: bytes, now_us: int) -> None:
        """401 where no signature matches the body, 409 for a request that was accepted before."""
        if not self._matches(raw):
            raise Problem(401, "the signature does not match")
        valid_until_us = self.timestamp_s * SECOND_US + _VALID_US
        if await repeat_of(store, self.key, raw, now_us=now_us, valid_until_us=valid_until_us) is not Repeat.NO:
            raise Problem(409, "this request was accepted before; sign a new one to repeat the command")

    def _matches(self, raw: bytes) -> bool:
        try:
            wanted = self.wanted(raw).encode()
        except UnicodeDecodeError:  # not UTF-8, so no JSON
            return False
        # All are compared, so that the time taken reveals nothing.
        matches = [hmac.compare_digest(one.encode(errors="replace"), wanted) for one in self.given]
        return any(matches)


def _valid_timestamp(text: str, now_us: int) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= _TIMESTAMP_DIGITS
    if not is_number or not -AHEAD_US <= now_us - int(text) * SECOND_US <= _VALID_US:
        raise Problem(
            401,
            "the timestamp is missing, more than five minutes old or more than "
            f"{AHEAD_US // SECOND_US} s in the future",
        )
    return int(text)
