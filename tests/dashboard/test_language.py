"""English and Simplified Chinese: nothing is left untranslated, and a browser gets the one it asks for."""

from __future__ import annotations

import io
import re
from functools import cache
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from dashboard.text import language
from dashboard.text.times import ago, lasted
from sidecar.domain.texts import Sentence
from tests.support.events import BEGIN_US

ROOT = Path(__file__).parents[2]
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
OPTIONS = {"templates/**.html": {"newstyle_gettext": "true", "trim_blocks": "true", "lstrip_blocks": "true"}}
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "marked": None, "Sentence": (2,)}
# As in the Makefile.
FOLDERS = ("dashboard", "sidecar")
PLACEHOLDER = re.compile(r"%\(\w+\)s|\{\w+\}")


@cache
def messages_in_code() -> set[str | tuple[str, ...]]:
    """Every message in code and templates."""
    return {
        message
        for folder in FOLDERS
        for _, _, message, _, _ in extract_from_dir(ROOT / folder, METHODS, OPTIONS, KEYWORDS)
    }


@cache
def catalogue() -> Catalog:
    source = ROOT / "dashboard/locale/zh_Hans/messages.po"
    return read_po(io.BytesIO(source.read_bytes()), locale="zh_Hans")


def forms(message: Message) -> tuple[str, ...]:
    return (message.string,) if isinstance(message.string, str) else tuple(message.string or ())


def test_every_message_is_translated() -> None:
    messages = catalogue()
    missing = [one for one in messages_in_code() if (found := messages.get(one)) is None or not all(forms(found))]
    assert missing == []


def test_no_sentence_is_out_of_the_catalogue() -> None:
    messages = catalogue()
    assert Sentence.known
    assert [one.id for one in Sentence.known.values() if messages.get(one.template) is None] == []


def test_no_translation_is_left_over() -> None:
    assert [message.id for message in catalogue() if message.id and message.id not in messages_in_code()] == []


def test_a_translation_fills_in_what_the_message_does() -> None:
    for message in catalogue():
        if message.id:
            plural = message.id if isinstance(message.id, str) else message.id[-1]
            for form in forms(message):
                assert sorted(PLACEHOLDER.findall(form)) == sorted(PLACEHOLDER.findall(plural)), plural


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", "en"),
        ("de-DE,de;q=0.9", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
        ("de,zh-Hans;q=0.8", "zh-Hans"),
        ("en-GB,zh;q=0.5", "en"),
        (", ;;q=x,zh", "zh-Hans"),
    ],
)
def test_a_browser_gets_the_first_language_that_there_is(accepted: str, expected: str) -> None:
    request = make_mocked_request("GET", "/", headers={"Accept-Language": accepted})
    assert language.wanted(request) == expected


def test_what_was_chosen_wins_and_nonsense_is_passed_over() -> None:
    chosen = make_mocked_request("GET", "/", headers={"Cookie": "zimwatch-language=zh-Hans", "Accept-Language": "en"})
    nonsense = make_mocked_request("GET", "/", headers={"Cookie": "zimwatch-language=tlh", "Accept-Language": "en"})
    assert (language.wanted(chosen), language.wanted(nonsense)) == ("zh-Hans", "en")


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [
        (0, "now", "现在"),
        (1, "1 second ago", "1秒钟前"),
        (125, "2 minutes ago", "2分钟前"),
        (-125, "in 2 minutes", "2分钟后"),
        (90_000, "1 day ago", "1天前"),
    ],
)
def test_relative_times_are_in_both_languages(seconds: int, english: str, chinese: str) -> None:
    now_us = BEGIN_US + seconds * 1_000_000
    assert ago(BEGIN_US, now_us) == english
    language.set_language(language.CHINESE)
    try:
        assert ago(BEGIN_US, now_us) == chinese
        assert lasted(90_000_000) == "1 分"
    finally:
        language.set_language(language.ENGLISH)
