"""The names of ZIMPlatformType, in the order in which lists show them."""

from __future__ import annotations

from typing import Final

PLATFORMS: Final = (
    "Web",
    "Android",
    "IPhoneOS",
    "IPadOS",
    "Win",
    "MacOS",
    "Linux",
    "MiniProgram",
    "OHOS",
    "Unknown",
)
