"""``check-config`` names all that keeps ``serve`` from serving, or a message from being sent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

import pytest

from sidecar.alerting.notify.template_check import template_problems
from sidecar.alerting.receivers import RECEIVER_SETTINGS
from sidecar.cli.commands import command
from sidecar.settings import MASK, load, without_password

RECEIVER = """
[[alerts.receivers]]
name = "ops"
type = "webhook"
url = "http://127.0.0.1:9/hook"
"""
ROUTE = '[[alerts.routes]]\nreceivers = ["ops"]\nmatch = '
COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


def zimwatch(folder: Path, *arguments: str, **environ: str) -> Any:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ZIMWATCH_", "OTEL_"))}
    return subprocess.run(
        [sys.executable, "-m", "sidecar", *arguments],
        cwd=folder,
        env=clean | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run(folder: Path, command: str, text: str, **environ: str) -> Any:
    config = folder / "settings.toml"
    config.write_text(text)
    return zimwatch(folder, command, "--config", str(config), **environ)


WRONG: dict[str, tuple[str, dict[str, str], str]] = {
    "a kind": (f'{RECEIVER}{ROUTE}{{ kind = "kicked_ot" }}', {}, "kicked_ot"),
    "headers": ("", COLLECTOR | {"OTEL_EXPORTER_OTLP_HEADERS": "team=chat,authorization Bearer s3cret"}, "_HEADERS"),
    "a timeout of nothing": ("", COLLECTOR | {"OTEL_EXPORTER_OTLP_TIMEOUT": "0"}, "_TIMEOUT"),
    "a timeout that is no number": ("", COLLECTOR | {"OTEL_EXPORTER_OTLP_TIMEOUT": "nan"}, "_TIMEOUT"),
    "an endpoint without a host": ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://:4318"}, "_ENDPOINT"),
    "an endpoint with a wrong port": ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:431800"}, "_ENDPOINT"),
    "a certificate": ("", COLLECTOR | {"OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere/ca.pem"}, "certificates"),
    "a path of its own": ('[server]\npublic_url = "https://ops.example.com/v1/x"', {}, "must not begin with /v1"),
    "a folder of backups": (
        '[backups]\nfolder = "/nowhere/backups"',
        {},
        "backups.folder must be in a folder that exists",
    ),
}


def test_all_problems_are_named_at_once_by_both_commands(tmp_path: Path) -> None:
    text = """
[server]
host = "0.0.0.0"
prot = 7
[retention]
events = "soon"
[alerts]
heartbeat_url = "http://10.9.8.7/x"
[[alerts.receivers]]
name = "ops"
type = "webhook"
url = "http://169.254.169.254/hook"
template = "{{ 9**99999 }}"
[[alerts.receivers]]
name = "other"
type = "apprise"
url = "nosuch://x"
[[alerts.routes]]
match = { kind = ["kicked_ot", "client_*"], severity = "grave" }
receivers = ["ops", "nobody"]
timezone = "Europe/Nowhere"
"""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}
    results = [run(tmp_path, command, text, **environ) for command in ("check-config", "serve")]
    assert [one.returncode for one in results] == [2, 2]
    assert results[0].stderr == results[1].stderr
    for named in (
        "server.prot",
        "retention.events",
        "alerts.heartbeat_url is refused",
        "alerts.receivers[0].url is refused",
        "alerts.receivers[0].template",
        "alerts.receivers[1].url",
        "kicked_ot",
        "grave",
        "nobody",
        "alerts.routes[0].timezone",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ):
        assert named in results[0].stderr, named
    assert "'client_*'" not in results[0].stderr
    assert not [
        line for line in results[0].stderr.splitlines() if "OTEL_" not in line and "settings.toml)." not in line
    ]


def test_one_wrong_key_of_a_table_hides_nothing_else_that_is_wrong(tmp_path: Path) -> None:
    text = """
[[alerts.receivers]]
name = "chat"
type = "slak"
[[alerts.receivers]]
name = "mail"
type = "email"
sender = "a@example.com"
[[alerts.receivers]]
name = "mail"
type = "webhook"
url = "http://172.16.5.4/hook"
secrets = "whsec_x"
secret = "whsec_not base64"
template = "{{ alert.nothing.at_all }}"
[[alerts.routes]]
receivers = ["chat", "mail", "pager"]
match = { severity = "urgent" }
hours = "9-17"
timezone = "Atlantis/Main"
"""
    errors = run(tmp_path, "check-config", text).stderr
    for named in (
        "receivers[0].type",
        "receivers[1].host is missing",
        "receivers[1].to is missing",
        "receivers[2].name is mail, which is the name of another",
        "receivers[2].url is refused",
        "receivers[2].secrets",
        "receivers[2].secret must be",
        "receivers[2].template fails",
        "routes[0].receivers names pager",
        "routes[0].match.severity has 'urgent'",
        "routes[0].hours",
        "routes[0].timezone",
    ):
        assert f"alerts.{named}" in errors, named
    assert len(errors.splitlines()) == 12, errors
    assert not [line for line in errors.splitlines() if not line.endswith("settings.toml).")]
    assert not [line for line in errors.splitlines() if line.endswith("..")]


@pytest.mark.parametrize("what", WRONG)
def test_check_config_finds_what_serve_refuses(tmp_path: Path, what: str) -> None:
    text, environ, named = WRONG[what]
    result = run(tmp_path, "check-config", text, **environ)
    assert (result.returncode, named in result.stderr) == (2, True), result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert environ or "settings.toml)." in result.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVER__PUBLIC_URL", "https://ops.example.com/zimwatch\n"),
        ("SERVER__HOST", "127.0.0.1\n"),
        ("SERVER__TRUSTED_PROXIES", "10.0.0.1\n"),
        ("INGEST__ALLOWED_ORIGINS", "https://app.example.com\n"),
    ],
)
def test_a_line_end_behind_a_value_is_no_part_of_it(name: str, value: str) -> None:
    """As in a secret file of Kubernetes."""
    loaded = load(None, {f"ZIMWATCH_{name}": value}, {})
    assert not [shown for _, shown, _ in loaded.shown() if "\\n" in shown or "\n" in shown]


def test_any_address_is_accepted_with_and_without_a_token_and_the_database_stays_as_it_was(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'zimwatch.db'}"
    text = f'[server]\nhost = "0.0.0.0"\n[database]\nurl = "{url}"'
    assert run(tmp_path, "check-config", text).returncode == 0
    made = zimwatch(tmp_path, "token", "create", "--scope", "read", "--database-url", url)
    assert made.returncode == 0, made.stderr
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    result = run(tmp_path, "check-config", text)
    assert result.returncode == 0, result.stderr
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before


def test_utc_needs_no_time_zone_data_and_others_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    route = '[[alerts.routes]]\nreceivers = ["ops"]\nhours = "09:00-17:00"\n'
    assert run(tmp_path, "check-config", RECEIVER + route, PYTHONTZPATH="").returncode == 0
    monkeypatch.setattr("zoneinfo.available_timezones", set)
    monkeypatch.setattr("zoneinfo.ZoneInfo", _nowhere)
    from sidecar.errors import SettingsError  # noqa: PLC0415

    config = tmp_path / "settings.toml"
    config.write_text(f'{RECEIVER}{route}timezone = "Europe/Berlin"\n')
    with pytest.raises(SettingsError, match="no time zone data: install tzdata"):
        load(config, {}, {}, RECEIVER_SETTINGS)


def _nowhere(name: str) -> None:
    raise ZoneInfoNotFoundError(name)


LOOPS = "{% for i in range(999) %}" * 3 + "{% endfor %}" * 3
COSTLY = (
    "{{ 9**99999 }}",
    "{{ 2 ** 3 }}",
    "{% for i in range(9) recursive %}{{ loop([1]) }}{% endfor %}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{% for i in range(10000000) %}x{% endfor %}",
    LOOPS,
    "{{ 'x' * 1000000000 }}",
    "{{ 1000000000 * [1] }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '{:>3000000000}'.format(1) }}",
    "{{ 'x' | center(3000000000) }}",
    "{{ alert.nothing }}",
    "{{ 1 / 0 }}",
    "{{ alert.__class__.__mro__ }}",
    "{% include '/etc/passwd' %}",
)
USEFUL = (
    "{{ alert.summary }} {{ user_url }}",
    "{{ what }}: {% for one in alerts[:10] %}- {{ one.summary | upper }}\n{% endfor %}",
    "{% if end_reason %}{{ end_reason }}{% endif %}{{ lasted or '' }}",
    "{{ 60 * 2 }} {{ 'ab' * 3 }} {{ 7 % 3 }} {% for i in range(5) %}{{ i }}{% endfor %}",
)


def test_a_template_that_fails_or_costs_without_bound_is_refused_and_others_are_not() -> None:
    found = template_problems([*COSTLY, *USEFUL])
    assert [text for text, why in zip(COSTLY, found[: len(COSTLY)], strict=True) if why is None] == []
    assert found[len(COSTLY) :] == [None] * len(USEFUL)
    assert found[COSTLY.index(LOOPS)] == "takes longer than 1 s to make a message"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ops:9000/hook?to=a@b", "http://ops:9000/hook?to=a@b"),
        ("https://dana:hunter2@ops/x", f"https://dana:{MASK}@ops/x"),
        ("https://dana:hunt@er2@ops/x", f"https://dana:{MASK}@ops/x"),
        ("https://dana:hunt/er2@ops/x", f"https://dana:{MASK}@ops/x"),
        ("https://dana:hunt?er#2@ops:8443/x", f"https://dana:{MASK}@ops:8443/x"),
        ("https://dana:h@unt/er2@ops/x", f"https://dana:{MASK}@ops/x"),
        ("https://hunter2@ops/x", f"https://{MASK}@ops/x"),
        ("http://[::1]:9000/a@b", "http://[::1]:9000/a@b"),
        ("https://hop/x?to=http://dana:hunter2@ops/x", f"https://hop/x?to=http://dana:{MASK}@ops/x"),
        ("http://hop:80/https://hunter2@ops/x", f"http://hop:80/https://{MASK}@ops/x"),
        ("sqlite:////data/a@b.db", "sqlite:////data/a@b.db"),
        ("a@b", "a@b"),
    ],
)
def test_a_password_in_an_address_is_masked_and_nothing_else(text: str, shown: str) -> None:
    assert without_password(text) == shown


def test_settings_are_shown_each_by_itself_and_unset_secrets_as_unset(tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text("""
[[alerts.receivers]]
name = "am"
type = "alertmanager"
url = "http://10.0.0.1:9093"
[[alerts.receivers]]
name = "mail"
type = "email"
host = "mail.example.com"
sender = "z@example.com"
to = ["ops@example.com"]
[[alerts.receivers]]
name = "hook"
type = "webhook"
url = "https://dana:hunt/er2@hooks.example.com/hunter2"
""")
    shown = {key: value for key, value, _ in load(config, {}, {}, RECEIVER_SETTINGS).shown()}
    assert "http://10.0.0.1:9093" in shown["alerts.receivers"]
    assert "ops@example.com" in shown["alerts.receivers"]
    assert "hunt" not in shown["alerts.receivers"]
    assert "https://hooks.example.com/" + MASK in shown["alerts.receivers"]
    unset = ("zego.callback_secrets", "zego.server_secrets", "alerts.chatops_secret", "alerts.heartbeat_url")
    assert not [key for key in unset if MASK in shown[key]]


def test_check_config_takes_every_option_of_serve(tmp_path: Path) -> None:
    found = zimwatch(
        tmp_path, "check-config", "--forward-to", "https://centre.example.com", ZIMWATCH_FORWARD__TOKEN="x"
    )
    assert 'forward.url = "https://centre.example.com"' in found.stdout
    without = zimwatch(tmp_path, "check-config", "--forward-to", "https://centre.example.com")
    assert (without.returncode, "forward.token must be given" in without.stderr) == (2, True)
    served, checked = (
        {name for each in command(one).params for name in each.opts} for one in ("serve", "check-config")
    )
    assert served == checked
