"""Ids as people paste them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import pasted
from sidecar.domain.paths import user_path


@pytest.mark.parametrize(
    "text",
    [
        "alice\nbob\ncarol",
        "alice\r\nbob\r\ncarol\r\n",
        "alice\rbob\rcarol",
        "alice, bob,carol,",
        "alice;bob; carol",
        "alice\tbob\tcarol",
        "alice\uff0cbob\u3001carol",
        "'alice', 'bob', 'carol'",
        '["alice", "bob", "carol"]',
        "('alice','bob','carol')",
        "[alice, bob, carol]",
        "{alice,bob,carol}",
        '"alice"\n"bob"\n"carol"',
        "\u201calice\u201d, \u2018bob\u2019, `carol`",
        "\ufeffalice\nbob\n\u200bcarol\n\n",
        "  alice  \n\n bob\t\n\xa0carol,alice",
        '"alice\nbob\ncarol',
    ],
)
def test_ids_are_separated_however_they_were_written(text: str) -> None:
    assert pasted.ids(text) == ("alice", "bob", "carol")


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", ()),
        (' ,;\r\n\t""', ()),
        ("o'brien, d\"arcy", ("o'brien", 'd"arcy')),
        ("\"a,b\";'c;d'", ("a,b", "c;d")),
        ("Alice Smith\nBob", ("Alice Smith", "Bob")),
        ("[alice]", ("[alice]",)),
        ("[a,b)", ("[a", "b)")),
        ("[,]", ()),
        (",", ()),
        ("x", ("x",)),
        ("user(1)", ("user(1)",)),
    ],
)
def test_what_belongs_to_an_id_stays(text: str, ids: tuple[str, ...]) -> None:
    assert pasted.ids(text) == ids


@given(st.text(alphabet=" a\"'`“”,;\t\r\n[]()\ufeff", max_size=40))
def test_no_id_has_a_line_or_a_separator_outside_of_quotes(text: str) -> None:
    for one in pasted.ids(text):
        assert one == one.strip()
        assert not {"\r", "\n"} & set(one)


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("http://127.0.0.1:8790/users/1234567890/alice", (1234567890, "alice")),
        ("https://ops.example.com/zimwatch/users/1/a%20b?as_of=2026-11-23T14:03:20Z#event-7", (1, "a b")),
        ("/users/1/alice", (1, "alice")),
        ("https://ops.example.com/users/1/?id=a%2Fb", (1, "a/b")),
        ("https://ops.example.com/users/1/\u5f20\u4e09", (1, "\u5f20\u4e09")),
    ],
)
def test_a_link_to_a_user_is_understood(text: str, who: tuple[int, str]) -> None:
    assert pasted.user_link(text) == who


@pytest.mark.parametrize(
    "text",
    ["", "alice", "/users/", "/users/1", "/users/1/", "users/1/alice", "https://ops.example.com/users/x/alice",
     "javascript:/users/1/alice", "https://ops.example.com/users/1/a/b", "https://[/users/1/alice",
     "see /users/1/alice", "https://ops.example.com/alerts/users"],
)  # fmt: skip
def test_what_is_no_link_to_a_user_is_not(text: str) -> None:
    assert pasted.user_link(text) is None


@pytest.mark.parametrize("sign", ["\u200b", "\ufeff", "\xa0", "\u2060", "\u202e", "\u2068", "\xad", "\t", "\u2003"])
def test_signs_that_nobody_sees_are_trimmed(sign: str) -> None:
    assert pasted.trimmed(f"{sign} alice{sign} {sign}") == "alice"
    assert pasted.trimmed(f"al{sign}ice") == f"al{sign}ice"


@given(st.integers(min_value=0, max_value=2**32 - 1), st.text(min_size=1, max_size=40))
def test_the_path_of_a_users_page_is_a_link_to_that_user(app_id: int, user_id: str) -> None:
    assert pasted.user_link(f"https://ops.example.com{user_path(app_id, user_id)}") == (app_id, user_id)
