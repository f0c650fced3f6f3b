"""The table of roles and actions, and the routes that declare an action of it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from sidecar.access import routing
from sidecar.access.policy import PEOPLE, POLICY, SCOPES, Action, Role
from sidecar.access.principal import acting, begin, principal_of
from sidecar.errors import ZimwatchError

ROOT = Path(__file__).parents[2]


def test_each_role_of_people_may_do_what_the_one_before_it_may() -> None:
    for less, more in itertools.pairwise(PEOPLE):
        assert POLICY[less] < POLICY[more]


def test_an_administrator_may_do_all_that_a_person_may() -> None:
    assert POLICY[Role.ADMIN] == frozenset(Action) - {Action.INGEST, Action.FORWARD}


def test_no_token_may_do_what_only_an_administrator_may() -> None:
    of_admins = POLICY[Role.ADMIN] - POLICY[Role.OPERATOR]
    assert not [scope for scope in SCOPES if POLICY[scope] & of_admins]


def test_an_ingest_token_may_send_events_and_nothing_else() -> None:
    assert POLICY[Role.INGEST] == {Action.INGEST}


def test_a_read_token_changes_nothing() -> None:
    assert POLICY[Role.READ] == {Action.SEE_COUNTS, Action.SEE_USERS, Action.SHARE}


def test_an_application_with_a_route_that_declares_nothing_is_refused() -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response()

    application = web.Application()
    application.add_routes([routing.get("/known", answer, Action.SEE_COUNTS), web.get("/forgotten", answer)])
    with pytest.raises(ZimwatchError, match="GET /forgotten"):
        routing.check(application.router)


def test_head_needs_what_get_needs() -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response()

    application = web.Application()
    application.add_routes(
        [routing.get("/one", answer, Action.SEE_USERS), routing.post("/one", answer, Action.ACKNOWLEDGE)]
    )
    needed = {route.method: routing.declared_by(route) for route in application.router.routes()}
    assert needed["HEAD"] == needed["GET"] == routing.Declared(Action.SEE_USERS)
    assert needed["POST"] == routing.Declared(Action.ACKNOWLEDGE)


def test_the_documented_table_is_that_of_the_code() -> None:
    text = (ROOT / "docs/security.md").read_text()
    heading, rows = None, {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == len(Role) and cells[0] == "":
            heading = [Role(cell) for cell in cells[1:]]
        elif heading and cells[0].startswith("`") and len(cells) == len(Role):
            action = Action(cells[0].split("`")[1])
            rows[action] = {role for role, cell in zip(heading, cells[1:], strict=True) if cell}
    assert set(rows) == set(Action)
    for role in set(Role) - {Role.LOCAL}:
        assert {action for action, roles in rows.items() if role in roles} == POLICY[role]


async def test_a_request_without_a_principal_is_never_taken_for_one_that_may_do_everything() -> None:
    request = make_mocked_request("GET", "/")
    begin(request, None)
    with pytest.raises(LookupError):
        principal_of(request)
    with pytest.raises(LookupError):
        acting()
