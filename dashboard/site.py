"""The dependencies of pages, and the form in which a page is declared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from dashboard.page_request import Loader
from sidecar import access
from sidecar.access.policy import Action
from sidecar.alerting import AlertReaction
from sidecar.canary import CanaryStatus
from sidecar.clock import Clock
from sidecar.domain.alerts.rules.backup_overdue import LastBackup
from sidecar.domain.texts import Text
from sidecar.forwarding import Status as ForwardingStatus
from sidecar.settings import ServerSettings
from sidecar.store import Store
from sidecar.store.values import StoredEvent, UserRow
from sidecar.web.changes import Hub

Shown = Sequence[tuple[str, str, str]]
"""Key, value and source of each setting, fit to be shown."""
TryReceiver = Callable[[str, str], Awaitable[Mapping[str, Any]]]
"""Sends a test message to the receiver of this name, with links below this address; returns the receiver's answer."""


class InForce(msgspec.Struct, frozen=True):
    """The settings, the receivers by name and type, how to send one a test message, and the last backup.

    ``last_backup`` gives None before it was looked for the first time.
    """

    shown: Callable[[], Shown]
    receivers: Callable[[], Sequence[tuple[str, str]]]
    try_receiver: TryReceiver
    last_backup: Callable[[], LastBackup | None]


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What pages are built from. ``user_view`` and ``event_view`` are the JSON objects of the API.

    ``server_secrets`` are the ServerSecrets of apps, to check tokens with.
    """

    store: Store
    reaction: AlertReaction
    clock: Clock
    authenticator: access.Authenticator
    sign_in: access.SignIn
    own_account: access.OwnAccount
    first_run: access.FirstRun
    hub: Hub
    server: ServerSettings
    user_view: Callable[[UserRow], Mapping[str, Any]]
    event_view: Callable[[StoredEvent], Mapping[str, Any]]
    in_force: InForce
    trace_url_template: str | None
    server_secrets: Mapping[int, tuple[str, ...]]
    canary: Callable[[], CanaryStatus | None]
    forwarding: Callable[[], ForwardingStatus | None]
    problems: Callable[[], Sequence[Text]]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """The views of a page by path, each of which has a live part; and its other routes, such as forms.

    ``needed`` is what the views need; the routes declare it one by one.
    """

    needed: Action = Action.SEE_USERS
    views: Callable[[Site], dict[str, Loader]] = lambda _site: {}
    routes: Callable[[Site], list[web.AbstractRouteDef]] = lambda _site: []
