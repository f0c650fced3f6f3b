"""The web application: the API and the dashboard over one open store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from random import Random

from aiohttp import web
from argon2 import PasswordHasher

import dashboard
from sidecar import access, alerting, api
from sidecar.access import audit
from sidecar.alerting.notify.test_message import send_test_message
from sidecar.canary import CanaryStatus
from sidecar.clock import Clock
from sidecar.domain.alerts.rules.backup_overdue import LastBackup
from sidecar.errors import ZimwatchError
from sidecar.forwarding import Status as ForwardingStatus
from sidecar.http_client import HttpClient
from sidecar.lifecycle import Background
from sidecar.reload import Reload
from sidecar.settings import Settings, secrets_by_app
from sidecar.store import Store
from sidecar.system.chance import CHANCE
from sidecar.system.threads import THREADS, Threads
from sidecar.web import audited, compression
from sidecar.web.changes import Hub
from sidecar.web.forms import FORM_KEY, FormKey
from sidecar.web.headers import completing
from sidecar.web.middleware import middlewares
from sidecar.web.prefix import prefix_problem
from sidecar.web.request_body import SMALL_BYTES
from sidecar.web.request_log import RequestLog


def build(
    settings: Settings,
    store: Store,
    reaction: alerting.AlertReaction,
    clock: Clock,
    *,
    metrics_text: api.MetricsText,
    canary: Callable[[], CanaryStatus | None] = lambda: None,
    forwarding: Callable[[], ForwardingStatus | None] = lambda: None,
    background: Background | None = None,
    threads: Threads = THREADS,
    http: Callable[[Sequence[str]], HttpClient] = HttpClient,
    reload: Reload | None = None,
    is_prepared: Callable[[], bool] = lambda: True,
    last_backup: Callable[[], LastBackup | None] = lambda: None,
    recorder: audit.Recorder | None = None,
    chance: Random = CHANCE,
    hasher: PasswordHasher | None = None,
) -> web.Application:
    """The web application over an open store; starts nothing.

    ``canary`` and ``forwarding`` give the status of these, where they are on, ``is_prepared`` whether pages can be
    shown at once, ``last_backup`` the newest scheduled one.
    ``reload`` has the settings in force, and reads them again. ``recorder`` writes the audit log, while its own task
    runs. ZimwatchError where the path of ``server.public_url`` is one of the application's own.
    """
    path = settings.server.path
    if (problem := prefix_problem(path)) is not None:
        raise ZimwatchError(problem)
    background = background or Background()
    authenticator = access.Authenticator(store, settings, clock)
    passwords, closing_passwords = access.passwords_of(threads, hasher or access.strong_hasher())
    sign_in = access.SignIn(store, settings.server, clock, authenticator, passwords)
    hub = Hub(store, authenticator)
    oidc = authenticator.oidc
    pool, closing_pool = compression.pool_of(threads)
    log = RequestLog(settings.logs)
    recorder = recorder or audit.Recorder(store, settings.server, clock)
    application = web.Application(
        middlewares=[
            compression.compressing(pool),
            dashboard.middleware(path, lambda: reaction.policy.apps),
            *middlewares(authenticator, settings, log, dashboard.error_page, recorder=recorder, chance=chance),
        ],
        client_max_size=SMALL_BYTES,
    )
    application.cleanup_ctx.extend([closing_pool, closing_passwords])
    form_key = application[FORM_KEY] = FormKey(store)
    application.on_startup.append(form_key.read)
    application[access.FIRST_RUN] = access.FirstRun(store, settings, clock, passwords)
    application.on_response_prepare.append(audited.beginning(recorder))
    application.on_response_prepare.append(completing(settings))

    async def provider_calls(_application: web.Application) -> AsyncIterator[None]:
        if oidc is None:
            yield
            return
        async with http(settings.alerts.allowed_hosts) as oidc.client.http:
            yield
            await oidc.close()

    application.cleanup_ctx.append(provider_calls)

    async def sum_up(_application: web.Application) -> None:
        log.close()

    application.on_cleanup.append(sum_up)
    application.add_routes(
        api.routes(
            store,
            reaction,
            settings,
            clock,
            hub=hub,
            metrics_text=metrics_text,
            is_prepared=is_prepared,
            problems=lambda: background.problems(of_needed=True),
            forwarding=forwarding,
            http=http,
            reload=reload,
        )
    )
    site = dashboard.Site(
        store=store,
        reaction=reaction,
        clock=clock,
        authenticator=authenticator,
        sign_in=sign_in,
        own_account=access.OwnAccount(store, clock, sign_in, passwords),
        first_run=application[access.FIRST_RUN],
        hub=hub,
        server=settings.server,
        user_view=api.user_view,
        event_view=api.event_view,
        in_force=dashboard.InForce(
            lambda: () if reload is None else tuple(reload.shown()),
            lambda: [(one.name, one.type_name) for one in settings.alerts.receivers],
            lambda name, base: send_test_message(
                settings.alerts, name, settings.server.public_url.rstrip("/") or base, clock(), http
            ),
            last_backup,
        ),
        trace_url_template=settings.dashboard.trace_url_template,
        server_secrets=secrets_by_app(settings.zego.server_secrets),
        canary=canary,
        forwarding=forwarding,
        problems=background.problems,
    )
    application.add_routes(dashboard.routes(site))
    access.routing.check(application.router)
    return application
