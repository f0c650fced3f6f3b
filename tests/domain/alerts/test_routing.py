"""Matchers, silences, hours and routes."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfoNotFoundError

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.alerts.alert import Alert, Subject, fingerprint
from sidecar.domain.alerts.hours import Hours, zone
from sidecar.domain.alerts.routing import Route, Silence, fits, matches, receivers_for
from sidecar.domain.texts import verbatim

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ALERT = Alert(
    id=1,
    kind="kicked_out",
    fingerprint="",
    severity="critical",
    subject=Subject(7, "carol"),
    started_at_us=0,
    opened_at_us=0,
    summary=verbatim(""),
    labels={"platform": "Web", "kind": "mallory"},
)


def at(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


def test_an_alert_fires_and_notified_nobody_unless_it_says_so() -> None:
    assert (ALERT.state, ALERT.count, ALERT.changed_at_us) == ("firing", 1, 0)
    assert (ALERT.routed, ALERT.notified, ALERT.suppressed_by) == (False, False, None)


def test_matchers_see_the_labels_and_what_no_label_can_hide() -> None:
    own = {"kind": "kicked_out", "severity": "critical", "platform": "Web"}
    assert ALERT.matched == {**own, "app_id": "7", "user_id": "carol"}
    assert msgspec.structs.replace(ALERT, subject=Subject(0, "")).matched == {**own, "app_id": "0", "user_id": ""}
    assert msgspec.structs.replace(ALERT, subject=Subject()).matched == own


def test_a_fingerprint_is_16_bytes_and_differs_in_each_part() -> None:
    subjects = [Subject(), Subject(1), Subject(1, ""), Subject(1, "a"), Subject(1, None, "a"), Subject(None, None, "1")]
    prints = {fingerprint(kind, one) for one in subjects for kind in ("kicked_out", "kick_storm")}
    assert len(prints) == 12
    assert {len(bytes.fromhex(one)) for one in prints} == {16}
    assert fingerprint("kicked_out", Subject(1, "\ud800"))


@pytest.mark.parametrize(
    ("known", "wanted", "fit"),
    [
        ("carol", "carol", True),
        ("carol", "caro", False),
        ("carol", "*", True),
        ("", "*", True),
        ("carol", "ca*", True),
        ("carol", "*ol", True),
        ("carol", "c*l", True),
        ("carol", "carol*", True),
        ("carol", "*carol", True),
        ("aba", "ab*ba", False),
        ("abba", "ab*ba", True),
        ("carol", "x*", False),
        ("carol", "*x", False),
        ("carol", "c*r*l", True),
        ("carol", "c*r*r*l", False),
        ("carol", "c*a*r*o*l", True),
        ("carol", "c*l*l", False),
        ("abcabd", "a*abd", True),
        ("aXbXc", "a*X*X*c", True),
        ("aXc", "a*X*X*c", False),
        ("abc", "*b*b*", False),
        ("abbc", "*b*b*", True),
        ("ab", "a*a*b", False),
        ("[a]?x", "[a]?*", True),
        ("ax", "[a]*", False),
    ],
)
def test_a_star_is_any_text(known: str, wanted: str, *, fit: bool) -> None:
    assert fits(known, wanted) is fit


@given(st.text("ab", max_size=6), st.lists(st.text("ab", max_size=2), min_size=1, max_size=4))
def test_a_star_is_what_it_is_in_a_shell(known: str, parts: list[str]) -> None:
    def slow(rest: str, left: list[str]) -> bool:
        if len(left) == 1:
            return rest == left[0]
        return rest.startswith(left[0]) and any(
            slow(rest[cut:], left[1:]) for cut in range(len(left[0]), len(rest) + 1)
        )

    assert fits(known, "*".join(parts)) is slow(known, parts)


def test_every_matcher_has_to_have_one_of_its_values() -> None:
    assert matches({}, {})
    assert matches({"kind": ("a", "b")}, {"kind": "b"})
    assert not matches({"kind": ("a",), "app_id": ("7",)}, {"kind": "a"})
    assert not matches({"kind": ("a",), "app_id": ("7",)}, {"kind": "b", "app_id": "7"})
    assert not matches({"kind": ()}, {"kind": "a"})


def test_utc_needs_no_time_zone_data() -> None:
    assert zone("UTC") is zone("Etc/UTC") is UTC
    assert str(zone("Europe/Berlin")) == "Europe/Berlin"
    with pytest.raises(ZoneInfoNotFoundError):
        zone("Europe/Atlantis")


def silence(**more: object) -> Silence:
    given = {"id": 1, "matchers": {"kind": ("kicked_out",)}, "starts_at_us": 10, "ends_at_us": 20, "author": "dana"}
    return msgspec.convert(given | {"reason": "tests"} | more, Silence)


def test_a_silence_hides_what_it_fits_from_its_start_until_its_end() -> None:
    assert [silence().hides(ALERT, now) for now in (9, 10, 19, 20)] == [False, True, True, False]
    assert silence().created_at_us == 0
    other = silence(matchers={"kind": ("kick_storm",)})
    assert (other.fits(ALERT), other.hides(ALERT, 15)) == (False, False)


def test_a_silence_of_an_app_hides_only_its_alerts() -> None:
    assert [silence(app_id=app_id).fits(ALERT) for app_id in (None, 7, 8)] == [True, True, False]


@pytest.mark.parametrize(
    ("moment", "covered"),
    [
        ("2026-11-24T08:59:59.999999", False),
        ("2026-11-24T09:00:00", True),
        ("2026-11-24T16:59:59.999999", True),
        ("2026-11-24T17:00:00", False),
        ("2026-11-25T12:00:00", False),
    ],
)
def test_hours_include_their_begin_and_not_their_end(moment: str, *, covered: bool) -> None:
    assert Hours(begin=time(9), end=time(17), days=("tue",)).cover(at(moment)) is covered


@pytest.mark.parametrize(
    ("moment", "covered"),
    [
        ("2026-11-24T21:59:59", False),
        ("2026-11-24T22:00:00", True),
        ("2026-11-25T05:59:59", True),
        ("2026-11-25T06:00:00", False),
        ("2026-11-25T22:00:00", False),
        ("2026-11-24T05:00:00", False),
    ],
)
def test_hours_that_reach_into_the_next_day_are_of_the_day_on_which_they_begin(moment: str, *, covered: bool) -> None:
    assert Hours(begin=time(22), end=time(6), days=("tue",)).cover(at(moment)) is covered


def test_hours_are_those_of_a_place() -> None:
    berlin = Hours(begin=time(9), end=time(17), days=("tue",), timezone="Europe/Berlin")
    moments = ("2026-11-24T07:59:59", "2026-11-24T08:00:00", "2026-11-24T15:59:59", "2026-11-24T16:00:00")
    assert [berlin.cover(at(one)) for one in moments] == [False, True, True, False]


def test_hours_that_end_where_they_begin_are_whole_days() -> None:
    hours = Hours(begin=time(9), end=time(9), days=("tue",))
    assert [
        hours.cover(at(f"2026-11-{day}T{hour}")) for day, hour in ((24, "08:00"), (24, "09:00"), (25, "08:59"))
    ] == [
        False,
        True,
        True,
    ]
    assert Hours(begin=time(0), end=time(0)).cover(at("2026-11-28T12:00"))


def test_an_alert_goes_to_the_first_route_that_takes_it() -> None:
    morning = Hours(begin=time(6), end=time(12))
    routes = [
        Route(match={"kind": ("kick_storm",)}, receivers=("never",)),
        Route(match={"kind": ("kicked_out",)}, receivers=("desk",), hours=morning),
        Route(receivers=("ops", "mail")),
    ]
    assert receivers_for(ALERT, routes, ("every",), at("2026-11-24T08:00")) == ("desk",)
    assert receivers_for(ALERT, routes, ("every",), at("2026-11-24T13:00")) == ("ops", "mail")
    assert receivers_for(ALERT, routes[:2], ("every",), at("2026-11-24T13:00")) == ()
    assert receivers_for(ALERT, iter(()), ("every", "ops"), 0) == ("every", "ops")


def test_no_receiver_is_notified_of_its_own_failure() -> None:
    stalled = msgspec.structs.replace(ALERT, subject=Subject(None, None, "receiver ops"))
    assert receivers_for(stalled, (), ("ops", "mail"), 0) == ("mail",)
