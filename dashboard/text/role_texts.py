"""Roles of people and scopes of tokens, as words."""

from __future__ import annotations

from typing import Final

from dashboard.text.language import marked

ROLE_TEXTS: Final = {
    "viewer": marked("Viewer"),
    "support": marked("Support"),
    "operator": marked("Operator"),
    "admin": marked("Administrator"),
    "read": marked("Token to read"),
    "write": marked("Token to write"),
    "local": marked("Everything, on this machine"),
}
