"""Ids as people paste them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import pasted


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
