"""What users and devices are called in the sentences of alerts."""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.domain.events import Event
from sidecar.domain.outside_text import cut
from sidecar.domain.texts import Sentence, Text

UNNAMED: Final = Sentence("unnamed", "an unnamed device")
NOBODY: Final = Sentence("nobody", "a client without a user")
_DEVICE: Final = Sentence("device", "%(platform)s (%(device_id)s)")
_LONGEST_NAME: Final = 60


class Device(msgspec.Struct, frozen=True):
    """What is known of a device of a user."""

    platform: str | None = None
    device_id: str | None = None
    app_version: str | None = None

    @property
    def is_named(self) -> bool:
        """Whether a user could tell it from others."""
        return bool(self.platform or self.device_id)

    @property
    def text(self) -> Text | str:
        """``Android (pixel-7)``, or less where less is known; each part cut to what fits a sentence."""
        platform, device_id = (cut(one or "", _LONGEST_NAME) for one in (self.platform, self.device_id))
        if platform and device_id:
            return _DEVICE(platform=platform, device_id=device_id)
        return platform or device_id or UNNAMED()


def device_of(event: Event) -> Device:
    """The device that an event came from."""
    return Device(event.platform, event.device_id, event.app_version)


def user_name(user_id: str | None) -> Text | str:
    """A user id, cut to what fits a sentence."""
    if user_id is None:
        return NOBODY()
    return cut(user_id, _LONGEST_NAME)
