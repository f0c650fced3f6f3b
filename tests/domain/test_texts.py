"""Texts are stored as a sentence and parameters, English for programs, and translated for pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.text import language
from dashboard.text.translate import translate
from sidecar import app  # noqa: F401 - with it every sentence is made
from sidecar.domain import texts
from sidecar.domain.alerts.firing import UNHELD
from sidecar.domain.alerts.opening import FLAPPING
from sidecar.domain.alerts.rules.client_lost import LOST
from sidecar.domain.alerts.rules.kick_storm import KickStorm
from sidecar.domain.alerts.rules.kicked_out import KICKED_OUT
from sidecar.domain.alerts.rules.storm_rule import CALM, SHARE_OF_APP, SHARE_OF_SDK
from sidecar.domain.texts import Sentence, Text, verbatim
from sidecar.domain.units import MINUTE_US

GAP: Final = re.compile(r"%\((\w+)\)s")
# With the words of sentences, gaps and JSON in them.
NAMES = st.text(max_size=40) | st.sampled_from(
    [
        "x was kicked out on y",
        "(no warning of it was reported)",
        "%(who)s",
        "100%",
        '["verbatim",{}]',
        "\n",
        "",
        "5 min",
    ]
)
PARAMETERS = st.recursive(NAMES, lambda inner: inner.map(lambda one: LOST(who=one)), max_leaves=4)


@pytest.fixture
def chinese() -> Iterator[None]:
    language.set_language(language.CHINESE)
    yield
    language.set_language(language.ENGLISH)


@given(sentence=st.deferred(lambda: st.sampled_from(list(Sentence.known.values()))), data=st.data())
def test_a_stored_text_loads_whatever_its_parameters(sentence: Sentence, data: st.DataObject) -> None:
    text = sentence(**{gap: data.draw(PARAMETERS) for gap in GAP.findall(sentence.template)})
    assert texts.load(texts.dump(text)) == text
    assert str(texts.load(texts.dump(text))) == str(text)


@pytest.mark.parametrize("stored", ['["of_a_newer_version",{"who":"bob"}]', '["lost",{}]', '["lost",{"x":"y"}]'])
def test_a_text_that_cannot_be_formatted_is_shown_as_stored(stored: str) -> None:
    assert str(texts.load(stored)) == stored


def test_sentence_ids_are_unique() -> None:
    with pytest.raises(ValueError, match="two sentences have the id lost"):
        Sentence("lost", "something else")


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize("sentence", Sentence.known.values(), ids=list(Sentence.known))
def test_every_sentence_is_translated_and_keeps_its_placeholders(sentence: Sentence) -> None:
    filled = {name: f"<{name} 7>" for name in GAP.findall(sentence.template)}
    assert translate(sentence(**filled)) == language.gettext(sentence.template) % filled


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (KICKED_OUT(who="carol", device="Web"), "carol 在 Web 上被踢下线"),
        (
            KickStorm.summary(
                50_000,
                MINUTE_US,
                0.97,
                texts.joined(
                    [
                        SHARE_OF_SDK(share="96%", name="2.28.0"),
                        SHARE_OF_APP(share="91%", name="4, 2"),
                    ]
                ),
            ),
            "1 分内有 50,000 个用户被踢下线，占在线用户的 97%；96% 使用 SDK 2.28.0，91% 使用 应用 4, 2",
        ),
        (
            CALM(told=FLAPPING(told=LOST(who="恐龙"), count=3, span=texts.duration(15 * MINUTE_US))),
            "已恢复平静；恐龙 没有活动迹象：应用或设备可能已关闭（反复出现：15 分内 3 次；稳定之前不再通知）",
        ),
        (UNHELD(held="storm"), "不再暂缓通知（属于风暴）"),
        (verbatim("HTTP 503: the user is online again"), "HTTP 503: the user is online again"),
        (verbatim(""), ""),
    ],
)
def test_a_text_is_translated_with_the_texts_inside_it(text: Text, expected: str) -> None:
    assert translate(text) == expected


def test_an_english_page_shows_the_text_of_programs() -> None:
    assert translate(LOST(who="carol")) == str(LOST(who="carol"))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-5, "0 s"), (0.5, "0 s"), (0.6, "1 s"), (59, "59 s"), (119, "119 s"), (120, "2 min"), (179, "2 min"),
     (7_199, "119 min"), (7_200, "2 h"), (86_400, "1 d"), (90_000, "25 h"), (172_800, "2 d")],
)  # fmt: skip
def test_a_duration_is_in_the_largest_unit_that_divides_it_or_fits_twice(seconds: float, expected: str) -> None:
    assert str(texts.duration(round(seconds * 1_000_000))) == expected


def test_texts_are_joined_in_their_order() -> None:
    assert str(texts.joined([verbatim("a")])) == "a"
    assert str(texts.joined([verbatim("a"), verbatim("b"), verbatim("c")])) == "a, b, c"
    with pytest.raises(ValueError, match="at least one"):
        texts.joined([])


def test_a_second_sentence_with_the_same_id_is_refused() -> None:
    with pytest.raises(ValueError, match="two sentences have the id verbatim"):
        Sentence("verbatim", "%(text)s")


def test_a_parameter_is_one_line() -> None:
    assert str(verbatim("a\nb")) == "a\ufffdb"
    assert texts.VERBATIM(text=7) == verbatim("7")
