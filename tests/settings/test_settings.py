"""The sources of settings, and the errors for wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.errors import SettingsError
from sidecar.settings import KEYS, MASK, Loaded, Settings, duration_us, environment_name, load, secrets_by_app, value_of


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _problems(path: Path | None = None, **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(path, environ, {})
    return caught.value.problems


def _shown(loaded: Loaded) -> dict[str, str]:
    return {key: value for key, value, _ in loaded.shown()}


def test_nothing_set_gives_the_defaults() -> None:
    loaded = load(None, {}, {})
    assert loaded.settings == Settings()
    assert set(loaded.sources.values()) == {"default"}
    assert set(loaded.sources) == set(KEYS)


def test_the_command_line_beats_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    path = _toml(tmp_path, '[server]\nport = 1\nhost = "::1"\n[leases]\nheartbeat = "1m"\n')
    environ = {"ZIMWATCH_SERVER__PORT": "2", "ZIMWATCH_SERVER__HOST": "127.0.0.2"}
    loaded = load(path, environ, {"server.port": 3, "server.host": None})
    assert (loaded.settings.server.port, loaded.settings.server.host) == (3, "127.0.0.2")
    assert loaded.settings.leases.leases().heartbeat_us == 60_000_000
    assert loaded.sources["server.port"] == "command line"
    assert loaded.sources["server.host"] == "ZIMWATCH_SERVER__HOST"
    assert loaded.sources["leases.heartbeat"] == str(path)


def test_a_file_called_zimwatch_toml_is_read_without_being_named(tmp_path: Path) -> None:
    (tmp_path / "zimwatch.toml").write_text("[server]\nport = 4321\n", encoding="utf-8")
    assert load(None, {}, {}).settings.server.port == 4321


def test_a_list_in_the_environment_is_separated_by_commas() -> None:
    loaded = load(None, {"ZIMWATCH_INGEST__ALLOWED_ORIGINS": "https://a.example, https://b.example:8443"}, {})
    assert loaded.settings.ingest.allowed_origins == ("https://a.example", "https://b.example:8443")


def test_keys_of_extended_data_may_come_from_the_environment() -> None:
    name = "ZIMWATCH_PRIVACY__REDACT_EXTENDED_DATA"
    assert load(None, {name: "nickname, token"}, {}).settings.privacy.redact_extended_data == ("nickname", "token")
    with pytest.raises(SettingsError) as error:
        load(None, {name: "k" * 101}, {})
    assert str(error.value).startswith("privacy.redact_extended_data must be a list of keys")


def test_every_wrong_and_unknown_key_is_named_at_once(tmp_path: Path) -> None:
    path = _toml(tmp_path, '[server]\nport = "8790"\ncolour = 1\n[nonsense]\na = 1\n[logs]\nlevel = "loud"\n')
    problems = _problems(path, ZIMWATCH_LEASES__SILENT="soon", ZIMWATCH_SERVER_PORT="1")
    text = "\n".join(problems)
    for key in ("server.port", "server.colour", "nonsense", "logs.level", "leases.silent", "ZIMWATCH_SERVER_PORT"):
        assert key in text
    assert len(problems) == 6


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ZIMWATCH_SERVER__PORT", "65536"),
        ("ZIMWATCH_SERVER__PORT", "80.5"),
        ("ZIMWATCH_SERVER__PORT", ""),
        ("ZIMWATCH_SERVER__HOST", ""),
        ("ZIMWATCH_SERVER__ALLOWED_HOSTS", "https://zim.example"),
        *(
            ("ZIMWATCH_SERVER__PUBLIC_URL", f"{url}")
            for url in (
                "ops.example.com",
                "ftp://ops.example.com",
                "https://bob:hunter2@ops.example.com",
                "https://ops.example.com/a?b",
                "https://ops.example.com/../a",
                "https://ops.example.com//a",
                "https://ops.example.com/a%2Fb",
                'https://ops.example.com/a"b',
                "https://ops.example.com/a;b",
                "https://ops.exämple.com/",
            )
        ),
        ("ZIMWATCH_SERVER__TRUSTED_PROXIES", "proxy.internal"),
        ("ZIMWATCH_SERVER__TRUSTED_PROXIES", "10.0.0.0/8/9"),
        ("ZIMWATCH_DATABASE__URL", "postgres://bob:hunter2@db/zim"),
        ("ZIMWATCH_DATABASE__URL", "sqlite://"),
        ("ZIMWATCH_INGEST__MAX_BODY_BYTES", "0"),
        ("ZIMWATCH_INGEST__ALLOWED_ORIGINS", "app.example"),
        ("ZIMWATCH_LEASES__HEARTBEAT", "0s"),
        ("ZIMWATCH_LEASES__HEARTBEAT", "45"),
        ("ZIMWATCH_CANARY__APP_ID", "0"),
        ("ZIMWATCH_CANARY__USER_ID", ""),
        ("ZIMWATCH_CANARY__TOKEN_URL", "ftp://bob:hunter2@tokens"),
        ("ZIMWATCH_CANARY__NETWORK", "http://127.0.0.1"),
    ],
)
def test_a_wrong_value_is_refused_by_its_key_and_not_repeated(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, {name: value}, {})
    (problem,) = caught.value.problems
    section, key = name.removeprefix("ZIMWATCH_").lower().split("__")
    assert problem.startswith(f"{section}.{key} must be ")
    assert name in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVER__TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/33"),
        ("SERVER__TRUSTED_PROXIES", "1.2.3"),
        ("SERVER__PUBLIC_URL", "https://[1.2.3.4]/"),
        ("SERVER__PUBLIC_URL", "https://ops.example.com:70000/"),
    ],
)
def test_what_has_the_form_of_an_address_and_is_none_is_refused_by_its_key(name: str, value: str) -> None:
    (problem,) = _problems(None, **{f"ZIMWATCH_{name}": value})
    assert problem.startswith(f"{name.lower().replace('__', '.')} must ")


def test_a_former_name_is_still_read_and_a_stronger_source_beats_it(tmp_path: Path) -> None:
    path = _toml(tmp_path, '[alerts]\npublic_url = "https://old.example"\n')
    assert load(path, {}, {}).settings.server.public_url == "https://old.example"
    stronger = {"ZIMWATCH_SERVER__PUBLIC_URL": "https://new.example/zimwatch"}
    assert load(path, stronger, {}).settings.server.public_url == "https://new.example/zimwatch"
    former = {"ZIMWATCH_ALERTS__PUBLIC_URL": "https://new.example"}
    assert load(path, former, {}).settings.server.public_url == "https://new.example"
    (problem,) = _problems(None, **stronger, **former)
    assert "server.public_url and its former name alerts.public_url differ" in problem
    assert load(None, {}, {}).settings.server.public_url == ""


def test_a_canary_needs_an_account_and_one_source_of_its_token_and_shows_neither() -> None:
    given = {"ZIMWATCH_CANARY__APP_ID": "7", "ZIMWATCH_CANARY__USER_ID": "canary"}
    assert "canary.token_command or canary.token_url" in _problems(None, **given)[0]
    given["ZIMWATCH_CANARY__TOKEN_COMMAND"] = "zim-token --secret hunter2"
    shown = _shown(load(None, given, {}))
    assert shown["canary.token_command"] == f'"{MASK}"'
    assert shown["canary.token_url"] == "null"
    assert "not both" in _problems(None, **given, ZIMWATCH_CANARY__TOKEN_URL="https://tokens")[0]
    assert "canary.user_id must be given" in _problems(ZIMWATCH_CANARY__TOKEN_URL="https://tokens/")[-1]


def test_a_file_that_is_missing_or_not_toml_is_named(tmp_path: Path) -> None:
    assert "away.toml cannot be read" in _problems(tmp_path / "away.toml")[0]
    assert "settings.toml is not TOML" in _problems(_toml(tmp_path, "server = ["))[0]
    assert "server must be a table" in _problems(_toml(tmp_path, "server = 1"))[0]


def test_a_default_file_that_cannot_be_read_is_named() -> None:
    """As in a folder that the user of a service may not enter. A loop of links is refused to root too."""
    Path("zimwatch.toml").symlink_to("zimwatch.toml")
    assert "zimwatch.toml cannot be read" in _problems()[0]


def test_a_secret_may_come_from_a_file_and_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("sqlite:///secret.db\n", encoding="utf-8")
    loaded = load(None, {"ZIMWATCH_DATABASE__URL_FILE": str(tmp_path / "url")}, {})
    assert loaded.settings.database.url == "sqlite:///secret.db"
    assert _shown(loaded)["database.url"] == f'"{MASK}"'


def test_secrets_of_apps_are_read_from_every_source_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "zego").write_text("7:from-a-file,8:another\n", encoding="utf-8")
    path = _toml(tmp_path, '[zego]\nserver_secrets = ["7:from-toml"]\n')
    loaded = load(path, {"ZIMWATCH_ZEGO__CALLBACK_SECRETS_FILE": str(tmp_path / "zego")}, {})
    assert secrets_by_app(loaded.settings.zego.callback_secrets) == {7: ("from-a-file",), 8: ("another",)}
    assert secrets_by_app(loaded.settings.zego.server_secrets) == {7: ("from-toml",)}
    shown = _shown(loaded)
    assert shown["zego.callback_secrets"] == shown["zego.server_secrets"] == f'"{MASK}"'
    assert secrets_by_app(("7:old", "7:new:er")) == {7: ("old", "new:er")}


@pytest.mark.parametrize("value", ["hunter2", "alice:hunter2", "12345678901:hunter2", "7:", "7: hunter2"])
def test_a_secret_that_names_no_app_is_refused_and_not_repeated(value: str) -> None:
    (problem,) = _problems(ZIMWATCH_ZEGO__CALLBACK_SECRETS=value)
    assert problem.startswith("zego.callback_secrets must be a list of AppID:secret")
    assert "hunter2" not in problem


def test_a_secret_file_that_is_missing_or_given_twice_is_named(tmp_path: Path) -> None:
    assert "ZIMWATCH_DATABASE__URL_FILE" in _problems(ZIMWATCH_DATABASE__URL_FILE=str(tmp_path / "away"))[0]
    twice = _problems(ZIMWATCH_DATABASE__URL_FILE="x", ZIMWATCH_DATABASE__URL="sqlite:///a.db")
    assert "database.url is given twice" in twice[0]


def test_what_kubernetes_puts_into_the_environment_is_no_setting() -> None:
    environ = {
        "ZIMWATCH_SERVICE_HOST": "10.0.0.1",
        "ZIMWATCH_SERVICE_PORT_HTTP": "8790",
        "ZIMWATCH_PORT": "tcp://10.0.0.1:8790",
        "ZIMWATCH_PORT_8790_TCP_ADDR": "10.0.0.1",
    }
    assert load(None, environ, {}).settings == Settings()


def test_a_value_is_shown_as_toml_would_have_it() -> None:
    shown = _shown(load(None, {}, {"server.allowed_hosts": ["zim.example"]}))
    assert shown["server.allowed_hosts"] == '["zim.example"]'
    assert shown["server.port"] == "8790"
    assert shown["database.url"] == '"sqlite:///zimwatch.db"'


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("500ms", 500_000),
        ("45s", 45_000_000),
        ("15m", 900_000_000),
        ("24h", 86_400_000_000),
        ("90d", 7_776_000_000_000),
    ],
)
def test_a_duration_has_a_unit(text: str, microseconds: int) -> None:
    assert duration_us(text) == microseconds


def test_every_setting_can_be_reached_by_its_key_and_has_a_name_in_the_environment() -> None:
    for key in KEYS:
        value_of(Settings(), key)
        section, name = key.split(".")
        assert environment_name(key) == f"ZIMWATCH_{section.upper()}__{name.upper()}"


def test_files_that_begin_with_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    (tmp_path / "zimwatch.toml").write_bytes(b"\xef\xbb\xbf[server]\nport = 9000\n")
    (tmp_path / "secret").write_bytes(b"\xef\xbb\xbf7:abc\r\n")
    loaded = load(tmp_path / "zimwatch.toml", {"ZIMWATCH_ZEGO__CALLBACK_SECRETS_FILE": str(tmp_path / "secret")}, {})
    assert (loaded.settings.server.port, loaded.settings.zego.callback_secrets) == (9000, ("7:abc",))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BACKUPS__EVERY", "30s", "backups.every must be 1m at least"),
        ("BACKUPS__KEEP_FOR", "1h", "backups.keep_for must not be shorter than backups.every"),
        ("BACKUPS__KEEP", "0", "backups.keep must be"),
        ("ALERTS__BACKUP_OVERDUE", "24h", "alerts.backup_overdue must be longer than backups.every"),
    ],
)
def test_backups_that_could_not_be_kept_or_would_always_be_overdue_are_refused(
    name: str, value: str, said: str
) -> None:
    environ = {"ZIMWATCH_BACKUPS__FOLDER": "backups"}
    assert load(None, {**environ, "ZIMWATCH_ALERTS__BACKUP_OVERDUE": "0s"}, {}).settings.backups.folder == "backups"
    (problem,) = _problems(None, **environ, **{f"ZIMWATCH_{name}": value})
    assert problem.startswith(said)
