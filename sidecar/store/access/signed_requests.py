"""Signed requests that were accepted, kept as long as their signatures are valid: each is accepted once.

Only requests with a valid signature are stored, so that others cannot fill the table.
"""

from __future__ import annotations

import hashlib

import sqlalchemy as sa


def digest(*parts: str | bytes) -> bytes:
    """A digest of several values, to recognise a request or its contents."""
    hashed = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        hashed.update(b"%d:" % len(raw))
        hashed.update(raw)
    return hashed.digest()


def taken_before(
    connection: sa.Connection, request: bytes, contents: bytes, *, now_us: int, until_us: int
) -> bytes | None:
    """The digest of the contents with which ``request`` was accepted before; None the first time, which is stored."""
    connection.exec_driver_sql("DELETE FROM signed_requests WHERE until_us < ?", (now_us,))
    found = connection.exec_driver_sql(
        "SELECT contents FROM signed_requests WHERE request = ?", (request,)
    ).one_or_none()
    if found is not None:
        return bytes(found[0])
    insert = "INSERT INTO signed_requests (request, contents, until_us) VALUES (?, ?, ?)"
    connection.exec_driver_sql(insert, (request, contents, until_us))
    return None
