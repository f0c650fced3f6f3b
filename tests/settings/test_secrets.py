"""Whatever setting can hold a secret is masked where settings are shown, unless it is named here as none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_type_hints

import msgspec
import pytest

from sidecar.alerting.receivers import RECEIVER_SETTINGS
from sidecar.alerting.receivers.alertmanager import AlertmanagerSettings
from sidecar.alerting.receivers.apprise import AppriseSettings
from sidecar.alerting.receivers.webhook import WebhookSettings
from sidecar.settings import MASK, Loaded, Settings, convert, load
from sidecar.settings.alert_settings import RouteSettings

WORD = "hunter2"
# Between them, every setting that takes text of its own takes one of these.
PROBES: tuple[Any, ...] = (
    WORD,
    f"a@{WORD}",
    f"7:{WORD}",
    f"sqlite:///{WORD}",
    *(f"{scheme}://example.com/{WORD}" for scheme in ("https", "wss")),
    f"https://example.com/?key={WORD}",
    f"https://example.com/{WORD}/{{trace_id}}",
    f"https://{WORD}.example.com",
    f"https://example.com/{WORD}/{{user_id}}",
    {"kind": WORD},
    {"7": WORD},
)
# What everybody who may see the settings may know: names, places (also that of a key's file), and the text of messages.
IN_THE_CLEAR = {
    "server.host",
    "server.public_url",
    "server.allowed_hosts",
    "server.tls_cert",
    "server.tls_key",
    "oidc.issuer",
    "oidc.client_id",
    "oidc.scopes",
    "oidc.groups_claim",
    "oidc.button",
    *(f"forward_auth.{name}_header" for name in ("user", "groups", "name", "email")),
    "database.url",
    "backups.folder",
    "privacy.redact_extended_data",
    "ingest.allowed_origins",
    "apps.names",
    "apps.user_url_template",
    "zego.server_url",
    "canary.user_id",
    "canary.network",
    "dashboard.trace_url_template",
    "forward.url",
    "forward.name",
    "alerts.off",
    "alerts.allowed_hosts",
    "alerts.routes.match",
    "alerts.routes.receivers",
    "alerts.routes.timezone",
    *(f"{kind}.{name}" for kind in RECEIVER_SETTINGS for name in ("name", "template")),
    "slack.channel",
    "slack.url",
    "pagerduty.url",
    "alertmanager.url",
    "email.host",
    "email.sender",
    "email.to",
    "email.username",
}
# In these the host is shown, and a host may be any word.
HOST_IS_SHOWN = {"alerts.heartbeat_url", "canary.token_url", "webhook.url"}


def kinds() -> Iterator[tuple[str, Any]]:
    """Every setting with its kind: ``section.key``, and in tables ``type.key``."""
    yield from ((key, hint) for key, hint in convert.HINTS.items() if key not in {"alerts.receivers", "alerts.routes"})
    for kind, struct in RECEIVER_SETTINGS.items():
        yield from ((f"{kind}.{name}", hint) for name, hint in get_type_hints(struct, include_extras=True).items())
    hints = get_type_hints(RouteSettings, include_extras=True)
    yield from ((f"alerts.routes.{name}", hint) for name, hint in hints.items())


def taken(hint: Any) -> Iterator[Any]:
    """The probes that a setting of this kind takes, alone or in a list."""
    for probe in PROBES:
        for value in (probe, [probe]):
            try:
                yield msgspec.convert(value, hint)
            except msgspec.ValidationError:
                continue


def test_what_can_hold_a_secret_is_masked_unless_it_is_known_to_be_none() -> None:
    shown_in_the_clear = {
        key
        for key, hint in kinds()
        for value in taken(hint)
        if WORD in str(convert.masked(hint, value)) and not (key in HOST_IS_SHOWN and WORD in str(value).split("/")[2])
    }
    assert shown_in_the_clear == IN_THE_CLEAR


@pytest.mark.parametrize("key", sorted(HOST_IS_SHOWN))
@pytest.mark.parametrize("rest", ["/ping/hunter2", "/?key=hunter2", "?key=hunter2", "/#hunter2", ""])
def test_only_the_host_of_a_url_that_gives_access_is_shown(key: str, rest: str) -> None:
    hint = dict(kinds())[key]
    assert convert.masked(hint, f"https://hunter2:hunter2@hc-ping.com:8443{rest}") == f"https://hc-ping.com:8443/{MASK}"


def test_a_password_in_an_address_is_masked_whatever_the_setting() -> None:
    url = "https://bob:hunter2@example.com/{trace_id}"
    settings = msgspec.convert(
        {
            "dashboard": {"trace_url_template": url},
            "canary": {"network": url.replace("https", "wss")},
        },
        Settings,
    )
    receivers = (
        WebhookSettings(name="a", url=url),
        AlertmanagerSettings(name="b", url=url),
        AppriseSettings(name="c", url=url),
    )
    alerts = msgspec.structs.replace(settings.alerts, receivers=receivers)
    loaded = load(None, {}, {})
    rows = Loaded(msgspec.structs.replace(settings, alerts=alerts), loaded.sources).shown()
    shown = [text for _, text, _ in rows if "example.com" in text]
    assert len(shown) == 3
    assert [text for text in shown if WORD in text] == []
