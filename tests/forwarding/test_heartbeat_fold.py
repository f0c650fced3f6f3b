"""Heartbeats that an edge passes on: one of each client in an interval, once the centre has the client's events."""

from __future__ import annotations

import pytest

from sidecar.domain.events import Event
from sidecar.domain.units import SECOND_US
from sidecar.forwarding import heartbeat_fold
from sidecar.forwarding.heartbeat_fold import HeartbeatFold, look_every_us
from tests.support.events import Phone

AFTER_S = 30


class Edge:
    """A fold of which is sent whatever is due."""

    def __init__(self) -> None:
        self.fold = HeartbeatFold()
        self.now_s = 0

    def look(self, forwarded: int = 10, limit: int = 1_000) -> list[Event]:
        now_us = self.now_s * SECOND_US
        due = self.fold.due(now_us, newest=10, forwarded=forwarded, after_s=AFTER_S, limit=limit)
        self.fold.sent(due, now_us)
        return due


def beat(phone: Phone) -> Event:
    return phone.event("heartbeat", 0)


def test_a_client_is_passed_on_once_in_an_interval_however_often_it_is_heard() -> None:
    edge, alice = Edge(), Phone("alice")
    sent = []
    for second in range(10 * AFTER_S):
        edge.now_s = second
        edge.fold.note([beat(alice)])
        if second * SECOND_US % look_every_us(AFTER_S) == 0:
            sent += [(second, one.seq) for one in edge.look()]
    # Always the newest.
    assert sent == [(second, second + 1) for second in range(0, 10 * AFTER_S, 2 * AFTER_S // 3)]


def test_one_that_is_heard_as_it_should_is_passed_on_each_time() -> None:
    edge, alice = Edge(), Phone("alice")
    for second in range(0, 10 * AFTER_S, 27):
        edge.now_s = second
        edge.fold.note([beat(alice)])
        assert len(edge.look()) == 1
        assert edge.look() == []


def test_a_heartbeat_waits_for_the_events_of_its_client() -> None:
    edge, alice, bob = Edge(), Phone("alice"), Phone("bob")
    edge.fold.note([beat(alice)])
    assert [edge.look(forwarded=at) for at in (0, 9)] == [[], []]
    # It keeps its place although the log grows.
    edge.fold.note([last := beat(alice), beat(bob)])
    assert edge.look(forwarded=10)[0] == last


def test_what_comes_back_through_a_circle_of_edges_is_not_passed_on_again() -> None:
    edge, alice = Edge(), Phone("alice")
    old, new = beat(alice), beat(alice)
    edge.fold.note([old, new])
    assert edge.look() == [new]
    for second in (AFTER_S, 2 * AFTER_S):
        edge.now_s = second
        edge.fold.note([old, new])
        assert edge.look() == []


def test_clients_that_are_not_heard_any_more_and_too_many_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heartbeat_fold, "CLIENTS_MOST", 3)
    edge = Edge()
    phones = [Phone(f"user-{at}") for at in range(4)]
    edge.fold.note([beat(phone) for phone in phones])
    assert [one.user_id for one in edge.look()] == ["user-1", "user-2", "user-3"]
    edge.now_s = 2 * AFTER_S + 1
    assert edge.look() == []
    assert edge.fold._clients == {}


def test_what_is_due_comes_in_parts() -> None:
    edge = Edge()
    edge.fold.note([beat(Phone(f"user-{at}")) for at in range(5)])
    assert [len(edge.look(limit=2)) for _ in range(4)] == [2, 2, 1, 0]
