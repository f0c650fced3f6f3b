"""The sections ``oidc``, ``forward_auth`` and ``groups``: what is missing, wrong or contradictory is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.errors import SettingsError
from sidecar.settings import load

GROUPS = '[groups]\nroles = {sre = "operator"}\n'
OIDC = '[oidc]\nissuer = "https://id.example.com"\nclient_id = "zimwatch"\n'
TRUSTED = '[server]\ntrusted_proxies = ["10.0.0.5"]\n'


def problems(tmp_path: Path, text: str, **environ: str) -> list[str]:
    file = tmp_path / "zimwatch.toml"
    file.write_text(text, encoding="utf-8")
    try:
        load(file, environ, {})
    except SettingsError as error:
        return error.problems
    return []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[oidc]\nclient_id = 'x'\n", ["oidc.issuer must be given"]),
        (f"{GROUPS}[oidc]\nissuer = 'http://id.example.com'\nclient_id = 'x'\n", ["oidc.issuer must be an https URL"]),
        (f"{GROUPS}[oidc]\nissuer = 'https://id.example.com:99999'\nclient_id = 'x'\n", ["a port up to 65535"]),
        (f"{GROUPS}[oidc]\nissuer = 'https://me:pw@id.example.com'\n", ["oidc.issuer must be the provider's issuer"]),
        (f"{GROUPS}{OIDC}scopes = ['email']\n", ["oidc.scopes must have openid"]),
        (f"{GROUPS}{OIDC}scopes = ['open id']\n", ["oidc.scopes must be a list of scopes"]),
        (OIDC, ["groups.roles must have a group where oidc.issuer is given"]),
        (f"{OIDC}[groups]\nroles = {{sre = 'boss'}}\n", ["groups.roles must be a table of groups"]),
        (f"{GROUPS}apps = {{other = [7]}}\n", ["groups.apps has the group other"]),
        (f"{GROUPS}apps = {{sre = {list(range(1, 102))}}}\n", ["groups.apps has 101 apps for the role"]),
        (f"{GROUPS}apps = {{sre = []}}\n", ["groups.apps must be a table of groups"]),
        (f"{GROUPS}[forward_auth]\nenabled = true\n", ["server.trusted_proxies must name the proxy"]),
        (f"{TRUSTED}[forward_auth]\nenabled = true\n", ["groups.roles must have a group where forward_auth"]),
        ("[forward_auth]\nenabled = 1\n", ["forward_auth.enabled must be true or false"]),
        ("[forward_auth]\ngroups_separator = 'ab'\n", ["forward_auth.groups_separator must be one character"]),
        ("[forward_auth]\nuser_header = 'Remote User'\n", ["forward_auth.user_header must be a header's name"]),
        (
            f"{TRUSTED}{GROUPS}[forward_auth]\nenabled = true\nuser_header = 'remote-name'\n",
            ["another name for each of its headers"],
        ),
        (f"{OIDC}scopes = ['email']\n", ["oidc.scopes must have openid", "groups.roles must have a group"]),
    ],
)
def test_what_cannot_work_is_named(tmp_path: Path, text: str, named: list[str]) -> None:
    found = problems(tmp_path, text)
    assert len(found) == len(named)
    assert all(part in sentence for part, sentence in zip(named, found, strict=True)), found
    assert all(f"({tmp_path / 'zimwatch.toml'})." in sentence for sentence in found), found


@pytest.mark.parametrize(
    "text",
    [
        GROUPS + OIDC,
        f"{GROUPS}[oidc]\nissuer = 'http://127.0.0.1:8080/realms/x'\nclient_id = 'x'\n",
        f"{GROUPS}apps = {{sre = [7, 8]}}\n{OIDC}",
        f"{TRUSTED}{GROUPS}[forward_auth]\nenabled = true\ngroups_separator = '|'\n",
    ],
)
def test_what_can_work_is_taken(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text) == []


def test_all_of_it_can_come_from_the_environment(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n", encoding="utf-8")
    environ = {
        "ZIMWATCH_OIDC__ISSUER": "https://id.example.com",
        "ZIMWATCH_OIDC__CLIENT_ID": "zimwatch",
        "ZIMWATCH_OIDC__CLIENT_SECRET_FILE": str(secret),
        "ZIMWATCH_OIDC__SCOPES": "openid, groups",
        "ZIMWATCH_GROUPS__ROLES": '{"sre": "admin"}',
        "ZIMWATCH_GROUPS__APPS": '{"sre": [7]}',
    }
    loaded = load(None, environ, {})
    oidc, groups = loaded.settings.oidc, loaded.settings.groups
    assert (oidc.client_secret, oidc.scopes) == ("hunter2", ("openid", "groups"))
    assert (groups.roles, groups.apps) == ({"sre": "admin"}, {"sre": (7,)})
    assert "hunter2" not in str(list(loaded.shown()))
