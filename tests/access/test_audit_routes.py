"""Every route is in the table of the audit log, or has a reason not to be."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sidecar import web_application
from sidecar.access.audit.routes import NOT_RECORDED, RECORDED, key_of
from sidecar.access.policy import Action
from sidecar.access.routing import declared_by
from sidecar.alerting import reaction_of
from sidecar.clock import now_us
from sidecar.settings import Settings
from sidecar.settings.provider_settings import OidcSettings
from tests.support.stores import opened

SETTINGS: Final = Settings(oidc=OidcSettings(issuer="https://id.example.com", client_id="zimwatch"))


async def test_every_route_is_recorded_or_has_a_reason_not_to_be(tmp_path: Path) -> None:
    store = opened(tmp_path)
    application = web_application.build(SETTINGS, store, reaction_of(Settings()), now_us, metrics_text=unread)
    await store.close()
    routes = {key_of(route): declared_by(route) for route in application.router.routes()}
    known = {*RECORDED, *NOT_RECORDED}
    assert sorted(key for key in routes if key not in known and key is not None) == []
    assert sorted(key for key in known if key not in routes) == [], "routes that are gone"
    assert not RECORDED.keys() & NOT_RECORDED.keys()
    shows_users = {key for key, one in routes.items() if one is not None and one.needed == Action.SEE_USERS}
    assert shows_users & NOT_RECORDED.keys() == {("GET", "/token")}, "an empty form"


async def unread(_apps: object) -> tuple[bytes, str]:
    raise NotImplementedError
