"""Somebody watches a user, and is notified when anything happens to it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sidecar.alerting.alert_reaction import Policy
from sidecar.alerting.tables import user_watch_rows
from sidecar.domain.alerts.routing import Route
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.domain.alerts.user_watches import UserWatch
from sidecar.domain.units import SECOND_US
from tests.support.events import APP_ID
from tests.support.timeline import OPS, Timeline, firing, repeated, resolved, us

DESK = "desk"
HOUR_S = 3_600


def story(folder: Path, *, routes: tuple[Route, ...] = (), desk: bool = False, **thresholds: Any) -> Timeline:
    receivers = {OPS: 1_000} | ({DESK: 1_000} if desk else {})
    policy = Policy(
        receivers=receivers, routes=routes, thresholds=Thresholds(**thresholds), most_per_minute=1_000, group_wait_us=0
    )
    return Timeline(folder, policy)


def watch(made: Timeline, user_id: str = "carol", seconds: float = HOUR_S, **fields: Any) -> Timeline:
    def begin(now: float) -> None:
        given: dict[str, Any] = {"author": "dana", "receiver": None} | fields
        wanted = UserWatch(
            id=0, app_id=APP_ID, user_id=user_id, created_at_us=us(now), until_us=us(now + seconds), **given
        )
        assert made.in_transaction(lambda c: user_watch_rows.add(c, wanted)).result is not None

    return made.act(begin)


def refuses(made: Timeline, kind: str, code: int, user_id: str = "carol") -> Timeline:
    details = {"method": "sendMessage", "code": code, "message": "no"}
    return made.event(made.phone(user_id).event(kind, made._now, details=details))


def received_by(made: Timeline, receiver: str) -> list[tuple[str, str]]:
    return [(wanted.what, wanted.kind) for _, wanted, message in made.sent if message.receiver == receiver]


def test_a_failed_call_of_a_watched_user_is_notified_and_of_another_is_not(tmp_path: Path) -> None:
    made = watch(story(tmp_path).at(0).login("carol").login("bob"))
    refuses(made.at(5), "api_error", 6000104)
    refuses(made, "api_error", 6000104, "bob")
    made.want(firing("calls_failing", "carol")).between(5, 7)
    made.want(resolved("calls_failing", "carol")).between(1_805, 1_807)
    made.run(until=1_900)
    (alert,) = made.alerts()
    assert str(alert.summary) == "carol: sendMessage failed with 6000104: no network"
    assert alert.labels["watched_by"] == "dana"
    assert str(alert.end_reason) == "no call failed for 30 min"


@pytest.mark.parametrize("code", [6000103, 6000016])
def test_a_refused_login_of_a_watched_user_is_notified(tmp_path: Path, code: int) -> None:
    made = watch(story(tmp_path, off=frozenset({"plan_limit"})).at(0).login("carol"))
    refuses(made.at(5), "login_result", code)
    refuses(made.at(6), "login_result", 0)
    made.want(firing("calls_failing", "carol")).between(5, 7)
    made.run(until=60)
    (alert,) = made.alerts()
    assert str(alert.summary).startswith(f"carol: login failed with {code}: ")


def test_a_watched_user_that_goes_offline_is_notified_at_once_and_then_as_ever(tmp_path: Path) -> None:
    made = watch(story(tmp_path).at(0).login("carol").login("bob"))
    made.at(10).loses_network("carol").loses_network("bob")
    made.at(400).login("carol").login("bob")
    made.want(firing("offline_too_long", "carol")).between(10, 12)
    made.want(repeated("offline_too_long", "carol")).between(310, 313)
    made.want(firing("offline_too_long", "bob")).between(310, 313)
    for user in ("carol", "bob"):
        made.want(resolved("offline_too_long", user)).between(400, 402)
    made.run(until=420)


def test_the_alert_for_everybody_comes_although_the_watch_has_ended(tmp_path: Path) -> None:
    routes = (Route(receivers=(OPS,)),)
    made = watch(story(tmp_path, routes=routes, desk=True).at(0).login("carol"), seconds=60, receiver=DESK)
    made.at(10).loses_network("carol")
    made.live(until=320)
    assert received_by(made, DESK) == [("firing", "offline_too_long")]
    assert received_by(made, OPS) == [("firing", "offline_too_long")]
    assert next(at for at, _, message in made.sent if message.receiver == OPS) > 300


def test_what_is_one_for_the_watch_alone_goes_to_its_receiver_and_what_is_one_anyway_to_both(tmp_path: Path) -> None:
    routes = (Route(receivers=(OPS,)),)
    made = watch(story(tmp_path, routes=routes, desk=True).at(0).login("carol"), receiver=DESK)
    refuses(made.at(5), "api_error", 6000104)
    made.at(10).kicked("carol")
    made.live(until=15)
    assert received_by(made, DESK) == [("firing", "calls_failing"), ("firing", "kicked_out")]
    assert received_by(made, OPS) == [("firing", "kicked_out")]


@pytest.mark.parametrize("gap", [30, 90])
def test_the_same_again_is_notified_again_once_a_minute_at_most(tmp_path: Path, gap: int) -> None:
    made = watch(story(tmp_path).at(0).login("carol"))
    for number in range(3):
        refuses(made.at(5 + gap * number), "api_error", 6000104)
    made.live(until=300)
    wanted = {30: ["firing", "repeat"], 90: ["firing", "repeat", "repeat"]}[gap]
    assert [wanted.what for _, wanted, _ in made.sent] == wanted
    assert made.alerts()[0].count == 3


def test_an_alert_that_fired_before_the_watch_is_notified_again(tmp_path: Path) -> None:
    made = story(tmp_path, desk=True).at(0).login("carol")
    made.at(5).kicked("carol")
    watch(made.at(100), receiver=DESK)
    made.at(200).kicked("carol", device_id="another")
    made.live(until=210)
    assert received_by(made, OPS) == [("firing", "kicked_out"), ("repeat", "kicked_out")]
    assert made.alerts()[0].labels["watched_by"] == "dana"


def test_a_watched_user_in_a_storm_is_notified(tmp_path: Path) -> None:
    made = story(tmp_path, storm_users=5).at(0)
    for number in range(10):
        made.login(f"user-{number}")
    watch(made, "user-3")
    for number in range(10):
        made.at(10).kicked(f"user-{number}")
    made.want(firing("kick_storm")).between(10, 12)
    made.want(firing("kicked_out", "user-3")).between(10, 12)
    made.run(until=20)


@pytest.mark.parametrize("single", ["client_lost", "offline_too_long"])
def test_a_watched_user_in_a_storm_of_what_is_due_by_time_is_notified(tmp_path: Path, single: str) -> None:
    made = story(tmp_path, storm_users=5, off=frozenset({"reconnect_storm"})).at(0)
    for number in range(10):
        made.login(f"user-{number}").heartbeat(f"user-{number}")
    watch(made.at(100) if single == "offline_too_long" else made, "user-3")
    if single == "offline_too_long":
        for number in range(10):
            made.at(90).loses_network(f"user-{number}")
    made.live(until=420)
    kinds = [wanted for _, wanted, _ in made.sent if wanted.kind == single]
    assert kinds == [firing(single, "user-3")]


def test_kicks_in_turn_and_flapping_suppress_no_alert_about_a_watched_user(tmp_path: Path) -> None:
    made = watch(story(tmp_path).at(0).login("carol").login("carol", "tablet"))
    for number in range(6):
        at = 10 + number * 100
        made.at(at).kicked("carol", ("phone", "tablet")[number % 2], device_id=f"d{number % 2}")
        made.at(at + 2).login("carol", ("phone", "tablet")[number % 2])
    made.live(until=600)
    assert [wanted.what for _, wanted, _ in made.sent if wanted.kind == "kicked_out"].count("firing") == 6


def test_a_silence_hides_a_watched_user_too(tmp_path: Path) -> None:
    made = watch(story(tmp_path).at(0).login("carol")).at(1).silenced(60, user_id="carol")
    made.at(10).kicked("carol")
    made.want(firing("kicked_out", "carol")).between(61, 63)
    made.run(until=70)


def test_what_was_received_late_notifies_nobody(tmp_path: Path) -> None:
    made = watch(story(tmp_path).at(0).login("carol"))
    late = made.phone("carol").event("api_error", -HOUR_S, details={"code": 6000104}, moment_us=us(-HOUR_S))
    made.at(5).event(late)
    made.run(until=30)
    assert [one.suppressed_by for one in made.alerts()] == ["late"]


def test_a_watch_ends_by_itself(tmp_path: Path) -> None:
    made = watch(story(tmp_path).at(0).login("carol"), seconds=100)
    refuses(made.at(99), "api_error", 6000104)
    refuses(made.at(100), "api_error", 6000105)
    made.want(firing("calls_failing", "carol")).between(99, 101)
    made.live(until=120)
    assert [one.count for one in made.alerts()] == [1]


def test_alerts_can_be_routed_by_who_watches(tmp_path: Path) -> None:
    routes = (Route(match={"watched_by": ("*",)}, receivers=(DESK,)), Route(receivers=(OPS,)))
    made = watch(story(tmp_path, routes=routes, desk=True).at(0).login("carol").login("bob"))
    made.at(10).kicked("carol").kicked("bob")
    made.live(until=15)
    assert (received_by(made, DESK), received_by(made, OPS)) == ([("firing", "kicked_out")], [("firing", "kicked_out")])


def test_a_user_may_be_watched_by_several(tmp_path: Path) -> None:
    made = story(tmp_path).at(0).login("carol")
    watch(watch(watch(made), author="erin"), seconds=50)
    made.at(10).kicked("carol")
    made.live(until=15)
    assert made.alerts()[0].labels["watched_by"] in {"dana, erin", "erin, dana"}
    with made.database.connect() as connection:
        found = user_watch_rows.of_user(connection, APP_ID, "carol", us(15))
        assert [(one.author, one.until_us) for one in found] == [("dana", us(50)), ("erin", us(HOUR_S))]
        assert user_watch_rows.of_user(connection, APP_ID, "carol", us(HOUR_S)) == []


def test_the_number_of_watches_is_bounded_and_those_that_ended_make_room(tmp_path: Path) -> None:
    made = story(tmp_path)

    def add(number: int, app_id: int, at_us: int = 0) -> UserWatch | None:
        wanted = UserWatch(
            id=0,
            app_id=app_id,
            user_id=f"user-{number}",
            author="mallory",
            receiver=None,
            created_at_us=at_us,
            until_us=at_us + SECOND_US,
        )
        return made.in_transaction(lambda c: user_watch_rows.add(c, wanted)).result  # type: ignore[no-any-return]

    for app_id in range(1, 6):
        assert all(add(number, app_id) is not None for number in range(100))
        assert add(100, app_id) is None
        assert add(99, app_id) is not None, "in the place of the one before"
    assert add(0, 6) is None, "of all apps together"
    assert add(0, 6, SECOND_US) is not None


def test_ends_move_with_a_clock_that_is_set(tmp_path: Path) -> None:
    made = watch(story(tmp_path).at(0).login("carol"))
    made.live(until=2)
    made.in_transaction(lambda c: made.reaction.clock_set(c, us(7_202), 7_200 * SECOND_US))
    with made.database.connect() as connection:
        (found,) = user_watch_rows.lasting(connection, us(7_202))
    assert found.until_us == us(7_200 + HOUR_S)
