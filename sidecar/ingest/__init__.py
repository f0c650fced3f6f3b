"""Decodes requests into events."""

from sidecar.ingest.sink import StoreSink
from sidecar.ingest.wire import BodyError, Decoded, decode

__all__ = ["BodyError", "Decoded", "StoreSink", "decode"]
