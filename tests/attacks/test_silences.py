"""A silence of many values, each of which is compared with each alert, costs little for each."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.alerting.silence_form import VALUES_MOST
from sidecar.domain.alerts.routing import fits, matches
from tests.support import counted
from tests.support.running import zimwatch

TEXT = st.text(alphabet="ab[]?!-\n", max_size=8)
PATTERN = st.lists(st.sampled_from(["a", "b", "[a]", "?", "*", "**", "ab"]), max_size=6).map("".join)


@given(known=TEXT, wanted=PATTERN)
@example(known="a", wanted="a*a")
@example(known="", wanted="**")
@example(known="ab", wanted="*ab*b")
def test_a_star_matches_any_text_and_every_other_character_itself(known: str, wanted: str) -> None:
    assert fits(known, wanted) is fnmatchcase(known, wanted.replace("[", "[[]").replace("?", "[?]"))


def test_a_value_with_stars_is_compared_in_a_few_calls() -> None:
    values = tuple(f"*{number:04}*a*" for number in range(VALUES_MOST))
    with counted.calls() as done:
        assert not matches({"user_id": values}, {"user_id": "alice" * 20})
    assert done.number < 12 * VALUES_MOST


async def test_a_silence_has_a_bounded_number_of_values(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:
        for count, status in ((VALUES_MOST, 201), (VALUES_MOST + 1, 400)):
            users = [f"user-{number}" for number in range(count)]
            silence = {"matchers": {"user_id": users}, "duration": "1h", "reason": "a test"}
            async with running.http.post("/v1/silences", json=silence) as response:
                problem = await response.json()
                assert response.status == status
    assert f"{VALUES_MOST + 1} values together" in problem["detail"]
