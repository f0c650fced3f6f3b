"""A silence of many values, each of which is compared with each alert, costs little for each."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.alerting.silence_form import VALUES_MOST
from sidecar.alerting.tables import silence_rows
from sidecar.domain.alerts.alert import Alert, Subject
from sidecar.domain.alerts.routing import Silence, Silences, fits, matches
from sidecar.domain.texts import verbatim
from tests.support import counted
from tests.support.running import Zimwatch, zimwatch

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


async def test_there_are_so_many_silences_that_have_not_ended_and_no_more(
    running: Zimwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence_rows, "SILENCES_MOST", 2)
    wanted = {"matchers": {"user_id": "alice"}, "duration": "1h", "reason": "a test"}
    for status in (201, 201, 400):
        async with running.http.post("/v1/silences", json=wanted) as response:
            answer = await response.json()
            assert response.status == status
    assert answer["detail"] == "2 silences have not ended, which is the limit: end those that are no longer needed"
    async with running.http.get("/silences") as response:
        form_token = (await response.text()).split('name="form_token" value="')[1].split('"')[0]
    form = {"form_token": form_token, "user_id": "bob", "duration": "1h", "reason": "a test", "do": "create"}
    async with running.http.post("/silences", data=form, headers={"Origin": running.url}) as response:
        assert response.status == 400
        assert "2 silences have not ended" in await response.text()
    async with running.http.post("/v1/chatops", json={"text": "silence alice 1h a test"}) as response:
        assert "2 silences have not ended" in await response.text()
    # One that ends makes room.
    async with running.http.delete("/v1/silences/1") as response:
        assert response.status == 204
    async with running.http.post("/v1/silences", json=wanted) as response:
        assert response.status == 201
    assert [one["id"] for one in (await running.get("/v1/silences"))[1]["silences"]] == [3, 2, 1]


async def test_ended_silences_are_listed_up_to_a_number(running: Zimwatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence_rows, "ENDED_LISTED", 2)
    wanted = {"matchers": {"user_id": "alice"}, "duration": "1h", "reason": "a test"}
    for _ in range(5):
        async with running.http.post("/v1/silences", json=wanted) as response:
            assert response.status == 201
    for ended in (1, 3, 4, 5):
        await running.http.delete(f"/v1/silences/{ended}")
    assert [one["id"] for one in (await running.get("/v1/silences"))[1]["silences"]] == [5, 4, 2]


def test_an_alert_is_compared_with_the_silences_of_its_user_and_those_without_a_user() -> None:
    def silence(number: int, **matchers: tuple[str, ...]) -> Silence:
        return Silence(id=number, matchers=matchers, starts_at_us=0, ends_at_us=9, author="dana", reason="a test")

    alert = Alert(
        id=1,
        kind="kicked_out",
        fingerprint="",
        severity="warning",
        subject=Subject(1, "alice"),
        started_at_us=0,
        opened_at_us=0,
        summary=verbatim("a test"),
    )
    many = [silence(number, user_id=(f"user-{number}", "bob")) for number in range(500)]
    for one, hides in (
        (silence(1, user_id=("zoe", "alice")), True),
        (silence(1, user_id=("al*",)), True),
        (silence(1, kind=("kicked_out",)), True),
        (silence(1, user_id=("alice",), kind=("token_expired",)), False),
        (silence(1, user_id=("bob",)), False),
    ):
        silences = Silences([*many, one])
        with counted.calls() as done:
            assert silences.hide(alert, 5) is hides
        assert done.number < 60
    assert not Silences([])
    assert not Silences(many).hide(alert, 9)


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("kind", "kick_strom", 400),
        ("kind", ["kicked_out", "kicked"], 400),
        ("kind", "kick*", 201),
        ("kind", ["lost_storm", "*_storm"], 201),
        ("severity", "critcal", 400),
        ("severity", "critical", 201),
        ("flapping", "false", 400),
        ("flapping", "true", 201),
    ],
)
async def test_a_silence_of_what_no_alert_can_be_is_refused(
    running: Zimwatch, name: str, value: str | list[str], status: int
) -> None:
    silence = {"matchers": {name: value}, "duration": "1h", "reason": "a test"}
    async with running.http.post("/v1/silences", json=silence) as response:
        answer = await response.json()
        assert response.status == status
    assert status == 201 or answer["detail"].startswith(f"matchers.{name}: ")
