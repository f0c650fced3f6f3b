"""What Zimwatch writes in English is read back, and said in the language of whoever looks at it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import language
from dashboard.said import said
from sidecar import app  # noqa: F401 - with it every sentence is made
from sidecar.domain.alerting import kinds, words
from sidecar.domain.sentences import Sentence
from tests.support.events import Phone

GAP: Final = re.compile(r"%\((\w+)\)s")
MINUTE_US: Final = 60_000_000
# With the words of sentences in them.
NAMES = st.text(max_size=40) | st.sampled_from(
    [
        "x was kicked out on y",
        "a; the other device is b",
        "(no warning of it was reported)",
        "%(who)s",
        "\n",
        "",
        "5 min",
    ]
)


@pytest.fixture
def chinese() -> Iterator[None]:
    language.speak(language.CHINESE)
    yield
    language.speak(language.ENGLISH)


@given(names=st.lists(NAMES, min_size=6, max_size=6), number=st.integers(min_value=0))
def test_whatever_fills_a_sentence_what_is_read_back_gives_the_same_text(names: list[str], number: int) -> None:
    sentence = Sentence.known[number % len(Sentence.known)]
    gaps = dict.fromkeys(GAP.findall(sentence.text))
    text = sentence(**dict(zip(gaps, names, strict=False)))
    read = sentence.read(text)
    assert read is not None
    assert sentence(**read) == text


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize("sentence", Sentence.known, ids=lambda one: one.text[:40])
def test_every_sentence_is_found_again_among_all_and_keeps_what_fills_it(sentence: Sentence) -> None:
    filled = {name: f"<{name} 7>" for name in GAP.findall(sentence.text)}
    told = said(sentence(**filled))
    assert told == language.gettext(sentence.text) % filled
    assert told != sentence(**filled)


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (words.kicked_out(Phone("carol").says("DISCONNECTED", "KICKED_OUT", 1), None), "carol 在 Web 上被踢下线"),
        (
            words.KICKED_OUT_BY(who=words.who(None), device=words.Device().words, other="Win (desk)"),
            "未登录用户的客户端 在 未命名的设备 上被踢下线；另一台设备是 Win (desk)",
        ),
        (
            words.storm(kinds.KICK_STORM, 50_000, MINUTE_US, 0.97, "96% on SDK 2.28.0, 91% on app 4, 2"),
            "1 分内有 50,000 个用户被踢下线，占在线用户的 97%；96% 使用 SDK 2.28.0，91% 使用 应用 4, 2",
        ),
        (
            words.CALM(told=words.FLAPPING(told=words.LOST(who="恐龙"), count=3, span="15 min")),
            "已恢复平静；恐龙 没有活动迹象：应用或设备可能已关闭（反复出现：15 分内 3 次；稳定之前不再通知）",
        ),
        (words.UNHELD(held="storm"), "不再暂缓通知（属于风暴）"),
        ("nobody wrote this", "nobody wrote this"),
        ("", ""),
    ],
)
def test_a_text_is_said_in_chinese_with_all_that_fills_it(text: str, expected: str) -> None:
    assert said(text) == expected


def test_in_english_a_text_stays_as_it_was_written() -> None:
    assert said(words.LOST(who="carol")) == words.LOST(who="carol")
