"""A collector in a process of its own: accepts OTLP over HTTP on loopback, decodes all of it, and counts.

``GET /`` answers with the spans so far and the seconds of CPU that this process has used.
"""

from __future__ import annotations

import argparse
import time

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


def main() -> None:
    """Serves until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    spans = 0
    answer = ExportTraceServiceResponse().SerializeToString()

    async def take(request: web.Request) -> web.Response:
        nonlocal spans
        for of_resource in ExportTraceServiceRequest.FromString(await request.read()).resource_spans:
            spans += sum(len(of_scope.spans) for of_scope in of_resource.scope_spans)
        return web.Response(body=answer, content_type="application/x-protobuf")

    async def counts_so_far(_request: web.Request) -> web.Response:
        return web.json_response({"spans": spans, "cpu_s": time.process_time()})

    application = web.Application(client_max_size=1 << 26)
    application.add_routes([web.post("/v1/traces", take), web.get("/", counts_so_far)])
    web.run_app(application, host="127.0.0.1", port=options.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
