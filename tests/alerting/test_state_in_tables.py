"""The rules keep their state in tables: a killed server continues, a commit reads little, nothing is kept for long."""

from __future__ import annotations

import gc
import random
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.alerting.alert_reaction import AlertReaction, Gathered, Policy
from sidecar.alerting.tables.storm_rows import Windows
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.lease import Leases, LeaseTime
from sidecar.domain.units import SECOND_US
from sidecar.store.care.rebuild import rebuild
from sidecar.store.values import Applied, Commit
from tests.support.events import APP_ID
from tests.support.memory import traced
from tests.support.timeline import OPS, Timeline, us

LIMITS = Thresholds(
    resolve_after_us=25 * SECOND_US,
    online_elsewhere_us=8 * SECOND_US,
    offline_too_long_us=4 * SECOND_US,
    ping_pong_window_us=12 * SECOND_US,
    storm_users=2,
    ping_pong_kicks=2,
    storm_share_down=0.4,
    storm_window_us=6 * SECOND_US,
    flap_window_us=20 * SECOND_US,
    flap_count=2,
)
POLICY = Policy(
    receivers={OPS: 20}, most_per_minute=30, thresholds=LIMITS, repeat_us=9 * SECOND_US, grace_us=0, group_alone=2
)
LEASES = Leases(heartbeat_us=10 * SECOND_US)
USERS = ("alice", "bob", "carol", "dave")
EVENTS = ("login", "kicked", "token_expired", "loses_network", "logout", "token_will_expire", "renewed", "heartbeat")
SENT_S, LIVED_S = 25, 45
# What is random in a row: everything else of two servers must be the same.
TABLES = {
    "alerts": "*",
    "alert_history": "*",
    "alert_notifications": "*",
    "alert_messages": "receiver, what, alert_id, answers, alerts, body, state, created_at_us, due_at_us",
    "alert_silences": "*",
    "offline_watch": "*",
    "kicks": "*",
    "storm_members": "*",
    "storm_windows": "*",
    "alert_members": "*",
    "alert_cursors": "*",
    "alert_counts": "*",
}
MANY = 100_000
BYTES_LEFT, BYTES_AT_ONCE = 200_000, 8_000_000


def kept(story: Timeline) -> dict[str, list[Any]]:
    """All that the rules have written, table by table."""
    with story.database.connect() as connection:
        return {
            table: sorted(map(tuple, connection.exec_driver_sql(f"SELECT {columns} FROM {table}")), key=str)
            for table, columns in TABLES.items()
        }


def count_of(story: Timeline, table: str) -> int:
    with story.database.connect() as connection:
        return int(connection.exec_driver_sql(f"SELECT COUNT(*) FROM {table}").scalar_one())


# Killed and never killed.


def kill(story: Timeline, at: float) -> None:
    """In a transaction that is rolled back; then another process continues with what is in the file."""
    with story.database.connect() as connection, connection.begin() as transaction:
        story.reaction.tick(connection, us(at + 5), Gathered())
        story.reaction.plan(connection, OPS, us(at + 5))
        transaction.rollback()
    story.reaction = AlertReaction(story.policy, began_us=us(0))
    story.in_transaction(lambda connection: story.reaction.begin(connection, us(at)))
    story.projections = None


def clock_set(story: Timeline, by_us: int) -> Callable[[float], Any]:
    def step(now: float) -> None:
        story.in_transaction(lambda connection: story.reaction.clock_set(connection, us(now), by_us))

    return step


def lived_through(folder: Path, seed: int, kills: list[int]) -> tuple[dict[str, list[Any]], list[Any]]:
    """A random history, killed at these seconds; what is kept in the end, and what was sent."""
    chance = random.Random(seed)  # noqa: S311 - a history
    story = Timeline(folder, POLICY, LEASES)
    story.reaction = AlertReaction(POLICY, began_us=us(0))
    for second in range(SENT_S):
        story.at(second)
        for _ in range(chance.randrange(4)):
            user, device = chance.choice(USERS), chance.choice(("phone", "desk"))
            getattr(story, chance.choice(EVENTS))(user, name=device)
        person = chance.random()
        if person < 0.1:
            story.silenced(chance.randrange(2, 9), user_id=chance.choice(USERS))
        elif person < 0.2:
            story.acknowledged(chance.randrange(1, 12))
        elif person < 0.25:
            by_us = chance.randrange(-3, 4) * SECOND_US
            story.act(clock_set(story, by_us))
    for second in kills:
        story.at(second).act(lambda now: kill(story, now))
    story.live_on(LIVED_S, every=1)
    found = kept(story), [(at, wanted) for at, wanted, _ in story.sent]
    story.close()
    return found


def a_killed_server_goes_on_as_if_it_had_not_been(seed: int, kills: list[int]) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        never, killed = lived_through(Path(one), seed, []), lived_through(Path(other), seed, kills)
    assert never[0] == killed[0]
    assert never[1] == killed[1]


seeds = st.integers(0, 1 << 32)
moments = st.lists(st.integers(0, SENT_S + 9), min_size=1, max_size=8, unique=True)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(seeds, moments)
def test_a_killed_server_continues_as_if_it_had_not_been(seed: int, kills: list[int]) -> None:
    a_killed_server_goes_on_as_if_it_had_not_been(seed, kills)


@pytest.mark.soak
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(seeds, moments)
def test_a_server_that_is_killed_anywhere_continues_as_if_it_had_not_been(seed: int, kills: list[int]) -> None:
    a_killed_server_goes_on_as_if_it_had_not_been(seed, kills)


# What is read for a commit.


@contextmanager
def statements(story: Timeline) -> Iterator[list[str]]:
    """Those that the rules execute for the events of a commit."""
    found: list[str] = []
    listens = False

    class Listening(AlertReaction):
        def follow(self, connection: sa.Connection, applied: Sequence[Applied], now_us: int) -> Commit | None:
            nonlocal listens
            listens = True
            try:
                return super().follow(connection, applied, now_us)
            finally:
                listens = False

    def note(_connection: Any, _cursor: Any, sql: str, *_args: Any) -> None:
        if listens and "SAVEPOINT" not in sql and "RELEASE" not in sql:
            found.append(sql.split(" VALUES", maxsplit=1)[0])

    story.reaction = Listening(story.policy)
    sa.event.listen(story.database, "before_cursor_execute", note)
    yield found
    sa.event.remove(story.database, "before_cursor_execute", note)


@pytest.mark.parametrize("users", [1, 40])
def test_a_commit_reads_for_the_rules_what_its_events_may_touch_however_many_they_are(
    tmp_path: Path, users: int
) -> None:
    story = Timeline(tmp_path).at(0).kicked("carol").loses_network("dave")
    story.live(until=1)
    names = [f"user-{number}" for number in range(users)]

    def commit(at: int, act: str, **fields: Any) -> int:
        with statements(story) as found:
            for name in names:
                getattr(story.at(at), act)(name, **fields)
            story.live_on(until=at)
        return len(found)

    assert commit(2, "says", state="CONNECTING", event="ACTIVE_LOGIN") == 0
    assert commit(3, "login") == 1
    assert commit(4, "heartbeat") == 0
    # Its row, that of the window, and how many are in it; and who is watched.
    offline = commit(5, "loses_network")
    assert offline <= 4 + (users >= LIMITS.storm_users) * 15
    assert commit(6, "login") <= 3
    assert commit(7, "logout") == 0
    story.close()


# What is kept, and for how long.


def test_very_many_alerts_and_users_leave_nothing_in_memory(tmp_path: Path) -> None:
    story = Timeline(tmp_path).at(0).kicked("carol")
    story.live(until=1)
    many = f"WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {MANY})"
    with story.database.begin() as connection:
        columns = (
            "kind, severity, other, state, started_at_us, opened_at_us, count, summary, labels, facts, routed, notified"
        )
        connection.exec_driver_sql(
            f"{many} INSERT INTO alerts (id, fingerprint, app_id, user_id, due_us, repeat_us, changed_at_us, {columns})"
            f" SELECT n + 1, 'fp-' || n, {APP_ID}, 'user-' || n, {us(9_000)}, {us(9_000)}, 0, {columns} FROM n, alerts"
        )
        connection.exec_driver_sql(
            f"{many} INSERT INTO offline_watch SELECT {APP_ID}, 'user-' || n, {us(9_000)}, FALSE, 'waiting' FROM n"
        )
        connection.exec_driver_sql(
            f"{many} INSERT INTO storm_members"
            f" SELECT 'reconnect_storm', {APP_ID}, 'user-' || n, {us(0)}, 'Web', '2', '1', FALSE, NULL FROM n"
        )
    with traced() as grown:
        for at in range(2, 6):
            story.at(at).login(f"user-{at}").loses_network(f"user-{at + 10}")
        story.live_on(until=6)
        gc.collect()
        assert grown() < BYTES_LEFT
        story.reaction = AlertReaction(story.policy)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        story.live_on(until=8)
        assert tracemalloc.get_traced_memory()[1] - before < BYTES_AT_ONCE
    assert set(vars(story.reaction)) == {"policy", "_chance", "_began_us", "_looked_up", "stalled"}
    story.close()


def test_who_is_back_and_what_has_left_the_windows_leaves_no_row(tmp_path: Path) -> None:
    story = Timeline(tmp_path, Policy(receivers={OPS: 100}, thresholds=LIMITS))
    for number in range(6):
        story.at(number).login(f"user-{number}").at(number + 1).loses_network(f"user-{number}")
        story.at(number + 20).login(f"user-{number}")
    story.at(3).kicked("carol").at(5).kicked("carol")
    story.live(until=10)
    assert (count_of(story, "offline_watch"), count_of(story, "kicks")) == (6, 2)
    # Those of a storm that fires stay until it is over.
    assert count_of(story, "storm_members") == 7
    story.live_on(until=80)
    assert {
        table: count_of(story, table) for table in ("offline_watch", "kicks", "storm_members", "storm_windows")
    } == {
        "offline_watch": 0,
        "kicks": 0,
        "storm_members": 0,
        "storm_windows": 0,
    }
    (storm,) = story.alerts(kind="reconnect_storm")
    assert (storm.state, storm.count) == ("resolved", 6)
    story.close()


def test_users_leave_a_window_in_slices_and_its_number_is_an_upper_bound_meanwhile(tmp_path: Path) -> None:
    story = Timeline(tmp_path, Policy(receivers={OPS: 100}, thresholds=Thresholds(storm_users=1_000)))
    for number in range(9):
        story.at(number).login(f"user-{number}").loses_network(f"user-{number}")
    story.live(until=9)

    def sweep(connection: sa.Connection) -> tuple[bool, int, int]:
        windows = Windows(connection)
        goes_on = windows.sweep(windows.all()[0], us(4), 2)
        (after,) = windows.all()
        return goes_on, after.users_at_most, windows.count(after.storm, after.app_id, 0)

    story.in_transaction(lambda c: c.exec_driver_sql(f"UPDATE storm_windows SET oldest_us = {us(-20)}"))
    found = [story.in_transaction(sweep) for _ in range(3)]
    assert found == [(True, 9, 7), (True, 9, 5), (False, 4, 4)]
    story.close()


def test_what_no_rule_that_is_switched_on_needs_is_not_kept_and_one_that_is_switched_on_begins_with_who_is_offline(
    tmp_path: Path,
) -> None:
    off = Thresholds(off=frozenset({"offline_too_long", "kick_ping_pong", "reconnect_storm", "kick_storm"}))
    story = Timeline(tmp_path).at(0).login("bob").loses_network("alice").kicked("carol")
    story.live(until=1)
    assert [count_of(story, table) for table in ("offline_watch", "kicks", "storm_members")] == [1, 1, 2]

    def under(limits: Thresholds) -> None:
        story.policy = msgspec.structs.replace(story.policy, thresholds=limits)
        story.at(story._lived).restart()
        story.live_on(until=story._lived + 1)

    under(off)
    story.at(3).loses_network("bob")
    story.live_on(until=4)
    assert [count_of(story, table) for table in ("offline_watch", "kicks", "storm_members")] == [0, 0, 0]
    under(Thresholds())
    story.live_on(until=400, every=10)
    assert [alert.subject.user_id for alert in story.alerts(kind="offline_too_long")][::-1] == ["alice", "bob"]
    story.close()


def test_a_rebuild_neither_loses_nor_repeats_what_is_watched(tmp_path: Path) -> None:
    story = Timeline(tmp_path).at(0).loses_network("alice").at(200).loses_network("bob")
    story.live(until=1)
    story.live_on(until=400, every=10)
    before = kept(story)
    assert [row[4] for row in before["offline_watch"]] == ["alerted", "waiting"]
    story.in_transaction(lambda connection: rebuild(connection, story.leases, LeaseTime.without_skips(us(400))))
    story.at(400).restart()
    story.live_on(until=420, every=10)
    assert kept(story) == before
    story.live_on(until=600, every=10)
    assert len(story.alerts(kind="offline_too_long")) == 2
    story.close()


def test_a_silence_that_ended_while_the_server_was_down_is_followed_at_its_start(tmp_path: Path) -> None:
    story = Timeline(tmp_path).at(0).silenced(30, user_id="carol").at(1).kicked("carol")
    story.live(until=5)
    (carol,) = story.alerts()
    assert carol.suppressed_by == "silenced"
    story._lived = 60
    story.at(60).restart()
    story.live_on(until=65)
    assert [wanted.kind for _, wanted, _ in story.sent] == ["kicked_out"]
    story.close()
