"""Codes of the SDK in words, whatever was reported as one."""

from __future__ import annotations

import pytest

from sidecar.domain.error_codes import in_words


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        (6_000_121, "whatever", "6000121: not logged in"),
        ("6000121", None, "6000121: not logged in"),
        (999, "odd\nthing", "999: odd\N{REPLACEMENT CHARACTER}thing"),
        (999, "", "999"),
        (-1, None, "-1"),
        (None, "gone", "gone"),
        (None, None, "no error code"),
        (True, None, "True"),
        ([1], None, "[1]"),
        ("E" * 100, "m" * 70_000, "E" * 39 + "…: " + "m" * 199 + "…"),
    ],
)
def test_a_code_in_words(code: object, message: object, words: str) -> None:
    assert str(in_words(code, message)) == words
