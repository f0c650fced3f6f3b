"""What Zimwatch calls: a receiver of alerts and a collector of spans. They fail while ``is_well`` is false."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from random import Random

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sidecar.http_client import Answer, DeliveryError, HttpClient
from sidecar.telemetry.otlp.exporter import ExportError, ExportResult
from tests.support.clocks import Machine

_SLOW_S = 8.0


class Receiver(HttpClient):
    """The network of the webhook ``ops``. It keeps each body but for its timestamp, by webhook-id."""

    def __init__(self, machine: Machine, chance: Random) -> None:
        self._machine = machine
        self._chance = chance
        self.is_well = True
        self.bodies: dict[str, set[bytes]] = defaultdict(set)
        self.accepted: dict[str, int] = defaultdict(int)
        self.first_us: dict[str, int] = {}

    async def request(
        self,
        method: str,  # noqa: ARG002 - as the base has it
        url: str,  # noqa: ARG002 - same
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        **_more: object,
    ) -> Answer:
        """Answers after a while; an unwell one refuses, stalls, or takes it and does not answer."""
        await asyncio.sleep(0.05)
        public_id = (headers or {})["webhook-id"]
        fails = not self.is_well and self._chance.choice(("refuses", "takes it", "stalls", ""))
        if fails in {"", False, "takes it"}:
            self.bodies[public_id].add(msgspec.json.encode(msgspec.json.decode(body) | {"timestamp": None}))
            self.first_us.setdefault(public_id, self._machine.steady_us)
        if fails == "refuses":
            return Answer(503, {}, b"", is_whole=True)
        if fails:
            await asyncio.sleep(_SLOW_S)
            raise DeliveryError("no answer", permanent=False)
        self.accepted[public_id] += 1
        return Answer(200, {}, b"", is_whole=True)

    async def close(self) -> None:
        """Nothing to close: it outlives the processes that call it."""

    def alerts(self) -> list[tuple[frozenset[int], str]]:
        """The ids of the alerts of each message that was accepted, and its type."""
        found = []
        for public_id in self.accepted:
            body = msgspec.json.decode(next(iter(self.bodies[public_id])))
            found.append((frozenset(one["id"] for one in body.get("alerts") or [body["alert"]]), body["type"]))
        return found


class Collector:
    """Keeps each span by the id of its event."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self.is_well = True
        self.spans: dict[str, set[tuple[bytes, bytes, int]]] = defaultdict(set)

    async def export(self, request: bytes) -> ExportResult:
        """Accepts all; an unwell one refuses, or takes them and does not answer."""
        await asyncio.sleep(0.02)
        fails = not self.is_well and self._chance.choice(("refuses", "takes them", ""))
        if fails != "refuses":
            self._keep(request)
        if fails:
            await asyncio.sleep(self._chance.uniform(0, _SLOW_S))
            raise ExportError("the collector is away")
        return ExportResult()

    def _keep(self, request: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(request).resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    names = {one.key: one.value.string_value for one in span.attributes}
                    self.spans[names["zim.event.id"]].add((span.trace_id, span.span_id, span.start_time_unix_nano))

    async def close(self) -> None:
        """Nothing to close."""
