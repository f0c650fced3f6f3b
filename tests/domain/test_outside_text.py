"""Text from outside in lines and chats."""

from __future__ import annotations

import unicodedata

import pytest

from sidecar.domain.outside_text import one_line, slack, slack_link, unmarked

MARK = "\ufffd"
# First and last of each range that readers cannot see, and its neighbours that they can, or that words need.
UNSEEN = (
    *("\0", "\x1f", "\x7f", "\x9f", "\xad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u180e"),
    *("\u200b", "\u200e", "\u200f", "\u2028", "\u202e", "\u2060", "\u206f", "\u2800", "\u3164", "\ud800", "\udfff"),
    *("\ufeff", "\uffa0", "\ufff9", "\ufffb", "\U0001bca0", "\U0001bca3", "\U0001d173", "\U0001d17a"),
    *("\U000e0000", "\U000e007f"),
)
SEEN = (
    *(" ", "~", "\xa0", "\xac", "\xae", "\u034e", "\u0350", "\u061b", "\u061d", "\u115e", "\u1161", "\u17b3", "\u17b6"),
    *("\u180d", "\u180f", "\u200a", "\u200c", "\u200d", "\u2010", "\u2027", "\u202f", "\u205f", "\u2070", "\u27ff"),
    *("\u2801", "\u3163", "\u3165", "\ud7ff", "\ue000", "\ufefe", "\uff00", "\uff9f", "\uffa1", "\ufff8", "\ufffc"),
    *("\U0001bc9f", "\U0001bca4", "\U0001d172", "\U0001d17b", "\U000dffff", "\U000e0080"),
)


@pytest.mark.parametrize("sign", UNSEEN, ids=ascii)
def test_what_a_reader_cannot_see_has_a_mark(sign: str) -> None:
    assert one_line(f"al{sign}ice") == f"al{MARK}ice"


@pytest.mark.parametrize("sign", SEEN, ids=ascii)
def test_what_a_reader_can_see_stays(sign: str) -> None:
    assert one_line(f"al{sign}ice") == f"al{sign}ice"


def test_no_control_and_no_change_of_direction_is_left() -> None:
    # The planes with letters, signs and tags: the others are unassigned or without controls.
    every = "".join(map(chr, (*range(0x20000), *range(0xE0000, 0xE1000))))
    assert not {unicodedata.category(sign) for sign in one_line(every)} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(sign) for sign in one_line(every)} & {
        "LRE",
        "RLE",
        "LRO",
        "RLO",
        "PDF",
        "LRI",
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("alice", "alice"),
        ("*alice*", "∗alice∗"),
        ("_alice~", "＿alice∼"),
        ("a * b", "a ∗ b"),
        ("a_ b", "a＿ b"),
        ("a _b", "a ＿b"),
        ("a*b_c", "a*b_c"),
        ("@channel", "＠channel"),
        ("bob@", "bob＠"),
        (":x:", "꞉x:"),
        ("a: b", "a: b"),
        (": b", ": b"),
        ("a :b", "a ꞉b"),
        ("a`b[c]", "aˋb［c］"),
        ("<b>`", "‹b›ˋ"),
        ("a\n*b", f"a{MARK}∗b"),
    ],
)
def test_markup_is_shown_by_look_alikes(text: str, shown: str) -> None:
    assert unmarked(text) == shown


def test_slack_has_entities_for_angles_and_ampersands() -> None:
    assert slack("<@U1> & *x*") == "&lt;＠U1&gt; &amp; ∗x∗"
    assert slack("a\nb") == f"a{MARK}b"


def test_nothing_in_a_link_for_slack_is_markup() -> None:
    assert slack_link("https://z.example/?a=1&b=<|>\n") == f"<https://z.example/?a=1&amp;b=&lt;%7C&gt;{MARK}>"
