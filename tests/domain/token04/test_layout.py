"""The layout of Token04, and what is said of texts that have another."""

from __future__ import annotations

import base64
import contextlib
import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.token04.layout import (
    MOST_CHARACTERS,
    Token04,
    UnreadableError,
    expires_at_us,
    pack,
    parse,
)
from tests.support.token04 import content, made

NOW_S = 1_796_067_000
GOOD = made(content(1, "alice", NOW_S, NOW_S + 3_600))
# Among its characters are a + and a /, as in most tokens.
PLUS = pack(Token04(NOW_S, b"i" * 12, bytes(range(256)), 1))


def layout(expires_s: int = NOW_S, iv: bytes = b"i" * 12, sealed: bytes = b"c" * 32, rest: bytes = b"\x01") -> str:
    raw = struct.pack(f">qh{len(iv)}sh{len(sealed)}s", expires_s, len(iv), iv, len(sealed), sealed) + rest
    return "04" + base64.b64encode(raw).decode()


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
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("''", "empty"),
        ("04" + "A" * MOST_CHARACTERS, "too_large"),
        ("hello", "no_token04"),
        ("eyJhbGciOiJIUzI1NiJ9.e30.x", "no_token04"),
        ("0", "no_token04"),
        ("断线", "no_token04"),
        ("\ud800", "no_token04"),
        ("\x00\x01", "no_token04"),
        ("03" + GOOD[2:], "other_version"),
        ("05" + GOOD[2:], "other_version"),
        ("01", "other_version"),
        (GOOD + "#eyJ1c2VySUQiOiJhIn0=", "kit_token"),
        (PLUS.replace("+", "%2B"), "percent_encoded"),
        (PLUS.replace("+", " "), "blanks"),
        (GOOD[:20] + "\t" + GOOD[20:], "blanks"),
        (PLUS.replace("+", "-").replace("/", "_"), "url_safe"),
        (GOOD[:9] + "!" + GOOD[10:], "not_base64"),
        (GOOD[:9] + "=" + GOOD[10:], "not_base64"),
        (GOOD[:9] + "é" + GOOD[10:], "not_base64"),
        ("04", "cut_off"),
        ("04AAAA", "cut_off"),
        (GOOD.rstrip("=")[:-1], "cut_off"),
        (GOOD[:14], "cut_off"),
        (GOOD[:42], "cut_off"),
        (layout(rest=b"\x01\x01"), "bytes_left"),
        (layout(rest=b"\x02"), "mode_unknown"),
        (layout(rest=b"\xff"), "mode_unknown"),
        (layout(iv=b"i" * 7), "sizes"),
        (layout(iv=b"i" * 129), "sizes"),
        (layout(sealed=b"c" * 16), "sizes"),
        (layout(iv=b"i" * 12, rest=b""), "sizes"),
        (layout(iv=b"i" * 16, sealed=b"c" * 33, rest=b"\x00"), "sizes"),
        (layout(iv=b"i" * 16, sealed=b"", rest=b""), "sizes"),
        ("04" + base64.b64encode(struct.pack(">qh", NOW_S, -1) + b"x" * 60).decode(), "sizes"),
        (layout(NOW_S * 1_000), "milliseconds"),
        (layout(0), "no_time"),
        (layout(-1), "no_time"),
        (layout(2**63 - 1), "no_time"),
    ],
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
