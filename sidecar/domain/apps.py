"""What the operator calls the apps, and where a user is in the operator's own back office. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec

_APP_ID: Final = "{app_id}"
_USER_ID: Final = "{user_id}"
# Browsers resolve these in a path, percent-encoded too.
_DOTS: Final = frozenset({".", ".."})


class Apps(msgspec.Struct, frozen=True):
    """``names`` by AppID. ``user_url_template`` has ``{user_id}``, and ``{app_id}`` where the back office needs it."""

    names: Mapping[int, str] = {}
    user_url_template: str | None = None

    def of(self, app_ids: frozenset[int]) -> Apps:
        """Only the names of these apps, for those who may see no other."""
        return Apps({one: name for one, name in self.names.items() if one in app_ids}, self.user_url_template)

    def name(self, app_id: int | None) -> str | None:
        """The name of an app; None where it has none."""
        return None if app_id is None else self.names.get(app_id)

    def shown(self, app_id: int) -> str:
        """The name, or else the AppID."""
        return self.names.get(app_id) or str(app_id)

    def in_full(self, app_id: int) -> str:
        """``Prod chat (1234567890)``, or the AppID alone."""
        name = self.names.get(app_id)
        return f"{name} ({app_id})" if name else str(app_id)

    def id_of(self, text: str) -> str:
        """The AppID of a name, whatever its case; any other text unchanged."""
        wanted = text.casefold()
        return next((str(app_id) for app_id, name in self.names.items() if name.casefold() == wanted), text)

    def user_url(self, app_id: int | None, user_id: str | None) -> str | None:
        """Where the user is in the back office, both ids percent-encoded; None without a template."""
        if self.user_url_template is None or app_id is None or user_id is None or user_id in _DOTS:
            return None
        # An id that was encoded has no brace, so that nothing in it is taken for a placeholder.
        return self.user_url_template.replace(_APP_ID, str(app_id)).replace(_USER_ID, quote(user_id, safe=""))
