"""The settings of alerts: lists of tables, each wrong key by its place, and secrets that are not shown."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest

from sidecar import alerting
from sidecar.alerting.receivers import RECEIVER_SETTINGS
from sidecar.domain.alerts.rules import RULES
from sidecar.domain.alerts.thresholds import Thresholds
from sidecar.errors import SettingsError
from sidecar.settings import MASK, load
from sidecar.settings.alert_settings import AlertSettings

RECEIVER = """
[[alerts.receivers]]
name = "ops"
type = "webhook"
url = "http://127.0.0.1:9000/hook"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""


def _toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(_toml(tmp_path, text), {}, {}, RECEIVER_SETTINGS)
    return caught.value.problems


def test_a_receiver_and_a_route_are_read(tmp_path: Path) -> None:
    text = f"""
[alerts]
group_wait = "0s"
{RECEIVER}
[[alerts.routes]]
match = {{ kind = ["kicked_out", "token_expired"], severity = ["critical"], app_id = [1234567890] }}
receivers = ["ops"]
hours = "09:00-17:30"
days = ["mon", "tue"]
timezone = "Asia/Shanghai"
"""
    settings = load(_toml(tmp_path, text), {}, {}, RECEIVER_SETTINGS).settings
    policy = alerting.policy_of(settings)
    assert policy.group_wait_us == 0
    assert policy.receivers == {"ops": 30}
    (route,) = policy.routes
    assert route.match["app_id"] == ("1234567890",)
    assert route.hours is not None
    assert route.hours.timezone == "Asia/Shanghai"


def test_the_defaults_of_the_settings_are_those_of_the_rules() -> None:
    assert alerting.policy_of(load(None, {}, {}, RECEIVER_SETTINGS).settings).thresholds == Thresholds()


def test_without_the_types_of_receivers_the_other_settings_are_read(tmp_path: Path) -> None:
    text = f'[server]\nport = 1\n{RECEIVER}[[alerts.routes]]\nreceivers = ["ops"]\n'
    settings = load(_toml(tmp_path, text), {}, {}).settings
    assert (settings.server.port, settings.alerts.receivers) == (1, ())


def test_receivers_may_come_from_the_environment_as_json_or_from_a_file_of_secrets(tmp_path: Path) -> None:
    text = json.dumps([{"name": "ops", "type": "apprise", "url": "tgram://123:abc/1"}])
    (tmp_path / "receivers.json").write_text(text, encoding="utf-8")
    for environ in (
        {"ZIMWATCH_ALERTS__RECEIVERS": text},
        {"ZIMWATCH_ALERTS__RECEIVERS_FILE": str(tmp_path / "receivers.json")},
    ):
        loaded = load(None, environ, {}, RECEIVER_SETTINGS)
        assert [one.name for one in loaded.settings.alerts.receivers] == ["ops"]
        assert "tgram" not in str(list(loaded.shown()))


def test_a_secret_in_a_receiver_is_masked_and_the_rest_is_shown(tmp_path: Path) -> None:
    loaded = load(_toml(tmp_path, RECEIVER), {}, {}, RECEIVER_SETTINGS)
    shown: dict[str, Any] = {key: value for key, value, _ in loaded.shown()}
    (receiver,) = json.loads(shown["alerts.receivers"])
    assert receiver == {
        "type": "webhook",
        "name": "ops",
        "most_per_minute": 30,
        "url": f"http://127.0.0.1:9000/{MASK}",
        "secret": MASK,
    }


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[[alerts.receivers]]\nname="a"\ntype="fax"', "alerts.receivers[0].type must be one of webhook"),
        ('[[alerts.receivers]]\nname="a"\ntype="webhook"', "alerts.receivers[0].url is missing"),
        (RECEIVER + 'colour = "red"', "Unknown setting alerts.receivers[0].colour"),
        (RECEIVER + "most_per_minute = 0", "alerts.receivers[0].most_per_minute must be a whole number"),
        (RECEIVER + 'template = "{{ x"', "alerts.receivers[0].template is no Jinja2 template"),
        (RECEIVER.replace("http://", "ftp://"), "alerts.receivers[0].url must be an http:// or https:// URL"),
        (RECEIVER.replace("whsec_MfKQ9r8", "whsec_!"), "alerts.receivers[0].secret must be whsec_ and base64"),
        (
            RECEIVER.replace("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", ""),
            "alerts.receivers[0].secret must be whsec_ and base64",
        ),
        ('[alerts]\nchatops_secret = "whsec_not base64"', "alerts.chatops_secret must be whsec_ and base64"),
        ('[alerts]\nchatops_secret = "whsec_é"', "alerts.chatops_secret must be whsec_ and base64"),
        (RECEIVER + RECEIVER, "alerts.receivers[1].name is ops, which is the name of another receiver"),
        ('[[alerts.routes]]\nreceivers = ["ops"]', "alerts.routes[0].receivers names ops, which is no receiver"),
        (
            RECEIVER + '[[alerts.routes]]\nreceivers = ["ops"]\nmatch = {colour = "red"}',
            "alerts.routes[0].match must be",
        ),
        (RECEIVER + '[[alerts.routes]]\nreceivers = ["ops"]\nhours = "9-17"', "alerts.routes[0].hours must be hours"),
        (RECEIVER + '[[alerts.routes]]\nreceivers = ["ops"]\ntimezone = "Mars"', "alerts.routes[0].timezone must be"),
        ('[alerts]\nreceivers = "ops"', "alerts.receivers must be a list of tables"),
        ('[alerts]\nmax_age = "0s"', "alerts.max_age must be a duration"),
        ("[alerts]\nstorm_share = 2", "alerts.storm_share must be a share"),
        ('[alerts]\noff = ["kick"]', "alerts.off must be a list of kinds"),
        (
            '[[alerts.receivers]]\nname="m"\ntype="email"\nhost="h"\nsender="a@b"\nto=["c@d"]\nusername="u"\ntls="none"',
            "alerts.receivers[0].password is missing",
        ),
    ],
)
def test_a_wrong_setting_is_named_by_its_place(tmp_path: Path, text: str, named: str) -> None:
    assert any(problem.startswith(named) for problem in _problems(tmp_path, text)), _problems(tmp_path, text)


def test_every_wrong_key_of_every_receiver_is_named_at_once(tmp_path: Path) -> None:
    text = '[[alerts.receivers]]\nname=1\ntype="slack"\n[[alerts.receivers]]\nname="b"\ntype="pagerduty"\nkey="x"'
    problems = "\n".join(_problems(tmp_path, text))
    for place in ("[0].name", "[0].token", "[0].channel", "[1].key", "[1].routing_key"):
        assert f"alerts.receivers{place}" in problems


def test_a_wrong_secret_is_not_shown(tmp_path: Path) -> None:
    text = RECEIVER.replace('secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"', "secret = 12345678")
    assert "12345678" not in "\n".join(_problems(tmp_path, text))


def _thresholds(rule: type) -> set[type]:
    """The thresholds that a rule declares: the argument of each generic base."""
    bases = [base for one in rule.__mro__ for base in getattr(one, "__orig_bases__", ())]
    return {argument for base in bases for argument in get_args(base) if isinstance(argument, type)}


@pytest.mark.parametrize("rule", RULES)
def test_the_thresholds_of_each_rule_are_thresholds_of_all(rule: type) -> None:
    assert all(issubclass(Thresholds, one) for one in _thresholds(rule))


def test_each_threshold_is_a_setting() -> None:
    assert {one.name.removesuffix("_us") for one in fields(Thresholds)} <= set(AlertSettings.__struct_fields__)
