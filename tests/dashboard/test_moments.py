"""Past moments as people type and paste them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.text import language
from dashboard.text.moments import moment_of
from dashboard.text.times import clock_text, iso

# 2026-11-23T14:00:00Z, a Monday.
NOW_US = 1_795_442_400_000_000
SECOND_US = 1_000_000


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("13:50", "2026-11-23T13:50:00.000Z"),
        ("13:50:07", "2026-11-23T13:50:07.000Z"),
        ("9:05", "2026-11-23T09:05:00.000Z"),
        ("14:00", "2026-11-23T14:00:00.000Z"),
        # Still to come today, so it was yesterday.
        ("15:50", "2026-11-22T15:50:00.000Z"),
        ("15:50 UTC", "2026-11-22T15:50:00.000Z"),
        ("21:50 +08:00", "2026-11-23T13:50:00.000Z"),
        ("yesterday 15:50", "2026-11-22T15:50:00.000Z"),
        ("Yesterday 9:00", "2026-11-22T09:00:00.000Z"),
        ("today 09:00", "2026-11-23T09:00:00.000Z"),
        ("yesterday", "2026-11-22T00:00:00.000Z"),
        ("yesterday 01:00 +08:00", "2026-11-21T17:00:00.000Z"),
        ("11-20 15:50", "2026-11-20T15:50:00.000Z"),
        ("11-20 15:50:09", "2026-11-20T15:50:09.000Z"),
        ("11-20", "2026-11-20T00:00:00.000Z"),
        ("-1h", "2026-11-23T13:00:00.000Z"),
        ("\N{MINUS SIGN}1 h", "2026-11-23T13:00:00.000Z"),
        ("- 90 min", "2026-11-23T12:30:00.000Z"),
        ("-1d", "2026-11-22T14:00:00.000Z"),
        ("3 minutes ago", "2026-11-23T13:57:00.000Z"),
        ("1 hour ago", "2026-11-23T13:00:00.000Z"),
        ("2 days ago", "2026-11-21T14:00:00.000Z"),
        ("45 seconds ago", "2026-11-23T13:59:15.000Z"),
        ("3\u5206\u949f\u524d", "2026-11-23T13:57:00.000Z"),
        ("2 \u5c0f\u65f6\u524d", "2026-11-23T12:00:00.000Z"),
        ("1\u5929\u524d", "2026-11-22T14:00:00.000Z"),
    ],
)
def test_a_moment_is_understood_as_people_say_it(text: str, meant: str) -> None:
    us, is_whole = moment_of(text, NOW_US)
    assert (iso(us), is_whole) == (meant, False)


def test_yesterday_may_be_said_in_the_language_of_the_page() -> None:
    language.set_language("zh-Hans")
    try:
        us, _is_whole = moment_of("\u6628\u5929 15:50", NOW_US)
    finally:
        language.set_language("en")
    assert iso(us) == "2026-11-22T15:50:00.000Z"


@pytest.mark.parametrize(
    "text",
    ["", "tomorrow", "now", "25:00", "13:60", "13:50:61", "13-40 10:00", "02-30", "yesterday 15", "1h", "-1y", "-",
     "13:50 CET", "99999999 d ago", "\u0661\u0663:\u0665\u0660"],
)  # fmt: skip
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        moment_of(text, NOW_US)


@given(st.integers(min_value=0, max_value=NOW_US // SECOND_US))
def test_what_a_page_shows_is_read_as_the_same_moment(second: int) -> None:
    us = second * SECOND_US
    for text in (clock_text(us), iso(us), iso(us)[:19], clock_text(us)[:19]):
        assert moment_of(text, NOW_US) == (us, True)


@given(st.text(max_size=30))
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    try:
        moment_of(text, NOW_US)
    except (ValueError, OverflowError):
        return
