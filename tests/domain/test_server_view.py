"""The server's view of a user, over its sessions, and where it disagrees with the devices."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from sidecar.domain.lease import LeaseTime
from sidecar.domain.server_view import (
    QUERIED,
    ServerReport,
    ServerStatus,
    ServerView,
    add_report,
    disagreement,
    server_view,
)
from sidecar.domain.status import Status

LEASE = 45


def report(session: str, status: ServerStatus, at: int, *, again: bool = False) -> ServerReport:
    return ServerReport(session_id=session, status=status, at_us=at, reported_us=at, again=again)


# Reports as "session status second", and the view that they give. "?" is the answer to a query.
VIEWS = [
    ("nothing", [], None),
    ("one device comes", ["A online 1"], ("online", 1)),
    ("and logs out", ["A online 1", "A logged_out 5"], ("logged_out", 5)),
    ("or loses its heartbeats", ["A online 1", "A offline 5"], ("offline", 5)),
    ("and comes back", ["A online 1", "A offline 5", "A online 9 again"], ("online", 9)),
    ("a login and a logout within a second", ["A online 1", "A logged_out 1"], ("logged_out", 1)),
    ("a loss and a return within a second", ["A online 1", "A offline 5", "A online 5 again"], ("online", 5)),
    ("of two devices one stays", ["A online 1", "B online 2", "A logged_out 5"], ("online", 2)),
    ("of two devices none stays", ["A online 1", "B online 2", "A offline 5", "B logged_out 6"], ("logged_out", 6)),
    ("a query finds no session where a callback reported one", ["A online 1", "? unknown 5"], ("unknown", 5)),
    ("a login after that answer counts", ["A online 1", "? unknown 5", "B online 6"], ("online", 6)),
    ("and a session that it denied does not come back", ["A online 1", "? unknown 5", "B online 6", "B logged_out 7"],
     ("logged_out", 7)),
    ("a query finds the user online again", ["A offline 1", "? online 5"], ("online", 5)),
    ("until a callback reports the end", ["A offline 1", "? online 5", "A logged_out 6"], ("logged_out", 6)),
    ("the answer confirms the callback", ["A online 1", "? online 5"], ("online", 1)),
    ("there are only answers", ["? offline 5"], ("offline", 5)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("reported", "expected"), [(reported, expected) for _, reported, expected in VIEWS], ids=[v[0] for v in VIEWS]
)
def test_the_view_is_the_same_in_any_order_of_arrival(reported: list[str], expected: tuple[str, int] | None) -> None:
    reports = []
    for text in reported:
        session, status, at, *again = text.split()
        reports.append(report(QUERIED if session == "?" else session, status, int(at), again=bool(again)))  # type: ignore[arg-type]
    for order in itertools.permutations(reports):
        kept: tuple[ServerReport, ...] = ()
        for one in order:
            kept = add_report(kept, one)
        view = server_view(kept)
        assert (None if view is None else (view.status, view.since_us)) == expected


def test_the_reports_kept_of_a_user_are_bounded() -> None:
    kept: tuple[ServerReport, ...] = ()
    for number in range(1_000):
        kept = add_report(kept, report(f"{number}", "online", number))
        kept = add_report(kept, report(f"{number}", "logged_out", number))
    assert len(kept) <= 64


def test_a_stored_report_keeps_its_field_names() -> None:
    stored = {**dict.fromkeys(("at_us", "said_us"), 1), "session_id": "A", "status": "online"}
    assert msgspec.convert(stored, ServerReport) == report("A", "online", 1)
    assert msgspec.to_builtins(report("A", "online", 1)).keys() >= stored.keys()


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
    found = disagreement(
        client, view, since_us=1_000, unconfirmed=False, time=LeaseTime.without_skips(1_000 + lasted), lease_us=LEASE
    )
    assert (found is not None) is expected
    if found is not None:
        assert (found.client, found.server, found.since_us) == (client, server, 1_000)
        assert found.reason.endswith(".")


def test_with_silent_devices_the_reason_says_that_the_server_is_probably_right() -> None:
    view = ServerView(status="offline", since_us=0)
    found = disagreement(
        "online", view, since_us=0, unconfirmed=True, time=LeaseTime.without_skips(100), lease_us=LEASE
    )
    assert found is not None
    assert "probably right" in found.reason


def test_the_first_of_two_reports_of_one_moment_counts() -> None:
    first = msgspec.structs.replace(report("A", "offline", 1), reason="first")
    second = msgspec.structs.replace(report("A", "logged_out", 1), reason="second")
    assert add_report([first], second) == (first,)


def test_an_answer_overrules_an_end_of_the_same_moment() -> None:
    view = server_view([report("A", "logged_out", 5), report(QUERIED, "offline", 5)])
    assert view is not None
    assert (view.status, view.asked) == ("offline", True)


def test_only_the_view_of_an_answer_says_that_it_was_asked_for() -> None:
    online = msgspec.structs.replace(report("A", "online", 1), reason="why", os="iOS", moment_us=3)
    assert server_view([online]) == ServerView(status="online", since_us=3, reason="why", os="iOS", asked=False)
    assert server_view([online, report(QUERIED, "online", 5)]) == server_view([online])


def test_an_end_is_kept_for_an_hour_and_a_login_for_as_long_as_it_lasts() -> None:
    ended, online = report("A", "offline", 0), report("B", "online", 0)
    hour_us = 3_600_000_000
    assert add_report([ended, online], report("C", "online", hour_us))[:2] == (online, ended)
    assert add_report([ended, online], report("C", "online", hour_us + 1))[:-1] == (online,)


def test_the_newest_64_reports_are_kept() -> None:
    kept: tuple[ServerReport, ...] = ()
    for number in range(100):
        kept = add_report(kept, report(f"{number}", "online", number))
    assert [one.at_us for one in kept] == list(range(36, 100))


@pytest.mark.parametrize(("client", "unconfirmed"), [("online", False), ("offline", True)])
def test_the_reason_trusts_the_server_only_where_a_device_is_silent_that_was_online(
    client: Status, *, unconfirmed: bool
) -> None:
    view = ServerView(status="offline" if client == "online" else "online", since_us=0)
    found = disagreement(
        client, view, since_us=0, unconfirmed=unconfirmed, time=LeaseTime.without_skips(100), lease_us=LEASE
    )
    assert found is not None
    assert "probably right" not in found.reason


def test_without_a_moment_of_difference_there_is_no_disagreement() -> None:
    view = ServerView(status="offline", since_us=0)
    time = LeaseTime.without_skips(100)
    assert disagreement("online", view, since_us=None, unconfirmed=False, time=time, lease_us=LEASE) is None
