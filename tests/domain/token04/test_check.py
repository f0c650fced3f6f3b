"""What is said of a token, with the secret and without."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain import error_codes
from sidecar.domain.error_codes import CODES
from sidecar.domain.token04 import problems
from sidecar.domain.token04.check import (
    CBC_IS_DEPRECATED,
    NO_SECRET,
    PAYLOAD,
    SECRET_LENGTH,
    TokenCheck,
    check,
)
from sidecar.domain.token04.layout import parse
from sidecar.domain.units import DAY_US, SECOND_US
from tests.support.token04 import OTHER_SECRET, SECRET, content, made

APP = 1234567890
NOW_S = 1_796_067_000
NOW_US = NOW_S * SECOND_US
# Made by ZEGOCLOUD's own generators: see docs/zim.md.
GENERATED = json.loads((Path(__file__).parent / "generated.json").read_text(encoding="utf-8"))["vectors"]
MODES = st.sampled_from([None, 0, 1])


def alice(life_s: int = 3_600, **more: Any) -> dict[str, Any]:
    return content(APP, "alice", NOW_S, NOW_S + life_s) | more


def checked(text: str, *, now_us: int = NOW_US, secret: str = SECRET, app_id: int = APP) -> TokenCheck:
    return check(text, now_us, {app_id: (secret,)})


def kinds(found: TokenCheck) -> list[str]:
    return [one.kind for one in found.problems]


@pytest.mark.parametrize("vector", GENERATED, ids=lambda one: f"{Path(one['generator']).name}-{one['app_id']}")
def test_a_token_of_a_public_generator_is_opened_by_its_secret_and_by_no_other(vector: dict[str, Any]) -> None:
    made_s = parse(vector["token"]).expires_s - vector["lifetime_s"]
    secrets = {vector["app_id"] + 1: (OTHER_SECRET[::-1],), vector["app_id"]: ("f" * 32, vector["secret"])}
    found = check(vector["token"], made_s * SECOND_US, secrets)
    assert (kinds(found), found.cipher, found.app_id) == ([], vector["cipher"], vector["app_id"])
    assert found.content is not None
    assert (found.content.user_id, found.content.ctime, found.content.payload) == (
        vector["user_id"],
        made_s,
        vector["payload"],
    )
    assert (CBC_IS_DEPRECATED() in found.notes) == (vector["cipher"] == "AES-CBC")
    assert (PAYLOAD() in found.notes) == bool(vector["payload"])
    others = {vector["app_id"]: ("f" * 32, vector["secret"].upper())}
    assert kinds(check(vector["token"], made_s * SECOND_US, others)) == ["other_secret"]


@given(
    st.text(min_size=1, max_size=64),
    st.integers(1, 2**32 - 1),
    st.binary(min_size=16, max_size=16).map(bytes.hex),
    st.binary(min_size=16, max_size=16).map(bytes.hex),
    MODES,
)
def test_a_token_is_of_the_secret_that_made_it_alone(
    user_id: str, app_id: int, secret: str, other: str, mode: int | None
) -> None:
    token = made(content(app_id, user_id, NOW_S, NOW_S + 60), secret=secret, mode=mode)
    found = checked(token, secret=secret, app_id=app_id)
    assert (kinds(found), found.app_id) == ([], app_id)
    assert found.content is not None
    assert found.content.user_id == user_id
    if other != secret:
        assert kinds(checked(token, secret=other, app_id=app_id)) == ["other_secret"]


@given(st.integers(0, 10**6), MODES)
def test_a_changed_bit_is_found_or_changes_nothing_but_the_content(place: int, mode: int | None) -> None:
    token = made(alice(), mode=mode)
    raw = bytearray(base64.b64decode(token[2:]))
    raw[place // 8 % len(raw)] ^= 1 << place % 8
    found = checked("04" + base64.b64encode(bytes(raw)).decode())
    assert found.problems or (mode != 1 and found.content is not None)


@given(st.text(max_size=400), st.integers(-(2**62), 2**62))
def test_of_any_text_something_is_said(text: str, now_us: int) -> None:
    for one in (text, "04" + text):
        found = check(one, now_us, {APP: (SECRET, "short", "\udcff" * 32)})
        assert all(str(problem.text) and str(problem.advice) for problem in found.problems)


@given(
    st.one_of(
        st.binary(),
        st.just(b"[" * 5_000),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ).map(lambda value: json.dumps(value).encode()),
        st.fixed_dictionaries(
            {},
            optional={
                name: st.none() | st.integers() | st.text() | st.lists(st.integers())
                for name in ("app_id", "user_id", "nonce", "ctime", "expire", "payload")
            },
        ).map(lambda value: json.dumps(value).encode()),
    ),
    MODES,
)
def test_of_any_content_something_is_said(raw: bytes, mode: int | None) -> None:
    found = checked(made(raw, expire=NOW_S + 60, mode=mode))
    assert found.problems


@pytest.mark.parametrize(
    ("left_s", "wrong"),
    [
        (-1, ["expired"]),
        (0, ["expired"]),
        (1, ["too_short"]),
        (29, ["too_short"]),
        (30, []),
        (24 * 86_400, []),
        (24 * 86_400 + 1, ["too_long"]),
        (400 * 86_400, ["too_long"]),
    ],
)
def test_how_long_a_token_lasts_is_judged(left_s: int, wrong: list[str]) -> None:
    token = made(alice(left_s))
    assert kinds(checked(token)) == wrong
    assert kinds(check(token, NOW_US, {})) == wrong


@pytest.mark.parametrize("mode", [None, 0, 1])
@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"app_id": 7}, "other_app"),
        ({"app_id": str(APP)}, "other_app"),
        ({"app_id": True}, "other_app"),
        ({"user_id": ""}, "no_user"),
        ({"user_id": 7}, "no_user"),
        ({"user_id": None}, "no_user"),
        ({"expire": NOW_S + 7_200}, "expiry_differs"),
        ({"expire": str(NOW_S + 3_600)}, "expiry_differs"),
        ({"ctime": NOW_S + 61}, "made_in_future"),
        ({"ctime": NOW_S - 24 * 86_400}, "too_long"),
    ],
)
def test_a_content_that_cannot_be_is_named(mode: int | None, changed: dict[str, Any], wrong: str) -> None:
    token = made(alice() | changed, expire=NOW_S + 3_600, mode=mode)
    assert kinds(checked(token)) == [wrong]


def test_a_clock_that_is_off_by_a_minute_is_right_enough() -> None:
    assert kinds(checked(made(alice(ctime=NOW_S + 60)))) == []


def test_what_is_wrong_with_the_secret_comes_first() -> None:
    token = made(alice(10))
    assert kinds(checked(token, secret=OTHER_SECRET)) == ["other_secret", "too_short"]


def test_a_secret_of_another_length_is_said_and_not_tried() -> None:
    found = check(made(alice()), NOW_US, {APP: ("hunter2",), 7: (SECRET, "hunter2")})
    assert found.notes == (SECRET_LENGTH(app=APP), SECRET_LENGTH(app=7))
    assert found.tried == (7,)
    assert kinds(found) == ["other_app"]


def test_without_a_secret_that_is_said() -> None:
    found = check(made(alice()), NOW_US, {})
    assert (found.problems, found.notes, found.content) == ((), (NO_SECRET(),), None)


def test_each_kind_of_problem_has_words_and_a_code_that_is_known() -> None:
    for kind, (code, text, advice) in problems._SAID.items():
        assert code is None or code in CODES, kind
        assert text.template, kind
        assert advice.template, kind
    assert {error_codes.BAD_TOKEN, error_codes.TOKEN_INVALID, error_codes.TOKEN_EXPIRED} < set(CODES)
    assert problems.LONGEST_US == 24 * DAY_US
