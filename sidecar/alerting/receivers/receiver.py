"""The interface that each receiver module implements."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from typing import Any, ClassVar

from sidecar.address_guard import AddressGuard
from sidecar.alerting.tables.alert_values import Message
from sidecar.http_client import HttpClient, Proof
from sidecar.settings.alert_settings import ReceiverSettings


class Receiver(ABC):
    """Sends messages to one receiver of the settings. ``settings_type`` has the settings of its type."""

    settings_type: ClassVar[type[ReceiverSettings]]
    takes_acknowledgements: ClassVar[bool] = False
    """Whether it is notified when somebody acknowledges an alert."""
    keeps_alerts_open: ClassVar[bool] = False
    """Whether an alert stays open there until it is resolved by a message."""

    @abstractmethod
    def __init__(self, settings: Any, http: HttpClient) -> None:  # noqa: ANN401 - those of ``settings_type``
        """SettingsError where the settings cannot work."""

    @abstractmethod
    async def send(self, message: Message, earlier: Proof | None, now_us: int) -> Proof:
        """Sends a message once; returns the answer as proof. DeliveryError if it was not accepted.

        ``earlier`` is the proof of the message that this one follows up. A message may be sent again, because an answer
        can be lost: every attempt carries the same ``message.public_id``.
        """

    @classmethod
    def problems(cls, settings: Any, guard: AddressGuard) -> Iterator[str]:  # noqa: ANN401 - same
        """What keeps valid settings from working: for each problem the name of a setting and the rest of a sentence."""
        yield from refusals("url", settings.url, guard)


class VolatileReceiver(Receiver):
    """A receiver that keeps alerts in memory only: :mod:`sidecar.alerting.notify.resend` repeats firing ones."""

    sending: asyncio.Lock
    """Locked while anything is sent, so that no message overtakes another."""

    @abstractmethod
    async def resend(self, messages: Iterable[tuple[Message, Collection[int]]], now_us: int) -> None:
        """Sends the alerts with these ids of each message again; called with :attr:`sending` locked."""


def refusals(name: str, url: str, guard: AddressGuard) -> Iterator[str]:
    """The problem of the setting ``name`` if the guard refuses its address. Host names are checked when resolved."""
    if url and (why := guard.refusal(url)) is not None:
        yield f"{name} is refused: {why}."
