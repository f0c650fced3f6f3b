"""Checks of the alert settings before anything is served: addresses, receivers and templates."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.address_guard import AddressGuard
from sidecar.alerting.notify.template_check import template_problems
from sidecar.alerting.receivers import RECEIVERS
from sidecar.alerting.receivers.receiver import refusals
from sidecar.settings import Settings


def problems(settings: Settings) -> list[str]:
    """One sentence for each thing that would fail later. Host names are checked when they are resolved."""
    guard = AddressGuard(settings.alerts.allowed_hosts)
    return [*_addresses(settings, guard), *_receivers(settings, guard), *_templates(settings)]


def _addresses(settings: Settings, guard: AddressGuard) -> Iterator[str]:
    yield from refusals("alerts.heartbeat_url", settings.alerts.heartbeat_url, guard)
    yield from refusals("canary.token_url", settings.canary.token_url or "", guard)
    if settings.zego.server_secrets:
        yield from refusals("zego.server_url", settings.zego.server_url, guard)


def _receivers(settings: Settings, guard: AddressGuard) -> Iterator[str]:
    for number, one in enumerate(settings.alerts.receivers):
        # The loader has named a receiver of an unknown type.
        if (receiver := RECEIVERS.get(one.type_name)) is not None:
            yield from (f"alerts.receivers[{number}].{problem}" for problem in receiver.problems(one, guard))


def _templates(settings: Settings) -> Iterator[str]:
    templates = list(dict.fromkeys(one.template for one in settings.alerts.receivers if one.template is not None))
    found = dict(zip(templates, template_problems(templates), strict=True))
    for number, one in enumerate(settings.alerts.receivers):
        if one.template is not None and (why := found[one.template]) is not None:
            yield f"alerts.receivers[{number}].template {why}."
