"""Codes of the SDK in words, whatever was reported as one."""

from __future__ import annotations

import pytest

from sidecar.domain import error_codes
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


def test_each_code_has_a_sentence_of_its_own_id() -> None:
    assert all(sentence.id == f"code.{code}" for code, sentence in error_codes.CODES.items())


def test_codes_that_code_refers_to_have_words_that_fit() -> None:
    words = {
        error_codes.NO_NETWORK: "no network",
        error_codes.NO_ANSWER: "no answer in time",
        error_codes.TOKEN_EXPIRED: "the token has expired",
        error_codes.ALREADY_LOGGED_IN: "already logged in",
        error_codes.NOT_LOGGED_IN: "not logged in",
        error_codes.PLAN_OF_DAY: "the plan's users of the day are used up",
        error_codes.PLAN_OF_MONTH: "the plan's users of the month are used up",
    } | dict.fromkeys(error_codes.TOO_OFTEN, "called too often")
    assert {code: error_codes.CODES[code].template for code in words} == words
