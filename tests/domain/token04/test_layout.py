"""The layout of Token04, and what is said of texts that have another."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.token04.layout import (
    Token04,
    UnreadableError,
    expires_at_us,
    pack,
    parse,
)
from tests.support.token04 import FLAWED, GOOD, layout


@given(
    st.integers(946_684_800, 7_258_118_399),
    st.one_of(
        st.tuples(st.binary(min_size=12, max_size=16), st.binary(min_size=17, max_size=900), st.just(1)),
        st.tuples(
            st.binary(min_size=16, max_size=16),
            st.integers(1, 50).flatmap(lambda blocks: st.binary(min_size=16 * blocks, max_size=16 * blocks)),
            st.sampled_from([None, 0]),
        ),
    ),
)
def test_what_is_packed_is_parsed(expires_s: int, parts: tuple[bytes, bytes, int | None]) -> None:
    token = Token04(expires_s, *parts)
    assert parse(pack(token)) == token
    assert expires_at_us(pack(token)) == expires_s * 1_000_000


@pytest.mark.parametrize("around", ["{}\n", "  {}  ", '"{}"', "'{}'\r\n", "`{}`"])
def test_what_a_copy_puts_around_a_token_is_left_out(around: str) -> None:
    assert parse(around.format(GOOD)) == parse(GOOD)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n    ", "  \r"])
def test_a_token_that_a_terminal_broke_into_lines_is_one(end: str) -> None:
    assert parse(end.join(re.findall(".{1,40}", GOOD))) == parse(GOOD)


@pytest.mark.parametrize(
    ("text", "flaw"),
    FLAWED,
)
def test_what_is_wrong_with_a_text_is_named(text: str, flaw: str) -> None:
    with pytest.raises(UnreadableError) as error:
        parse(text)
    assert error.value.flaw == flaw


def test_a_token_cut_anywhere_is_none() -> None:
    for length in range(len(GOOD)):
        with pytest.raises(UnreadableError) as error:
            parse(GOOD[:length])
        assert error.value.flaw in ({"empty"} if length == 0 else {"no_token04"} if length == 1 else {"cut_off"})


@given(st.one_of(st.text(), st.text().map(lambda text: "04" + text), st.binary().map(lambda raw: layout(rest=raw))))
def test_any_text_is_a_token_or_has_a_flaw(text: str) -> None:
    with contextlib.suppress(UnreadableError):
        assert parse(text).content
