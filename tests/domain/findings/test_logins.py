"""The calls of login of one client, and what settles them."""

from __future__ import annotations

from sidecar.domain.findings.logins import Login, logins
from tests.support.events import Phone


def test_a_login_is_pending_until_it_is_settled_and_further_calls_join_it() -> None:
    phone = Phone("alice", "other")
    first, again, connected = phone.login(0), phone.login(1), phone.says("CONNECTED", "SUCCESS", 2)
    result, second = phone.event("login_result", 2, details={"code": 0}), phone.login(9)
    refused = phone.event("login_result", 10, details={"code": 6_000_103})
    lost = phone.says("RECONNECTING", "LOGIN_INTERRUPTED", 1)
    own = [phone.event("api_error", 0), first, again, lost, connected, result, second]
    assert logins(own) == [Login(first, connected, (again,)), Login(second)]
    assert logins([*own, refused])[-1] == Login(second, refused)
    assert logins([]) == []


def test_a_later_login_is_joined_by_its_own_calls() -> None:
    phone = Phone("alice", "later")
    first, end, second, again = phone.login(0), phone.event("logout", 1), phone.login(2), phone.login(3)
    assert logins([first, end, second, again]) == [Login(first, end), Login(second, None, (again,))]
