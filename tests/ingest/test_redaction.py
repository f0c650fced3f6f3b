"""What nobody asked for is not stored: named keys of extended_data, and fields that no event has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sidecar.ingest import wire
from sidecar.ingest.redaction import REDACTED, Redaction, known_fields
from sidecar.settings import Settings
from sidecar.settings.sections import PrivacySettings
from tests.support.running import Zimwatch
from tests.support.stores import contents
from tests.support.wire import fresh_event

NICKNAME = "Alice in Wonderland"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"nick": "A", "b": 1}', {"nick": REDACTED, "b": 1}),
        ('{"a": [{"NICK": {"deep": 1}}]}', {"a": [{"NICK": REDACTED}]}),
        ('{"\\u006eick": "A"}', {"nick": REDACTED}),
        ('{"other": "nick"}', {"other": "nick"}),
    ],
)
def test_the_values_of_named_keys_are_replaced_at_any_depth(text: str, expected: object) -> None:
    assert json.loads(Redaction(["nick"]).text(text)) == expected


@pytest.mark.parametrize("text", ['nick=A, "nick": "A"', '{"nick": ', "[" * 30_000 + '{"nick":1}' + "]" * 30_000])
def test_what_cannot_be_read_and_has_such_a_key_is_replaced_as_a_whole(text: str) -> None:
    assert Redaction(["nick"]).text(text) == REDACTED


def test_a_text_without_such_a_key_stays_as_it_came() -> None:
    text = '{ "spaced":  1.0 }'
    assert Redaction(["nick"]).text(text) is text


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(fresh_event(type="nonsense", nickname=NICKNAME, token="04secret")),
        json.dumps(fresh_event(seq=-1, sdk={"name": "zim", "userAvatar": NICKNAME}, nickname="04secret")),
        '[{"seq": 1, "nickname": "Alice in Wonderland", "token" : "04secret',  # torn
    ],
)
def test_a_rejected_body_is_kept_without_the_values_of_unknown_fields(body: str) -> None:
    kept = known_fields(body)
    assert NICKNAME not in kept
    assert "04secret" not in kept
    assert "nickname" in kept


def test_unknown_fields_are_not_taken_in() -> None:
    good = fresh_event(nickname=NICKNAME, userName=NICKNAME)
    bad = fresh_event(seq=0, nickname=NICKNAME)
    decoded = wire.decode(json.dumps([good, bad]).encode(), "json", 1_795_442_400_000_000)
    assert len(decoded.events) == len(decoded.rejected) == 1
    assert NICKNAME not in repr(decoded)


def test_more_keys_than_an_event_may_be_compared_with_are_refused() -> None:
    assert PrivacySettings(redact_extended_data=("a",) * 101).problems()
    assert not Settings().privacy.problems()


async def test_no_byte_of_a_nickname_or_token_reaches_the_database(running: Zimwatch, tmp_path: Path) -> None:
    secret = "04AAAAsecret-of-alice"
    events = [fresh_event(nickname=NICKNAME, token=secret), fresh_event(seq=0, nickname=NICKNAME, token=secret)]
    status, answer = await running.send(events)
    assert (status, answer["accepted"], len(answer["rejected"])) == (200, 1, 1)
    await running.send(f'[{{"nickname":"{NICKNAME}","token":"{secret}'.encode())
    written = b"".join(contents(tmp_path))
    assert NICKNAME.encode() not in written
    assert secret.encode() not in written
    for path in ("/rejected", "/v1/rejected", "/metrics", "/users"):
        async with running.http.get(path) as response:
            shown = await response.text()
        assert NICKNAME not in shown
        assert secret not in shown
