"""The proof of the user: what an app's backend vouches for, what is unproven, and what is rejected by name."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from aiohttp import web
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

from sidecar.ingest.assertions import LIFETIME_S, LONGEST
from sidecar.settings import AlertSettings, AssertionSettings
from tests.support.assertions import APP, BY_SECRET, Key, assertion
from tests.support.running import Zimwatch
from tests.support.small_server import served
from tests.support.wire import wire_event

REQUIRED = msgspec.structs.replace(BY_SECRET, require=True)


@pytest.fixture
def options() -> dict[str, Any]:
    return {"assertions": (BY_SECRET,)}


async def proven(running: Zimwatch, user_id: str = "alice", app_id: int = APP) -> list[bool | None]:
    """Of the stored events of a user, oldest first."""
    status, answer = await running.get(f"/v1/users/{app_id}/{user_id}/events")
    return [] if status == 404 else [one.get("proven") for one in reversed(answer["events"])]


async def test_an_event_is_proven_by_its_users_assertion_and_unproven_without(running: Zimwatch) -> None:
    status, answer = await running.send([wire_event()], Zimwatch_Assertion=assertion())
    assert (status, answer["accepted"], answer.get("assertion_error")) == (200, 1, None)
    await running.send([wire_event(seq=2)])
    assert await proven(running) == [True, False]


async def test_an_event_without_a_user_or_of_an_app_without_a_key_has_nothing_to_prove(running: Zimwatch) -> None:
    await running.send([wire_event(user_id=None), wire_event(seq=2, app_id=7)])
    _, answer = await running.send([wire_event(seq=3, user_id=None), wire_event(seq=4)], Zimwatch_Assertion=assertion())
    assert answer["accepted"] == 2
    assert await proven(running, app_id=7) == [None]
    assert await proven(running) == [True]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", lambda first, event: msgspec.json.encode([first, event])),
        ("text/plain", lambda first, event: msgspec.json.encode([first, event])),
        ("application/x-ndjson", lambda first, event: msgspec.json.encode(first) + b"\n" + msgspec.json.encode(event)),
    ],
)
async def test_where_a_request_can_have_no_header_the_assertion_precedes_the_events(
    running: Zimwatch, kind: str, body: Any
) -> None:
    raw = body({"assertion": assertion()}, wire_event())
    status, answer = await running.send(raw, Content_Type=kind)
    assert (status, answer["accepted"], answer["rejected"]) == (200, 1, [])
    assert await proven(running) == [True]


async def test_an_assertion_of_another_user_or_app_has_the_event_rejected_by_name(running: Zimwatch) -> None:
    _, answer = await running.send([wire_event(), wire_event(seq=2, user_id="bob")], Zimwatch_Assertion=assertion())
    assert answer["accepted"] == 1
    assert [(one["index"], one["error"]) for one in answer["rejected"]] == [(1, "the assertion is for another user")]
    _, answer = await running.send([wire_event(app_id=7, user_id=None)], Zimwatch_Assertion=assertion())
    assert [one["error"] for one in answer["rejected"]] == ["the assertion is for another app"]
    listed = (await running.get("/v1/rejected"))[1]["rejected"]
    assert [(one["app_id"], one["error"]) for one in listed][1] == (APP, "the assertion is for another user")


def unsigned() -> str:
    parts = [base64.urlsafe_b64encode(msgspec.json.encode(one)).rstrip(b"=").decode() for one in ({"alg": "none"}, {})]
    return f"{parts[0]}.{assertion().split('.')[1]}."


IN_AN_HOUR = LIFETIME_S + 120
WRONG: dict[str, tuple[Callable[[], str], str]] = {
    "expired": (lambda: assertion(exp=int(time.time()) - 61), "has expired"),
    "valid for too long": (lambda: assertion(exp=int(time.time()) + IN_AN_HOUR), "valid for longer than 3600 s"),
    "of the future": (lambda: assertion(nbf=int(time.time()) + 120), "not yet valid"),
    "without an end": (lambda: assertion(exp=None), "has no exp"),
    "for another service": (lambda: assertion(aud="billing"), "not valid"),
    "without an audience": (lambda: assertion(aud=None), "has no aud"),
    "without a user": (lambda: assertion(sub=None), "has no sub"),
    "of a user that is a number": (lambda: assertion(sub=7), "not valid"),
    "without an app": (lambda: assertion(app_id=None), "no JWT with an app_id"),
    "of an app without a key": (lambda: assertion(app_id=7), "no key in ingest.assertions"),
    "of another secret": (lambda: assertion(key=OctKey.import_key("x" * 40)), "not valid"),
    "of another algorithm": (lambda: assertion(algorithm="HS384"), "not valid"),
    "unsigned": (unsigned, "not valid"),
    "no JWT": (lambda: "hello", "no JWT"),
    "too long": (lambda: assertion(more="x" * LONGEST), f"longer than {LONGEST}"),
}


@pytest.mark.parametrize("kind", WRONG)
async def test_an_invalid_assertion_proves_nothing_and_costs_no_event(running: Zimwatch, kind: str) -> None:
    make, why = WRONG[kind]
    status, answer = await running.send([wire_event()], Zimwatch_Assertion=make())
    assert (status, answer["accepted"], answer["rejected"]) == (200, 1, [])
    assert why in answer["assertion_error"]
    assert await proven(running) == [False]


class TestRequired:
    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"assertions": (REQUIRED,)}

    async def test_events_without_a_proof_are_rejected_by_name_but_for_those_without_a_user(
        self, running: Zimwatch
    ) -> None:
        _, answer = await running.send([wire_event(), wire_event(seq=2, user_id=None), wire_event(seq=3, app_id=7)])
        assert answer["accepted"] == 2
        assert [(one["index"], "requires a proof" in one["error"]) for one in answer["rejected"]] == [(0, True)]
        expired = assertion(exp=int(time.time()) - 61)
        _, answer = await running.send([wire_event()], Zimwatch_Assertion=expired)
        assert [one["error"] for one in answer["rejected"]] == ["the assertion has expired"]
        assert await proven(running) == []


PublicKey = RSAKey | ECKey | OKPKey
KEYS: list[tuple[PublicKey, str]] = [
    (RSAKey.generate_key(2048), "RS256"),
    (ECKey.generate_key("P-256"), "ES256"),
    (OKPKey.generate_key("Ed25519"), "Ed25519"),
]


class TestPublicKeys:
    @pytest.fixture(params=KEYS, ids=lambda one: one[1])
    def key(self, request: pytest.FixtureRequest) -> tuple[PublicKey, str]:
        found: tuple[PublicKey, str] = request.param
        return found

    @pytest.fixture
    def options(self, key: tuple[PublicKey, str]) -> dict[str, Any]:
        return {"assertions": (AssertionSettings(app_id=APP, public_key=key[0].as_pem(private=False).decode()),)}

    async def test_a_public_key_checks_and_is_no_secret(self, running: Zimwatch, key: tuple[PublicKey, str]) -> None:
        signer, algorithm = key
        await running.send([wire_event()], Zimwatch_Assertion=assertion(key=signer, algorithm=algorithm))
        # The known attack: the public key taken for the secret of HS256.
        forged = assertion(key=OctKey.import_key(base64.b64encode(signer.as_pem(private=False))))
        _, answer = await running.send([wire_event(seq=2)], Zimwatch_Assertion=forged)
        assert "not valid" in answer["assertion_error"]
        assert await proven(running) == [True, False]


class Backend:
    """Serves public keys, and counts the requests."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.requests = 0
        self.is_down = False

    async def answer(self, _request: web.Request) -> web.Response:
        self.requests += 1
        if self.is_down:
            raise web.HTTPServiceUnavailable
        return web.json_response(KeySet(self.keys).as_dict(private=False))


class TestFetchedKeys:
    @pytest.fixture
    async def backend(self) -> Any:
        backend = Backend()
        async with served(web.get("/jwks.json", backend.answer)) as address:
            yield backend, f"{address}/jwks.json"

    @pytest.fixture
    def options(self, backend: tuple[Backend, str], machine: Any) -> dict[str, Any]:
        one = AssertionSettings(app_id=APP, jwks_url=backend[1], require=True)
        alerts = AlertSettings(offline_too_long="0s", allowed_hosts=("127.0.0.1",))
        return {"assertions": (one,), "alerts": alerts, "machine": machine}

    async def test_keys_are_fetched_kept_and_rotated_with_a_bound_on_how_often(
        self, running: Zimwatch, backend: tuple[Backend, str], machine: Any
    ) -> None:
        served, _ = backend
        old, new = (RSAKey.generate_key(2048, {"kid": name, "use": "sig"}) for name in ("old", "new"))

        async def send(seq: int, key: Key, kid: str) -> tuple[int, Any]:
            made = assertion(key=key, algorithm="RS256", kid=kid, exp=machine.clock() // 1_000_000 + 300)
            return await running.send([wire_event(seq=seq)], Zimwatch_Assertion=made)

        served.is_down = True
        status, answer = await send(1, old, "old")
        assert (status, "cannot be fetched" in answer["detail"]) == (503, True)  # nothing is lost: it is sent again
        served.is_down, served.keys = False, [old]
        assert (await send(1, old, "old"))[0] == 503
        machine.passes(31)
        assert (await send(1, old, "old"))[1]["accepted"] == 1
        assert served.requests == 2
        # Any number of names that are not known cost one look a while.
        for seq in range(2, 5):
            _, answer = await send(seq, new, "new")
            assert answer["rejected"][0]["error"] == "the assertion is signed by a key that is not known"
        assert served.requests == 2
        served.keys = [new]
        machine.passes(31)
        assert (await send(5, new, "new"))[1]["accepted"] == 1
        assert served.requests == 3
        assert (await send(6, old, "old"))[1]["accepted"] == 0
        # An address that does not answer changes nothing for a day.
        served.is_down = True
        machine.passes(3_600)
        assert (await send(7, new, "new"))[1]["accepted"] == 1
        machine.passes(86_400)
        assert (await send(8, new, "new"))[0] == 503
