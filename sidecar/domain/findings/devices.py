"""The devices in a user's life: which is which, and which are connected."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from sidecar.domain.alerts.naming import Device
from sidecar.domain.events import SERVER_USER_ACTION, Event
from sidecar.domain.findings.life import Life
from sidecar.domain.session import Session
from sidecar.domain.status import NOT_LOGGED_IN, ONLINE
from sidecar.domain.texts import Sentence, Text, joined, verbatim

_MORE: Final = Sentence("finding.more_devices", "%(count)s more")
_NAMED: Final = 3


def device_key(event: Event) -> str | bytes:
    """The same for events of one device: its id, or the client's where none is reported."""
    return event.device_id or event.client_id


def newest_of_devices(life: Life) -> list[Event]:
    """The newest event of each client in the order of ``seq``, without those of ZEGO's server."""
    return [own[-1] for own in life.of_client.values() if own[-1].type != SERVER_USER_ACTION]


def is_live(life: Life, client_id: bytes) -> bool:
    """Whether a client is logged in, and its lease has not ended."""
    device = life.device(client_id)
    return life.status_of(client_id) != NOT_LOGGED_IN and not (device is not None and device.unconfirmed)


def online_beside(life: Life, client_ids: Collection[bytes]) -> bool:
    """Whether the user is online by a device other than these."""
    others = {*life.of_client, *(device.client_id for device in life.devices)} - set(client_ids)
    return any(life.status_of(one) == ONLINE and is_live(life, one) for one in others)


def names(devices: Iterable[Event | Session]) -> Text:
    """What devices are called, each once: the first three, and how many more there are."""
    found = [device.text for device in dict.fromkeys(Device(one.platform, one.device_id) for one in devices)]
    texts = [verbatim(text) if isinstance(text, str) else text for text in found]
    more = [_MORE(count=len(texts) - _NAMED)] if len(texts) > _NAMED else []
    return joined(texts[:_NAMED] + more)
