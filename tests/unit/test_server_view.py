"""What ZEGO's server says of a user, over its sessions, and where it disagrees with the devices."""

from __future__ import annotations

import itertools

import pytest

from sidecar.domain.lease_time import plain
from sidecar.domain.server_view import (
    ASKED,
    ServerStatus,
    ServerView,
    ServerWord,
    disagreement,
    heard,
    server_view,
)
from sidecar.domain.status import Status

LEASE = 45


def word(session: str, status: ServerStatus, at: int, *, again: bool = False) -> ServerWord:
    return ServerWord(session_id=session, status=status, at_us=at, said_us=at, again=again)


# What the server said, in words "session status second", and what it makes together.
VIEWS = [
    ("nothing", [], None),
    ("one device comes", ["A online 1"], ("online", 1)),
    ("and logs out", ["A online 1", "A logged_out 5"], ("logged_out", 5)),
    ("or loses its heartbeats", ["A online 1", "A offline 5"], ("offline", 5)),
    ("and comes back", ["A online 1", "A offline 5", "A online 9 again"], ("online", 9)),
    ("it comes and goes within a second", ["A online 1", "A logged_out 1"], ("logged_out", 1)),
    ("it is lost and back within a second", ["A online 1", "A offline 5", "A online 5 again"], ("online", 5)),
    ("of two devices one stays", ["A online 1", "B online 2", "A logged_out 5"], ("online", 2)),
    ("of two devices none stays", ["A online 1", "B online 2", "A offline 5", "B logged_out 6"], ("logged_out", 6)),
    ("asked, it knows no session that it told of", ["A online 1", "? unknown 5"], ("unknown", 5)),
    ("a login after that answer counts", ["A online 1", "? unknown 5", "B online 6"], ("online", 6)),
    ("and what was denied is not back after it", ["A online 1", "? unknown 5", "B online 6", "B logged_out 7"],
     ("logged_out", 7)),
    ("asked, it has the user online after all", ["A offline 1", "? online 5"], ("online", 5)),
    ("until it tells of the end", ["A offline 1", "? online 5", "A logged_out 6"], ("logged_out", 6)),
    ("the answer is what it told", ["A online 1", "? online 5"], ("online", 1)),
    ("it only ever answered", ["? offline 5"], ("offline", 5)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "expected"), [(said, expected) for _, said, expected in VIEWS], ids=[v[0] for v in VIEWS]
)
def test_the_view_is_the_same_whatever_the_order_it_is_heard_in(
    said: list[str], expected: tuple[str, int] | None
) -> None:
    words = []
    for text in said:
        session, status, at, *again = text.split()
        words.append(word(ASKED if session == "?" else session, status, int(at), again=bool(again)))  # type: ignore[arg-type]
    for order in itertools.permutations(words):
        kept: tuple[ServerWord, ...] = ()
        for one in order:
            kept = heard(kept, one)
        view = server_view(kept)
        assert (None if view is None else (view.status, view.since_us)) == expected


def test_what_is_kept_of_a_user_stays_small() -> None:
    kept: tuple[ServerWord, ...] = ()
    for number in range(1_000):
        kept = heard(kept, word(f"{number}", "online", number))
        kept = heard(kept, word(f"{number}", "logged_out", number))
    assert len(kept) <= 64


# client, server, how long they have differed, whether that is a disagreement
CASES: list[tuple[Status, ServerStatus | None, int, bool]] = [
    ("online", None, 99, False),
    ("online", "online", 99, False),
    ("online", "offline", 99, True),
    ("online", "logged_out", 99, True),
    ("online", "unknown", 99, True),
    ("online", "logged_out", 45, False),
    ("online", "logged_out", 46, True),
    ("offline", "online", 99, True),
    ("offline", "offline", 99, False),
    ("offline", "logged_out", 99, False),
    ("offline", "unknown", 99, False),
    ("not_logged_in", "online", 99, True),
    ("not_logged_in", "online", 30, False),
    ("not_logged_in", "offline", 99, False),
    ("not_logged_in", "logged_out", 99, False),
    ("not_logged_in", "unknown", 99, False),
    ("not_logged_in", None, 99, False),
]


@pytest.mark.parametrize(("client", "server", "lasted", "expected"), CASES)
def test_devices_and_server_disagree_where_one_alone_has_the_user_connected_for_longer_than_the_lease(
    client: Status, server: ServerStatus | None, lasted: int, *, expected: bool
) -> None:
    view = None if server is None else ServerView(status=server, since_us=0)
    found = disagreement(client, view, since_us=1_000, unconfirmed=False, time=plain(1_000 + lasted), lease_us=LEASE)
    assert (found is not None) is expected
    if found is not None:
        assert (found.client, found.server, found.since_us) == (client, server, 1_000)
        assert found.reason.endswith(".")


def test_with_silent_devices_the_reason_says_that_the_server_is_probably_right() -> None:
    view = ServerView(status="offline", since_us=0)
    found = disagreement("online", view, since_us=0, unconfirmed=True, time=plain(100), lease_us=LEASE)
    assert found is not None
    assert "probably right" in found.reason
