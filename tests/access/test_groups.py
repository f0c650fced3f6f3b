"""What groups may do: the strongest role, for the apps of those that give it; and claims as providers send them."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.access.groups import Grant, granted
from sidecar.access.oidc.claims import groups_of, name_of
from sidecar.access.policy import PEOPLE
from sidecar.settings import GroupSettings
from sidecar.settings.provider_settings import ROLES

SETTINGS = GroupSettings(
    roles={"all": "viewer", "eu": "support", "us": "support", "world": "support", "one": "operator", "root": "admin"},
    apps={"eu": (7,), "us": (8, 9), "one": (7,)},
)


def test_the_settings_know_the_roles_of_people() -> None:
    assert tuple(PEOPLE) == ROLES


@pytest.mark.parametrize(
    ("groups", "grant"),
    [
        (["all"], Grant("viewer", None)),
        (["eu", "us"], Grant("support", frozenset({7, 8, 9}))),
        (["eu", "world"], Grant("support", None)),
        (["world", "one"], Grant("operator", frozenset({7}))),
        (["one", "root", "eu"], Grant("admin", None)),
        (["cleaners", "all"], Grant("viewer", None)),
        (["cleaners", "All", ""], None),
        ([], None),
    ],
)
def test_the_strongest_role_counts_for_the_apps_of_the_groups_that_give_it(
    groups: list[str], grant: Grant | None
) -> None:
    assert granted(SETTINGS, groups) == grant
    assert granted(SETTINGS, reversed(groups)) == grant


@pytest.mark.parametrize(
    ("claims", "path", "groups"),
    [
        ({"groups": ["a", "b"]}, "groups", ("a", "b")),
        ({"groups": ["a", 7, None, ["b"]]}, "groups", ("a",)),
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", ("a",)),
        ({"urn:zitadel:iam:org:project:roles": {"a": {"1": "x"}}}, "urn:zitadel:iam:org:project:roles", ("a",)),
        ({"https://example.com/groups": ["a"]}, "https://example.com/groups", ("a",)),
        ({"hd": "example.com"}, "hd", ("example.com",)),
        ({"email": "dana@example.com", "email_verified": True}, "email", ("dana@example.com",)),
        ({"email": "dana@example.com"}, "email", None),
        ({"email": "dana@example.com", "email_verified": "true"}, "email", None),
        ({"realm_access": ["roles"]}, "realm_access.roles", None),
        ({}, "groups", None),
        ({"groups": None}, "groups", None),
        ({"groups": 7}, "groups", ()),
        ({"groups": [str(number) for number in range(1_001)]}, "groups", tuple(map(str, range(1_000)))),
    ],
)
def test_groups_are_found_where_providers_put_them(
    claims: dict[str, Any], path: str, groups: tuple[str, ...] | None
) -> None:
    assert groups_of(claims, path) == groups


def test_a_name_is_what_colleagues_would_recognise() -> None:
    claims = {"sub": "7", "name": " ", "preferred_username": "dana", "email": "d@example.com"}
    assert name_of(claims) == "dana"
    assert name_of({"sub": "7", "name": 7}) == ""
