"""The names of apps, and the address of a user in the back office, as they are given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sidecar.errors import SettingsError
from sidecar.settings import load

FILE = """
[apps]
user_url_template = "https://office.example.com/{app_id}/{user_id}"
[apps.names]
1234567890 = "Prod chat"
7 = "生产"
"""
NAMES, TEMPLATE = "ZIMWATCH_APPS__NAMES", "ZIMWATCH_APPS__USER_URL_TEMPLATE"


def test_the_names_of_a_file_are_by_app_id(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(FILE, encoding="utf-8")
    apps = load(tmp_path / "a.toml", {}, {}).settings.apps.apps()
    assert apps.names == {1234567890: "Prod chat", 7: "生产"}
    assert apps.user_url(7, "a/b") == "https://office.example.com/7/a%2Fb"


def test_the_names_of_the_environment_are_json(tmp_path: Path) -> None:
    given = {"1234567890": 'Prod, "chat"', "0": "Zero"}
    (tmp_path / "names").write_text(json.dumps(given), encoding="utf-8")
    for environ in ({NAMES: json.dumps(given)}, {f"{NAMES}_FILE": str(tmp_path / "names")}):
        assert load(None, environ, {}).settings.apps.apps().names == {1234567890: 'Prod, "chat"', 0: "Zero"}


@pytest.mark.parametrize("given", ["Prod chat", "7:Prod", "[]", "null", '{"7": 8}'])
def test_what_is_no_table_of_names_is_refused_by_name(given: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(None, {NAMES: given}, {})
    assert str(error.value).startswith("apps.names must be a table of AppIDs and names")


@pytest.mark.parametrize(
    ("app_id", "name"),
    [
        *(
            ("x", "Prod"),
            ("07", "Prod"),
            ("-7", "Prod"),
            ("9" * 20, "Prod"),
            (str(2**63), "Prod"),
            ("7", ""),
            ("7", " Prod"),
            ("7", "Prod "),
        ),
        *(("7", "8"), ("7", "a\nb"), ("7", "x" * 61), ("7", "\u202eabc")),
    ],
)
def test_a_wrong_entry_is_named_and_the_others_are_not(app_id: str, name: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(None, {NAMES: json.dumps({"1": "Test", app_id: name})}, {})
    (problem,) = error.value.problems
    assert problem.startswith("apps.names: ")
    assert repr(app_id if app_id != "7" else name) in problem


@pytest.mark.parametrize("app_id", ["x", "07", "-7", str(2**63)])
def test_an_app_that_is_none_is_named_in_the_retention_of_apps(app_id: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(None, {"ZIMWATCH_RETENTION__APPS": json.dumps({"1": "1d", app_id: "1d"})}, {})
    assert [app_id in problem for problem in error.value.problems] == [True]


def test_one_name_for_two_apps_is_refused() -> None:
    with pytest.raises(SettingsError) as error:
        load(None, {NAMES: '{"7": "Prod", "8": "PROD", "9": "Test"}'}, {})
    assert len(error.value.problems) == 2


@pytest.mark.parametrize(
    "given",
    [
        "javascript:alert('{user_id}')",
        "ftp://office.example.com/{user_id}",
        "//office.example.com/{user_id}",
        "/users/{user_id}",
        "https://{user_id}.example.com/",
        "https://{user_id}/",
        "https://office.example.com{user_id}",
        "https://office.example.com/",
        "https://office.example.com/{app_id}",
        "https://office.example.com/{name}/{user_id}",
        "https://office.example.com/{user_id}}",
        "https://office.example.com/{{user_id}}",
        "https://office.example.com/a b/{user_id}",
        "https:///{user_id}",
    ],
)
def test_a_template_that_could_lead_elsewhere_is_refused_at_the_start(given: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(None, {TEMPLATE: given}, {})
    assert str(error.value).startswith("apps.user_url_template must be the address of a user")


@pytest.mark.parametrize(
    "given", ["https://x/{user_id}", "http://127.0.0.1:80?u={user_id}&a={app_id}", "https://x/#/{app_id}/{user_id}/y"]
)
def test_a_template_of_http_is_taken(given: str) -> None:
    assert load(None, {TEMPLATE: given}, {}).settings.apps.user_url_template == given
