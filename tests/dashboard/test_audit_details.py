"""The details of the audit log are words on its page, each in the language of its reader."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dashboard.text.audit_details import DETAIL_TEXTS, detail_words
from dashboard.text.language import CHINESE, set_language


@pytest.fixture(autouse=True)
def _english_afterwards() -> Iterator[None]:
    yield
    set_language("en")


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (None, []),
        ('{"app_id":7,"filters":"status platform","live":true}', ["app 7", "filtered by status platform", "kept open"]),
        ('{"status":403,"route":"/v1/users"}', ["answered with 403", "at /v1/users"]),
        ('{"live":false}', []),
        ('{"of_tomorrow":"<b>\\n"}', ["of tomorrow <b>�"]),
        ('{"of_tomorrow":true,"more":{"a":1}}', ["of tomorrow", 'more {"a":1}']),
        ("{torn", ["{torn"]),
    ],
)
def test_a_detail_is_said_in_words_and_one_that_is_not_known_by_its_name(stored: str | None, words: list[str]) -> None:
    set_language("en")
    assert detail_words(stored) == words


def test_each_detail_is_said_in_chinese() -> None:
    set_language(CHINESE)
    for name, text in DETAIL_TEXTS.items():
        (words,) = detail_words(f'{{"{name}":true}}' if "%" not in text else f'{{"{name}":1}}')
        assert words != text % {"value": 1}, name
