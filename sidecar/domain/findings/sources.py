"""The pages of ZEGOCLOUD's public documentation that findings rest on. Most exist once for each platform."""

from __future__ import annotations

from typing import Final

_DOCS: Final = "https://www.zegocloud.com/docs"
MANAGE_LOGIN: Final = f"{_DOCS}/zim-web/best-practice/manage-user-login-state"
ERROR_CODES: Final = f"{_DOCS}/zim-web/sdk-error-codes/zim"
TOKENS: Final = f"{_DOCS}/zim-web/guides/users/authentication"
RELEASE_NOTES: Final = f"{_DOCS}/zim-android/client-sdks/zim-release-notes"
RECONNECTING: Final = f"{_DOCS}/faq/zim-reconnect-support"
HEARTBEATS: Final = f"{_DOCS}/faq/zim-heartbeat-timeout"
SERVER_CALLBACK: Final = f"{_DOCS}/zim-server/callbacks/login-and-logout"
