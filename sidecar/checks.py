"""The checks of ``serve`` and ``check-config`` before anything is served; all problems are named at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from sidecar import telemetry
from sidecar.address_guard import AddressGuard
from sidecar.alerting import alert_checks
from sidecar.alerting.receivers.receiver import refusals
from sidecar.ingest.assertion_keys import key_problem
from sidecar.settings import Settings
from sidecar.web import tls
from sidecar.web.prefix import prefix_problem


def problems(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """One sentence for each reason why these settings cannot be served, or cannot work."""
    found = telemetry.problems(environ) if telemetry.exporting(environ) else []
    found += alert_checks.problems(settings)
    found += _of_assertions(settings)
    found += tls.problems(settings.server)
    if (folder := settings.backups.folder) is not None and not Path(folder).absolute().parent.is_dir():
        found.append(f"backups.folder must be in a folder that exists, and {folder} is not.")
    if (ambiguous := prefix_problem(settings.server.path)) is not None:
        found.append(ambiguous)
    return found


def _of_assertions(settings: Settings) -> Iterator[str]:
    guard = AddressGuard(settings.alerts.allowed_hosts)
    for number, one in enumerate(settings.ingest.assertions):
        where = f"ingest.assertions[{number}]"
        if (why := key_problem(one)) is not None:
            yield f"{where}.{'public_key' if one.secret is None else 'secret'} {why}."
        yield from refusals(f"{where}.jwks_url", one.jwks_url or "", guard)
