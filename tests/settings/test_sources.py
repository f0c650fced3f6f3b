"""A problem of several settings names where each comes from, as one of a single setting does."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.alerting.receivers import RECEIVER_SETTINGS
from sidecar.errors import SettingsError
from sidecar.settings import load, with_sources

SERVER = "[server]\ntrusted_proxies = ['10.0.0.5']\n"
FORWARD_AUTH = "[forward_auth]\nenabled = true\nuser_header = 'Remote-Name'\n"
ASSERTION = "[[ingest.assertions]]\napp_id = 7\n"
SHORT = f"{ASSERTION}secret = 'short'\n"


@pytest.mark.parametrize(
    ("text", "environ", "end"),
    [
        ("[retention]\nevents = '7d'\napps = {7 = '8d'}", {}, "retention.events (FILE)."),
        ("[retention]\napps = {7 = '8d'}", {"RETENTION__EVENTS": "7d"}, "(FILE, ZIMWATCH_RETENTION__EVENTS)."),
        (
            "[backups]\nfolder = '.'\nevery = '72h'",
            {"ALERTS__BACKUP_OVERDUE": "48h"},
            "(ZIMWATCH_ALERTS__BACKUP_OVERDUE, FILE).",
        ),
        (
            "[backups]\nfolder = '.'\nevery = '72h'",
            {},
            "alerts.backup_overdue must be longer than backups.every, or 0s (FILE).",
        ),
        ("[forward]\nurl = 'https://centre.example'", {}, "a token of scope forward of the centre (FILE)."),
        ("[canary]\napp_id = 7\ntoken_url = 'https://tokens.example'", {}, "for the canary to log in (FILE)."),
        ("[oidc]\nclient_id = 'x'", {}, "oidc.issuer must be given where oidc.client_id is (FILE)."),
        (f"{SERVER}[groups]\nroles = {{sre = 'viewer'}}\n{FORWARD_AUTH}", {}, "for each of its headers (FILE)."),
        ("[server]\ntrusted_proxies = ['10.0.0']", {}, "10.0.0 is neither (FILE)."),
        ("[apps.names]\n7 = 'A'\n8 = 'a'", {}, "to app 8 and to another one (FILE)."),
        (f"{SHORT}{SHORT.replace('7', '8')}", {}, "ingest.assertions[1].secret must have 32 bytes at least (FILE)."),
        (f"{ASSERTION}secret_file = '/nowhere/key'", {}, "from /nowhere/key: No such file or directory (FILE)."),
        ("[alerts]\noff = ['kick']", {}, "edge_behind (FILE)."),
        ("", {"ALERTS__OFF": "kick"}, "edge_behind (ZIMWATCH_ALERTS__OFF)."),
        ("[[alerts.routes]]\nreceivers = ['ops']", {}, "ops, which is no receiver (FILE)."),
        ("[alerts]\nchatops_secret = 'whsec_!'", {}, "or any text without whsec_ (FILE)."),
    ],
)
def test_it_is_in_the_sentence(tmp_path: Path, text: str, environ: dict[str, str], end: str) -> None:
    file = tmp_path / "zimwatch.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(file, {f"ZIMWATCH_{name}": value for name, value in environ.items()}, {}, RECEIVER_SETTINGS)
    assert [one for one in caught.value.problems if one.endswith(end.replace("FILE", str(file)))], caught.value.problems


def test_a_sentence_about_no_setting_stays_as_it_is() -> None:
    sentence = "OTEL_EXPORTER_OTLP_TIMEOUT must be longer than 0."
    assert with_sources(sentence, {"server.host": "zimwatch.toml"}) == sentence
