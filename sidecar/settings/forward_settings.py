"""The section ``forward``: where an edge passes its events on to."""

from __future__ import annotations

import msgspec

from sidecar.settings.value_kinds import EdgeName, HttpUrl, Secret


class ForwardSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The centre to which an edge passes its events on. Off without an address.

    ``name``: of this edge there, by default that of the machine.
    """

    url: HttpUrl | None = None
    token: Secret | None = None
    name: EdgeName | None = None

    def problems(self, *, database_is_on_server: bool) -> list[str]:
        """What is missing, and contradictions."""
        if self.url is None:
            return []
        problems = []
        if self.token is None:
            problems.append("forward.token must be given with forward.url: a token of scope forward of the centre.")
        if database_is_on_server:
            problems.append("forward.url is for a SQLite file; a PostgreSQL database is a centre's.")
        return problems
