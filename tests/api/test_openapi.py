"""``schemas/openapi.json`` is right: it has every route, and real responses, errors among them, match it."""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import pytest
import schemathesis

from sidecar import alerting, api
from sidecar.access import Authenticator
from sidecar.clock import now_us
from sidecar.domain.app_ids import AppIds
from sidecar.domain.events import HEARTBEAT
from sidecar.errors import StoreUnavailableError
from sidecar.ingest.wire_events import TYPES
from sidecar.settings import Settings
from sidecar.store import Store
from sidecar.web.changes import Hub
from tests.support.people import EVERYBODY, headers_of
from tests.support.process import DATABASE, serving
from tests.support.running import Zimwatch
from tests.support.tokens import new_token
from tests.support.vectors import SCHEMAS, schema, vectors
from tests.support.wire import wire_event
from tests.update_openapi import updated

APP = 1234567890
FUZZED_WITHIN_S = 600
DOCUMENT: dict[str, Any] = schema("openapi.json")
EVENTS_OF_A_USER = "/v1/users/{app_id}/{user_id}/events"


def closed(part: Any) -> Any:
    """A schema in which no object may have a field that is not described."""
    if isinstance(part, list):
        return [closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    made = {name: closed(value) for name, value in part.items()}
    if isinstance(part.get("properties"), dict) and part.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


CLOSED = closed(DOCUMENT)


async def check(path: str, response: aiohttp.ClientResponse) -> Any:
    """Checks the type, headers and body of a response against the document."""
    documented = CLOSED["paths"][path][response.method.lower()]["responses"]
    assert str(response.status) in documented, f"{response.method} {path} may not answer {response.status}"
    of_status = documented[str(response.status)]
    for name in of_status.get("headers", {}):
        assert name in response.headers
    if "content" not in of_status:
        return None
    assert response.content_type in of_status["content"]
    if not response.content_type.endswith("json"):
        return await response.text()
    body = await response.json(content_type=None)
    body_schema = of_status["content"][response.content_type]["schema"]
    jsonschema.Draft202012Validator({**body_schema, "components": CLOSED["components"]}).validate(body)
    return body


def test_it_is_openapi_and_its_schemas_are_json_schema() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    for part in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(part)


def test_its_event_is_the_one_of_the_wire() -> None:
    wire = schema("event.v1.json")
    assert updated(schema("openapi.json"), wire) == DOCUMENT  # else: make schemas
    assert wire["properties"]["type"]["enum"] == [one["title"] for one in wire["oneOf"]] == list(TYPES)


async def test_it_has_every_route_of_the_api_and_no_other(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / DATABASE}", clock=now_us)

    async def no_metrics(_apps: AppIds) -> tuple[bytes, str]:
        return b"", ""

    settings = Settings()
    routes = api.routes(
        store,
        alerting.reaction_of(settings),
        settings,
        now_us,
        hub=Hub(store, Authenticator(store, settings, now_us)),
        metrics_text=no_metrics,
    )
    await store.close()
    application = aiohttp.web.Application()
    application.add_routes(routes)
    served = {
        (route.method, route.resource.canonical)
        for route in application.router.routes()
        if route.resource and route.method != "HEAD"
    }
    documented = {(method.upper(), path) for path, of_path in DOCUMENT["paths"].items() for method in of_path}
    assert documented == served


async def test_every_path_allows_the_methods_of_the_document_and_no_other(running: Zimwatch) -> None:
    for path, documented in DOCUMENT["paths"].items():
        url = path.format(app_id=APP, user_id="alice", id=1)
        for method in {"OPTIONS", "PUT"} - {method.upper() for method in documented}:
            async with running.http.request(method, url) as answer:
                allowed = answer.headers.get("Allow", "").split(",")
            assert answer.status == 405, path
            assert set(allowed) - {"HEAD"} == {method.upper() for method in documented}, path


async def test_answers_of_every_call_match_the_document(running: Zimwatch) -> None:
    events = [vector["event"] for vector in vectors("valid")]
    async with running.http.post("/v1/events", json=[*events, 7]) as answer:
        await check("/v1/events", answer)
    async with running.http.post("/v1/events?dry_run=1", json=events) as answer:
        await check("/v1/events", answer)
    async with running.http.options("/v1/events", headers={"Origin": "http://localhost:5173"}) as answer:
        await check("/v1/events", answer)
    for query in ("", "?limit=1", "?status=online&q=ali", f"?app_id={APP}&platform=Web&reason=SUCCESS"):
        async with running.http.get(f"/v1/users{query}") as answer:
            assert await check("/v1/users", answer)
    async with running.http.get(f"/v1/users/{APP}/alice") as answer:
        user = await check("/v1/users/{app_id}/{user_id}", answer)
        assert len(user["sessions"]) == 1
    kinds = set()
    for query in ("?limit=500", "?limit=2"):
        async with running.http.get(f"/v1/users/{APP}/alice/events{query}") as answer:
            page = await check(EVENTS_OF_A_USER, answer)
            kinds |= {event["type"] for event in page["events"]}
    assert kinds == set(TYPES) - {HEARTBEAT}
    files = [path for path in DOCUMENT["paths"] if path.startswith("/tap/")]
    for path in ("/v1/summary", "/livez", "/readyz", "/metrics", "/openapi.json", *files):
        async with running.http.get(path) as answer:
            assert await check(path, answer)
            tag = answer.headers.get("ETag")
    async with running.http.get(files[-1], headers={"If-None-Match": tag or ""}) as answer:
        assert answer.status == 304
        await check(files[-1], answer)
    async with running.http.get("/v1/stream") as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")


async def test_errors_of_every_call_are_problem_details_that_match_the_document(running: Zimwatch) -> None:
    json_type, large = {"Content-Type": "application/json"}, b" " * 1_100_000
    stranger = {"Origin": "https://attacker.example"}
    for body, headers, query, status in (
        (b"hello", json_type, "", 400),
        (b"[]", json_type, "?dry_run=yes", 400),
        (b"[]", json_type | stranger, "", 403),
        (large, json_type, "", 413),
        (b"<a/>", {"Content-Type": "application/xml"}, "", 415),
        (b"[]", json_type | {"Host": "attacker.example"}, "", 421),
    ):
        async with running.http.post(f"/v1/events{query}", data=io.BytesIO(body), headers=headers) as answer:
            assert answer.status == status
            assert (await check("/v1/events", answer))["status"] == status
    async with running.http.options("/v1/events", headers=stranger) as answer:
        assert (await check("/v1/events", answer))["status"] == 403
    for path, url, status in (
        ("/v1/users", "/v1/users?status=asleep", 400),
        ("/v1/users/{app_id}/{user_id}", "/v1/users/x/alice", 400),
        ("/v1/users/{app_id}/{user_id}", f"/v1/users/{APP}/nobody", 404),
        (EVENTS_OF_A_USER, f"/v1/users/{APP}/nobody/events", 404),
        ("/v1/stream", "/v1/stream?app_id=x", 400),
    ):
        async with running.http.get(url) as answer:
            assert answer.status == status
            assert (await check(path, answer))["status"] == status
    for path in DOCUMENT["paths"]:
        async with running.http.get(path, headers={"Host": "attacker.example"}) as answer:
            assert answer.status == (200 if path in {"/livez", "/readyz"} else 421)
            if "get" in DOCUMENT["paths"][path]:
                await check(path, answer)


async def test_refused_tokens_and_an_unavailable_store_match_the_document(
    running: Zimwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_events: object, _rejected: object = ()) -> None:
        raise StoreUnavailableError("the disk is full", retry_after_s=7)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "append", lambda _self, *given, **_named: away(*given))
        async with running.http.post("/v1/events", json=[wire_event()]) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
            await check("/v1/events", answer)
    with monkeypatch.context() as patched:
        patched.setattr(Store, "problem", property(lambda _self: "the disk is full"))
        async with running.http.get("/readyz") as answer:
            assert "the log" in (await check("/readyz", answer))["reason"]
    _, ingest = await new_token(running.store, "ingest")
    _, bound = await new_token(running.store, "read", APP)
    guarded = [
        (path, method)
        for path, of_path in DOCUMENT["paths"].items()
        for method, documented in of_path.items()
        if documented.get("security") != []
    ]
    assert ("/v1/events", "post") in guarded
    for path, method in guarded:
        url = path.format(app_id=1, user_id="alice", id=1)
        # A reader may ask in the chat.
        wrong = bound if method == "post" and path != "/v1/chatops" else ingest
        for headers, status in (({}, 401), ({"Authorization": f"Bearer {wrong}"}, 403)):
            async with running.http.request(method, url, headers=headers) as answer:
                assert answer.status == status, path
                await check(path, answer)
    for path in ("/v1/users/{app_id}/{user_id}", EVENTS_OF_A_USER):
        url = path.format(app_id=1, user_id="alice")
        async with running.http.get(url, headers={"Authorization": f"Bearer {bound}"}) as answer:
            assert answer.status == 403
            await check(path, answer)


# Of the checks, `negative_data_rejection` is left out for the ingest call: that one refuses an event by name in a 200;
# and `positive_data_acceptance` for the list of users, some of whose parameters need another one.
FUZZED = {
    "ingest": ("--include-path=/v1/events", "--checks=all", "--exclude-checks=negative_data_rejection"),
    "read users": ("--include-path=/v1/users", "--checks=all", "--exclude-checks=positive_data_acceptance"),
    "read": ("--exclude-path=/v1/events", "--exclude-path=/v1/stream", "--exclude-path=/v1/users", "--checks=all"),
}
IN_THE_SCHEMA = ",".join(
    f"{one}_conformance" for one in ("status_code", "content_type", "response_headers", "response_schema")
)
IN_THE_DOCUMENT = ("--exclude-path=/v1/stream", f"--checks=not_a_server_error,{IN_THE_SCHEMA}")


@pytest.mark.soak
@pytest.mark.parametrize("scope", FUZZED)
async def test_responses_to_requests_of_schemathesis_match_the_document(tmp_path: Path, scope: str) -> None:
    await fuzzed(tmp_path, scope.split(maxsplit=1)[0], 60, *FUZZED[scope])


@pytest.mark.soak
@pytest.mark.parametrize("who", EVERYBODY)
async def test_whoever_sends_what_schemathesis_makes_gets_what_the_document_says(tmp_path: Path, who: str) -> None:
    await fuzzed(tmp_path, who, 6, *IN_THE_DOCUMENT)


async def fuzzed(folder: Path, who: str, examples: int, *options: str) -> None:
    """Has schemathesis send requests as ``who``; asserts that it found nothing."""
    async with serving(folder) as (address, _):
        store = Store.open(f"sqlite:///{folder / DATABASE}", clock=now_us, attach=True)
        await new_token(store, "ingest")  # so that nobody is let in without one
        headers = await headers_of(store, who)
        await store.close()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "run", str(SCHEMAS / "openapi.json"), "--url", address),
            *(f"--max-examples={examples}", "--generation-deterministic"),
            *("--phases=examples,coverage,fuzzing", "--no-color"),
            *options,
            *(part for name, value in headers.items() for part in ("-H", f"{name}: {value}")),
            cwd=folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), FUZZED_WITHIN_S)
        assert process.returncode == 0, output.decode()


async def test_a_parameter_that_a_call_does_not_have_is_refused_by_name(running: Zimwatch) -> None:
    await running.send([wire_event()])
    taking = {
        path: [one["name"] for one in operations["get"].get("parameters", []) if one["in"] == "query"]
        for path, operations in DOCUMENT["paths"].items()
        if "get" in operations
    }
    lists = {path: names for path, names in taking.items() if names and path not in {"/v1/stream", "/v1/user-export"}}
    assert len(lists) > 5
    for path, names in (lists | {"/v1/summary": []}).items():
        url = path.format(app_id=APP, user_id="alice")
        for query, why in (
            ("as_of=2026-11-23T14:03:20Z", "no parameter as_of"),
            *((f"{name}=x&{name}=x", f"{name} is there more than once") for name in names),
        ):
            async with running.http.get(f"{url}?{query}") as answer:
                assert answer.status == 400
                assert why in (await check(path, answer))["detail"]
