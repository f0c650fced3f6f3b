"""The checks of ``serve`` and ``check-config`` before anything is served; all problems are named at once.

What only some settings need is imported for these alone, so that ``check-config`` is quick.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from sidecar.settings import AlertSettings, Loaded, ServerSettings, Settings, with_sources


def problems(loaded: Loaded, environ: Mapping[str, str]) -> list[str]:
    """One sentence for each reason why these settings cannot be served, or cannot work, with where they come from."""
    return [with_sources(problem, loaded.sources) for problem in _found(loaded.settings, environ)]


def _found(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    found = [*_of_telemetry(environ), *_of_alerts(settings), *_of_assertions(settings), *_of_server(settings.server)]
    if settings.backups.folder is not None and settings.database.is_on_server:
        found.append("backups.folder is for a SQLite file; have the PostgreSQL server backed up by its own tools.")
    elif (folder := settings.backups.folder) is not None and not Path(folder).absolute().parent.is_dir():
        found.append(f"backups.folder must be in a folder that exists, and {folder} is not.")
    return found


def _of_telemetry(environ: Mapping[str, str]) -> list[str]:
    if not any(name.startswith("OTEL_") for name in environ):
        return []
    from sidecar import telemetry  # noqa: PLC0415

    return telemetry.problems(environ) if telemetry.exporting(environ) else []


def _of_alerts(settings: Settings) -> list[str]:
    if settings.alerts == AlertSettings() and not settings.canary.token_url and not settings.zego.server_secrets:
        return []
    from sidecar.alerting import alert_checks  # noqa: PLC0415

    return alert_checks.problems(settings)


def _of_server(server: ServerSettings) -> Iterator[str]:
    if server.tls_cert or server.tls_key:
        from sidecar.web import tls  # noqa: PLC0415

        yield from tls.problems(server)
    if server.path:
        from sidecar.web.prefix import prefix_problem  # noqa: PLC0415

        if (ambiguous := prefix_problem(server.path)) is not None:
            yield ambiguous


def _of_assertions(settings: Settings) -> Iterator[str]:
    if not settings.ingest.assertions:
        return
    from sidecar.address_guard import AddressGuard  # noqa: PLC0415
    from sidecar.alerting.receivers.receiver import refusals  # noqa: PLC0415
    from sidecar.ingest.assertion_keys import key_problem  # noqa: PLC0415

    guard = AddressGuard(settings.alerts.allowed_hosts)
    for number, one in enumerate(settings.ingest.assertions):
        where = f"ingest.assertions[{number}]"
        if (why := key_problem(one)) is not None:
            yield f"{where}.{'public_key' if one.secret is None else 'secret'} {why}."
        yield from refusals(f"{where}.jwks_url", one.jwks_url or "", guard)
