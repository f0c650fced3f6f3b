"""Names of accounts, and rules of passwords."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.account_names import PASSWORD_LEAST, name_problem, normal_name, password_problem


@pytest.mark.parametrize(
    ("given_name", "normal"),
    [
        ("dana", "dana"),
        (" Dana ", "dana"),
        ("\uff24\uff21\uff2e\uff21", "dana"),
        ("straße", "strasse"),
        ("İda", "i̇da"),
        ("dana.o@ops-team_1", "dana.o@ops-team_1"),
        ("张伟", "张伟"),
        ("张伟-zhang", "张伟-zhang"),
        ("Дана.7", "дана.7"),
        ("Δανάη", "δανάη"),
        ("ﬁona", "fiona"),
    ],
)
def test_names_that_look_the_same_are_the_same(given_name: str, normal: str) -> None:
    assert normal_name(given_name) == normal


@pytest.mark.parametrize(
    "name",
    ["", " ", "a b", "a\u200bb", "a\u202eb", "a/b", "a\x00", "-dana", "<b>", "a" * 65, "\u0301a", "\ud800", "🔑"],
)
def test_no_account_can_have_such_a_name(name: str) -> None:
    assert normal_name(name) is None
    assert name_problem(name).sentence == "account.name"


@pytest.mark.parametrize("name", ["d\u0430na", "D\u0410NA", "dan\u03b1", "\u0434\u03b1\u043d\u0430", "ops-\u0430"])
def test_a_name_does_not_mix_scripts_whose_letters_look_the_same(name: str) -> None:
    assert normal_name(name) is None
    assert name_problem(name).sentence == "account.name_mixed"


@given(st.text(max_size=80))
def test_a_normal_name_stays_as_it_is(text: str) -> None:
    normal = normal_name(text)
    assert normal is None or normal_name(normal) == normal


def test_only_the_length_of_a_password_is_judged_and_that_it_is_not_the_name() -> None:
    assert password_problem("a" * (PASSWORD_LEAST - 1), "dana")
    assert password_problem("a" * PASSWORD_LEAST, "dana") is None
    assert password_problem("x" * 257, "dana")
    assert password_problem("断" * PASSWORD_LEAST, "dana") is None
    assert password_problem("long enough\x00\x00", "dana")
    assert password_problem("Dana-dana-2024", "dana")
    assert password_problem("dana likes long words", "dana") is None
