"""What one request adds to the audit log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import sqlalchemy as sa
from aiohttp import web

from sidecar.access.audit import subjects
from sidecar.access.audit.routes import Rule, rule_of
from sidecar.access.principal import PRINCIPAL
from sidecar.access.proxies import public_request
from sidecar.clock import Clock
from sidecar.settings import ServerSettings
from sidecar.store.access import audit_log
from sidecar.store.access.audit_values import AuditAction, Entry, Subject

NOBODY: Final = "not signed in"
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
"""The id of the request, which is in its answer, its log lines and its entries."""
_OK: Final = 200
_ERRORS: Final = 400

P = ParamSpec("P")
T = TypeVar("T")
About = Subject | Callable[[Any], Subject] | None
"""A subject, or how it follows from the result of a work."""


class Trail:
    """One request in the log.

    ``action``, ``actor``, ``subjects`` and ``details`` are for handlers that know more than the address does. It
    ``is_settled`` once nothing more is to be recorded of the request.
    """

    def __init__(self, request: web.Request, server: ServerSettings, clock: Clock) -> None:
        self.rule: Rule | None = rule_of(request)
        self.action: AuditAction | None = None
        self.actor: str | None = None
        self.subjects: Sequence[Subject] | None = None
        self.details: dict[str, str | int | bool] = {}
        self.is_settled = False
        self._request = request
        self._server = server
        self._clock = clock

    def after(
        self,
        work: Callable[Concatenate[sa.Connection, P], T],
        *,
        about: About = None,
        action: AuditAction | None = None,
    ) -> Callable[Concatenate[sa.Connection, P], T]:
        """``work``, which is recorded in its own transaction: see :func:`audit_log.recording`."""

        def entries_of(result: object) -> list[Entry]:
            return self.entries(_OK, about=about(result) if callable(about) else about, action=action)

        recorded = audit_log.recording(work, entries_of)

        def run(connection: sa.Connection, /, *args: P.args, **kwargs: P.kwargs) -> T:
            self.is_settled = True
            return recorded(connection, *args, **kwargs)

        return run

    def record(
        self, connection: sa.Connection, *, about: Subject | None = None, action: AuditAction | None = None
    ) -> None:
        """Records the request in this transaction; ``about`` and ``action`` where the address does not tell."""
        self.is_settled = True
        audit_log.record(connection, *self.entries(_OK, about=about, action=action))

    def entries(self, status: int, *, about: Subject | None = None, action: AuditAction | None = None) -> list[Entry]:
        """The request as entries: one for each of its subjects."""
        request, rule = self._request, self.rule
        action = action or self.action or (AuditAction.REFUSED if rule is None else rule.action_of(request))
        found: Sequence[Subject | None] = (about,)
        if about is None:
            found = self.subjects or (() if rule is None else rule.subjects(request)) or (None,)
        details = {**subjects.details(request), **self.details}
        if status >= _ERRORS:
            details["status"] = status
        if action == AuditAction.REFUSED and (resource := request.match_info.route.resource) is not None:
            details["route"] = resource.canonical
        client, now_us = public_request(request, self._server).client, self._clock()
        return [
            Entry(
                at_us=now_us,
                actor=self.who,
                action=action,
                subject=one,
                address=None if client is None else str(client),
                request_id=request.get(REQUEST_ID),
                details=details,
            )
            for one in found
        ]

    @property
    def who(self) -> str:
        """Who makes the request, with the proof."""
        principal = self._request.get(PRINCIPAL)
        return self.actor or (NOBODY if principal is None else principal.called())


TRAIL: web.RequestKey[Trail] = web.RequestKey("audit", Trail)


def of(request: web.Request) -> Trail:
    """What this request adds to the log."""
    return request[TRAIL]
